import type { Sink } from '../connectors/connector.ts';
import { assert } from '../model/assert.ts';
import { guarantee } from './ladder.ts';
import type { Fit, FlowFacts, Settlement, Strategy } from './strategy.ts';

/** Writes each record under its key, so that writing it again changes nothing. */
export const keyed: Strategy = {
  name: 'keyed',
  rewrites: true,
  summary: 'Writes each record under its key; writing it again changes nothing.',

  fit(sink: Sink, flow: FlowFacts): Fit {
    if (sink.can.put === undefined) {
      return {
        fits: false,
        reason: 'the sink cannot replace a record by its key: it has no put',
        instead: 'ledgered-append',
      };
    }
    // Two versions of one key must not overtake each other.
    const ordered = seesRepeats(sink, flow) ? 'repeats' : 'always';
    // Two windows may name one key, and the later one must be written last; unless each has a place of its own.
    const windows = sink.facts.placePerWindow === true ? 'any' : 'in-order';
    return { fits: true, guarantee: guarantee('put', sink), ordered, windows };
  },

  async deliver(permit, lane) {
    assert(lane.sink.can.put !== undefined, 'strategy.fits-its-sink');
    return await lane.sink.can.put(permit);
  },

  async settle(): Promise<Settlement> {
    return { kind: 'resend', evidence: 'the same content under the same keys changes nothing' };
  },
};

/**
 * The engine knows a key that comes again by the columns that name a record in the source. Two records that go under
 * one key of the sink surely agree in them only if they are part of it; otherwise nobody sees that they are versions.
 */
function seesRepeats({ facts: { putKey } }: Sink, { sentKey }: FlowFacts): boolean {
  if (sentKey === undefined) return true;
  if (sentKey === null) return false;
  return putKey === undefined || sentKey.every((field) => putKey.includes(field));
}
