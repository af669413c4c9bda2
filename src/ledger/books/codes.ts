import { LOAD_STATES } from '../../model/load.ts';
import type { LookRow } from '../../model/slice.ts';
import { BATCH_STATES, RECORD_STATES, RUN_STATES } from '../../model/states.ts';
import { type Answer, EVENT_KINDS, type GenerationKind, type GenerationRow, type Possibly } from '../ledger.ts';
import type { Cell } from '../row-digest.ts';
import { corrupt } from './corrupt.ts';

/**
 * Words as small numbers. The numbers are part of the file format: words are only ever added at the end. They begin
 * with 2, since SQLite stores 0 and 1 in no byte at all: a row that changes its state must not change its length,
 * or full pages would have to be split in two.
 */
export interface Code<W extends string> {
  readonly name: string;
  readonly words: readonly W[];
}
const FIRST = 2;

export const BATCH_STATE: Code<(typeof BATCH_STATES)[number]> = { name: 'batch state', words: BATCH_STATES };
export const RECORD_STATE: Code<(typeof RECORD_STATES)[number]> = { name: 'record state', words: RECORD_STATES };
export const RUN_STATE: Code<(typeof RUN_STATES)[number]> = { name: 'run state', words: RUN_STATES };
export const EVENT_KIND: Code<(typeof EVENT_KINDS)[number]> = { name: 'event kind', words: EVENT_KINDS };
export const LOAD_STATE: Code<(typeof LOAD_STATES)[number]> = { name: 'load state', words: LOAD_STATES };
export const GENERATION_KIND: Code<GenerationKind> = {
  name: 'generation kind',
  words: ['first', 'again', 'refresh', 'resend'],
};
export const GENERATION_STATE: Code<GenerationRow['state']> = {
  name: 'generation state',
  words: ['open', 'closed', 'abandoned', 'interrupted'],
};
export const ANSWER_KIND: Code<Answer['kind']> = {
  name: 'answer',
  words: ['verdict', 'not-applied', 'refused', 'lost'],
};
export const LOOK_KIND: Code<LookRow['kind']> = { name: 'look', words: ['new', 'unchanged', 'uncacheable'] };
export const POSSIBLY: Code<Possibly> = { name: 'possibly', words: ['twice', 'lost', 'there'] };

export const toCode = <W extends string>(code: Code<W>, word: W): number => code.words.indexOf(word) + FIRST;

export function toWord<W extends string>(code: Code<W>, cell: Cell, place: string): W {
  const word = typeof cell === 'number' ? code.words[cell - FIRST] : undefined;
  if (word === undefined) throw corrupt(place, `${String(cell)} is no ${code.name}`);
  return word;
}
