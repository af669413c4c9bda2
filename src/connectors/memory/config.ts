import { z } from 'zod';
import { LINES } from '../../model/batch.ts';
import { WaybillError } from '../../model/errors.ts';
import type { Connector } from '../connector.ts';
import { MEMORY_ABILITIES, MEMORY_LOADS, memorySink } from './sink.ts';
import { memorySource } from './source.ts';
import { memoryStore } from './store.ts';

const connection = z.strictObject({
  store: z.string().min(1).default('default').describe('Name of the store in this process.'),
});

const sourceSettings = z
  .strictObject({
    rows: z.array(z.record(z.string(), z.unknown())).optional().describe('The records themselves.'),
    table: z.string().min(1).optional().describe('A table that the program has filled: `memoryStore(name).fill`.'),
    chunkRecords: z.int().min(1).default(1000),
    resumable: z.boolean().default(true),
  })
  .refine(({ rows, table }) => (rows === undefined) !== (table === undefined), 'give either `rows` or `table`');

const sinkSettings = z.strictObject({
  table: z.string().min(1).describe('Where the records are kept.'),
  abilities: z
    .array(z.enum([...MEMORY_ABILITIES, ...MEMORY_LOADS]))
    .optional()
    .describe('What the sink can do; everything when absent.'),
  recordsPerBatch: z.int().min(1).default(100),
  bytesPerBatch: z.int().min(1).optional(),
  inFlight: z.int().min(1).default(4),
  framing: z.enum(['lines', 'array']).default('lines').describe('How a batch reaches the sink.'),
});

type Connection = z.output<typeof connection>;
type SourceSettings = z.output<typeof sourceSettings>;
type SinkSettings = z.output<typeof sinkSettings>;

const ARRAY = { format: 'ndjson', head: '[', separator: ',', tail: ']' } as const;

/** Records in this process, for tests and for trying things out. */
export const memory: Connector<Connection, SourceSettings, SinkSettings> = {
  type: 'memory',
  summary: 'Records in the memory of this process, for tests and first steps',
  connection,
  source: {
    settings: sourceSettings,
    open: ({ store }, { rows, table = '', ...options }) =>
      memorySource(() => rows ?? memoryStore(store).rows(table) ?? missing(store, table), { ...options, name: table }),
  },
  sink: {
    settings: sinkSettings,
    open: ({ store }, { table, abilities, framing, bytesPerBatch, ...limits }, { ports }) =>
      memorySink({
        table: memoryStore(store).table(table),
        clock: ports,
        accepts: [framing === 'array' ? ARRAY : LINES],
        limits: { ...limits, ...(bytesPerBatch === undefined ? {} : { bytesPerBatch }) },
        ...(abilities === undefined ? {} : { abilities }),
      }),
    samples: [{ name: 'a table', connection: {}, settings: { table: 'items' } }],
  },
};

function missing(store: string, table: string): never {
  throw new WaybillError('SOURCE_FAILED', `nothing has been put into the table ${table} of the memory store ${store}`, {
    hint: 'The memory of one process cannot be read by another: fill the table in the program that runs the flow.',
  });
}
