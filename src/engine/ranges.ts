import type { ReadRange } from '../connectors/connector.ts';
import type { Job } from './engine.ts';

/** Whether chunks are to say where they stand. Rows of history are made here, and stand nowhere. */
export const rangesOf = ({ keep, pull }: Pick<Job, 'keep' | 'pull'>): Pick<ReadRange, 'ranges'> =>
  keep === 'range' && pull?.history === undefined ? { ranges: true } : {};
