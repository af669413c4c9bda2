import { z } from 'zod';
import { recordBytesMaxSetting } from '../../objects/settings.ts';
import type { Connector } from '../connector.ts';
import { stdoutSink } from './sink.ts';
import { stdinSource } from './source.ts';

const nothing = z.strictObject({});

const stdinSettings = z.strictObject({
  format: z.enum(['ndjson', 'csv', 'json']).default('ndjson'),
  delimiter: z.string().length(1).optional().describe('Between the fields of CSV. A comma.'),
  header: z
    .union([z.boolean(), z.array(z.string().min(1)).min(1)])
    .default(true)
    .describe('Whether the first row of CSV holds the names; or the names, where no row does.'),
  recordBytesMax: recordBytesMaxSetting,
});

const stdoutSettings = z.strictObject({
  format: z.enum(['ndjson', 'csv']).default('ndjson'),
  header: z.boolean().default(true).describe('A first line with the names of the fields, in CSV.'),
  recordsPerBatch: z.int().min(1).default(1000),
});

type Nothing = z.output<typeof nothing>;

export const stdin: Connector<Nothing, z.output<typeof stdinSettings>, never> = {
  type: 'stdin',
  summary: 'Records from the standard input',
  connection: nothing,
  source: {
    settings: stdinSettings,
    open: (_connection, settings, context) => stdinSource({ ...settings, stdin: context.stdin }),
  },
};

export const stdout: Connector<Nothing, never, z.output<typeof stdoutSettings>> = {
  type: 'stdout',
  summary: 'Lines to the standard output',
  connection: nothing,
  sink: {
    settings: stdoutSettings,
    open: (_connection, settings, context) => stdoutSink({ ...settings, stdout: context.stdout }),
    samples: [{ name: 'lines', connection: {}, settings: {} }],
  },
};
