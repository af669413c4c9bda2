import type { Command } from 'commander';
import { type Given, textOption } from './command.ts';
import type { Context } from './context.ts';
import { readWhole } from './read-words.ts';

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 100_000;

export function addPaging(command: Command): Command {
  return command
    .option('--limit <n>', `at most this many; ${LIMIT_DEFAULT} when not given`)
    .option('--after <cursor>', 'go on after the page before: its cursor is shown at its end');
}

export const limitOf = (given: Given): number => {
  const text = textOption(given, 'limit');
  return text === undefined ? LIMIT_DEFAULT : readWhole(text, '--limit', { min: 1, max: LIMIT_MAX });
};

/** The cursor of lists that are paged by id: `r12`, `b345` or the bare number. */
export function afterOf(given: Given): number | undefined {
  const text = textOption(given, 'after');
  return text === undefined ? undefined : readWhole(text.replace(/^[rb]/, ''), '--after', { min: 0, max: 1e15 });
}

/** The name of the last row when the page is full, so that there may be more. */
export const cursorOf = <T extends { readonly id: string }>(rows: readonly T[], limit: number): string | undefined =>
  rows.length < limit ? undefined : rows.at(-1)?.id;

/** The line below a table that says how to see the rest. */
export function moreLine(context: Context, after: string | undefined): string[] {
  return after === undefined ? [] : [context.view.paint.dim(`more: add --after ${after}`)];
}
