import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { describeError, WaybillError } from '../model/errors.ts';
import type { Position } from '../model/position.ts';
import { readSourceState } from '../odf/source-state.ts';

/** The last source state in a file of YAML or JSON, in any of the spellings in which tools have written one. USAGE. */
export function readStateFile(file: string, folder: string, sourceName: string): Position {
  const states = documentsIn(resolve(folder, file))
    .map((document) => readSourceState(document, sourceName))
    .filter((state) => state !== undefined);
  const last = states.at(-1);
  if (last !== undefined) return last;
  throw new WaybillError('USAGE', `${file} holds no source state`, {
    hint: 'One has a kind, a value, and a sourceName (or, as it was once spelled, a source).',
  });
}

function documentsIn(path: string): readonly unknown[] {
  try {
    const found = parseAllDocuments(readFileSync(path, 'utf8'));
    return 'empty' in found ? [] : found.map((document) => document.toJS() as unknown);
  } catch (error) {
    throw new WaybillError('USAGE', `${path} cannot be read: ${describeError(error)}`, { cause: error });
  }
}
