import { keyed } from './keyed.ts';
import { ledgeredAppend } from './ledgered-append.ts';
import type { Strategy } from './strategy.ts';

/** Every strategy, by name; the one list that grows when one is added. */
export const strategies: Readonly<Record<string, Strategy>> = {
  [ledgeredAppend.name]: ledgeredAppend,
  [keyed.name]: keyed,
};
