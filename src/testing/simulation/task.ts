import type { RunSummary } from '../../engine/engine.ts';
import type { Window } from '../../model/window.ts';

/** One window and how far it has come, as whoever starts it again and again knows it. */
export interface Task {
  readonly window: Window;
  state: 'waiting' | 'done' | 'cancelled';
  ask: 'go-on' | 'refresh' | 'resend-all';
  starts: number;
  /** Something was given to do since its last start began. */
  again: boolean;
  last: RunSummary | undefined;
  notBeforeMs: number;
  /** Was started in peace with nothing but doubts left. */
  calm: boolean;
}
