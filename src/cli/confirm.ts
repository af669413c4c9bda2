import type { Context } from './context.ts';
import { usage } from './read-words.ts';

/**
 * Asks before something that cannot be taken back. True with --yes; without a terminal there is nobody to ask, so it
 * throws USAGE instead of waiting for an answer that cannot come.
 */
export async function confirm(context: Context, question: string, yes: boolean): Promise<boolean> {
  if (yes) return true;
  if (!context.view.asks) throw usage(`${question} This cannot be asked here.`, 'Give --yes to say so beforehand.');
  const answer = await context.io.ask(`${context.mask(question)} [y/N] `);
  return /^y(es)?$/i.test(answer?.trim() ?? '');
}

/** A line from a person; undefined when there is nobody to ask. */
export async function askLine(context: Context, question: string): Promise<string | undefined> {
  if (!context.view.asks) return undefined;
  const answer = (await context.io.ask(`${context.mask(question)} `))?.trim();
  return answer === '' ? undefined : answer;
}
