import type { Job, LaneJob } from '../../engine/engine.ts';
import { Payloads } from '../../engine/payloads.ts';
import { Remaker } from '../../engine/remake.ts';
import { ALL, type Window } from '../../model/window.ts';
import { strategies } from '../../strategies/all.ts';
import { NO_FACTS } from '../../strategies/strategy.ts';
import { factsOf } from './load-scenario.ts';
import type { Machine, Opened } from './machine.ts';
import type { SimProcess } from './process.ts';
import { simSink } from './sink-client.ts';
import { simSource } from './source-model.ts';

export const FLOW = 'simulated';
interface PayloadsFacts extends Opened {
  readonly lane: string;
}

export const laneName = (nth: number): string => `lane${nth + 1}`;

/** What brings back the bytes of the batches of a lane, for a person who decides about them. */
export function payloadsOf({ lane, process, services }: PayloadsFacts, machine: Machine): Payloads {
  const job = jobOf(ALL, process, machine);
  const of = job.lanes.find(({ name }) => name === lane)!;
  const { remake } = new Remaker(job.source, of, services.ledger.identity.seed);
  return new Payloads(services.staging, of.sink.accepts, remake);
}

/** The flow of a scenario, wired for one process, as the app would do it. */
export function jobOf(window: Window, process: SimProcess, machine: Machine): Job {
  const { scenario } = machine;
  return {
    flow: FLOW,
    window,
    parameters: {},
    deliver: scenario.deliver,
    ...(scenario.ranges === true ? { keep: 'range' } : {}),
    ...(scenario.unkept === true ? { keep: 'none' } : {}),
    configDigest: 'simulated',
    source: {
      name: 'rows',
      source: simSource(machine.source, process, scenario),
      key: scenario.keyed ? ['id'] : null,
      exclude: [],
      onReject: 'skip',
      onDuplicate: scenario.onDuplicate,
    },
    lanes: machine.servers.map((_, nth) => laneOf(nth, process, machine)),
  };
}

function laneOf(nth: number, process: SimProcess, machine: Machine): LaneJob {
  const { scenario } = machine;
  const { load } = scenario;
  const { network, book } = machine;
  const server = machine.servers[nth]!;
  const sink = simSink(process, {
    scenario,
    server,
    network,
    witness: (by, request) => book.sent(by, request),
    asked: (...step) => book.asked(...step),
  });
  return {
    name: laneName(nth),
    connector: 'simulated',
    sink,
    strategy: strategies[load?.strategy ?? (scenario.rung === 'put' ? 'keyed' : 'ledgered-append')]!,
    ...(load === undefined ? {} : { facts: factsOf(load, scenario.keyed) }),
    ...(scenario.shared === true ? { facts: { ...NO_FACTS, key: ['id'], sentKey: ['id'] } } : {}),
    limits: sink.limits,
    intendAhead: scenario.intendAhead,
    onDoubt: scenario.onDoubt,
    onChanged: scenario.onChanged,
    retry: { attempts: scenario.attempts, firstDelayMs: 100, maxDelayMs: 5_000, maxAgeMs: 60_000 },
  };
}
