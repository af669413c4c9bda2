import type { Sink, Source } from '../connectors/connector.ts';
import type { Job, LaneJob, SourceJob } from '../engine/engine.ts';
import { ALL } from '../model/window.ts';
import { strategies } from '../strategies/all.ts';

export interface JobParts extends Partial<Omit<Job, 'source' | 'lanes'>> {
  readonly source?: Partial<SourceJob>;
  readonly lane?: Partial<LaneJob>;
}

/** A job of one lane, as plain as it can be: what a test is about is what it says itself. */
export function testJob(source: Source, sink: Sink, { source: ofSource, lane, ...more }: JobParts = {}): Job {
  return {
    flow: 'test-flow',
    window: ALL,
    parameters: {},
    deliver: 'after-read',
    configDigest: 'c',
    source: { name: 'members', source, key: ['id'], exclude: [], onReject: 'skip', onDuplicate: 'report', ...ofSource },
    lanes: [
      {
        name: 'api',
        connector: 'memory',
        sink,
        strategy: strategies['ledgered-append']!,
        limits: { recordsPerBatch: 2, inFlight: 2 },
        onDoubt: 'hold',
        onChanged: 'hold',
        retry: { attempts: 5, firstDelayMs: 100, maxDelayMs: 1_000, maxAgeMs: 60_000 },
        ...lane,
      },
    ],
    ...more,
  };
}
