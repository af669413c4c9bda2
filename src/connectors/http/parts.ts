import type { Caller } from './caller.ts';
import type { Judge } from './judge.ts';
import type { SinkConfig } from './settings.ts';

/** What the rooms of this sink share. */
export interface Parts {
  readonly caller: Caller;
  readonly judge: Judge;
  readonly settings: SinkConfig;
}

/** For messages: no query, and the names of templates instead of their values. */
export const nameOf = (method: string, path: string): string => `${method} ${path.split('?', 1)[0] || '/'}`;
