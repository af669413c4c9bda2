import type { Batch } from '../../model/batch.ts';
import type { Load } from '../../model/load.ts';

/** The column by which a sink keeps records that name another one in their source. */
export const SHARED_KEY = 'place';

/** One request as it reached the sink: bytes are read once, when they left, as they would be on a wire. */
export interface SinkRequest {
  readonly ability: 'append' | 'appendAt' | 'appendOnce' | 'commitOnce' | 'put' | 'job.send' | 'load.add';
  readonly batch: Batch;
  readonly attempt: number;
  readonly shard: string;
  readonly fence: number;
  readonly sender: string;
  readonly sentAtMs: number;
  readonly texts: readonly string[];
  readonly keys: readonly string[];
  /** Where the sink must stand, or the job's handle. */
  readonly target: string;
  /** Whose place it goes to. */
  readonly load?: Load;
}

/** One record that the sink has taken. Nothing is ever removed. */
export interface SinkEffect {
  readonly atMs: number;
  readonly visibleAtMs: number;
  readonly request: SinkRequest;
  readonly index: number;
  readonly key: string;
  readonly text: string;
}
