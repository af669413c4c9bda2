import type { z } from 'zod';
import { parseColumn } from '../model/columns.ts';
import type { SchemaSettings } from '../model/schema.ts';
import type { schemaSchema } from './flow-file.ts';

/** A policy alone, or with what goes with it, as the engine takes it. */
export function readSchema(setting: z.output<typeof schemaSchema> | undefined): SchemaSettings | undefined {
  if (setting === undefined) return undefined;
  const { policy, create, columns, infer } =
    typeof setting === 'string' ? { policy: setting, create: undefined, columns: undefined, infer: false } : setting;
  const declared = Object.entries(columns ?? {}).flatMap(([name, text]) => parseColumn(name, text) ?? []);
  return {
    create: create ?? policy === 'evolve',
    infer,
    ...(policy === undefined ? {} : { policy }),
    ...(declared.length === 0 ? {} : { columns: declared }),
  };
}
