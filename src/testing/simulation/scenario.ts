import { type DoubtPolicy, RUNGS, type Rung } from '../../model/guarantee.ts';
import { blameless, drawSwarm, type Swarm } from './faults.ts';
import { drawLoads, type LoadScenario } from './load-scenario.ts';
import { drawPulls, type PullScenario } from './pull-scenario.ts';
import { drawRanges } from './range-store.ts';
import { Tape } from './tape.ts';

/**
 * What a schedule is about, as plain data: the flow, the sink, the machine and which faults may happen. With a tape it
 * is a case that can be stored and run again; the seed that both were drawn from is not kept, since it means nothing
 * any more once this file has changed.
 */
export interface Scenario {
  readonly rung: Rung;
  /** There where the lanes collect loads and publish them; their batches are on the rung `marker` then. */
  readonly load?: LoadScenario;
  /** There where only what is new is read; never beside loads. */
  readonly pull?: PullScenario;
  /** Staging keeps ranges of the source, and not the bytes of batches. */
  readonly ranges?: true;
  /** Nothing keeps the bytes of batches but the memory of the process that has sealed them. */
  readonly unkept?: true;
  readonly rows: number;
  /** Null: content stands for a key, and equal rows are several records. */
  readonly keyed: boolean;
  /** The sink keeps records under another key than the source: several rows share one, and the last is to stay. */
  readonly shared?: true;
  /** Some rows have the key of another. */
  readonly repeats: boolean;
  readonly onDuplicate: 'report' | 'drop';
  readonly chunkRecords: number;
  readonly resumable: boolean;
  readonly recordsPerBatch: number;
  readonly inFlight: number;
  readonly intendAhead: number;
  readonly deliver: 'after-read' | 'while-reading';
  readonly lanes: number;
  readonly windows: number;
  readonly onDoubt: DoubtPolicy;
  readonly onChanged: 'hold' | 'append' | 'ignore';
  readonly leaseMs: number;
  /** For how many leases a process is stalled at the most; 3 when absent. */
  readonly stallLeases?: number;
  readonly requestTimeoutMs: number;
  readonly visibilityLagMs: number;
  readonly keyHorizonMs: number;
  readonly rejectsAtomically: boolean;
  /** The ledger shares the disk with the journal; otherwise answers go into the journal first. */
  readonly localLedger: boolean;
  /** A dead process can be told from one that hangs, so its leases are broken at once. */
  readonly provesDeath: boolean;
  readonly attempts: number;
  /** Faults stop after so much virtual time; then everything has to come to an end. */
  readonly faultyMs: number;
  readonly swarm: Swarm;
}

/** How many schedules in a thousand keep no bytes of batches. */
const UNKEPT_SHARE = 60;
/** How many of those that write by key do so by one that rows share. */
const SHARED_SHARE = 300;

export function drawScenario(seed: number): Scenario {
  if (Tape.ofSeed(seed ^ 0x0bade110).chance(UNKEPT_SHARE)) {
    const drawn = drawRecords(seed, 'marker');
    // A sink that can be asked for markers sits at the end of a connection, where nothing comes twice.
    const { 'duplicate-delivery': _, ...swarm } = drawn.swarm;
    return { ...drawn, deliver: 'while-reading', unkept: true, swarm };
  }
  const records = drawRecords(seed);
  const more = drawLoads(seed, records) ?? drawPulls(seed, records);
  const drawn: Scenario = more === undefined ? drawShared(seed, records) : { ...records, ...more };
  const ranges = drawRanges(seed);
  if (ranges === undefined) return drawn;
  const swarm = ranges.differs === 0 ? drawn.swarm : { ...drawn.swarm, 'range-differs': ranges.differs };
  return { ...drawn, ranges: true, swarm };
}

/**
 * What is sent once more after it was refused comes behind what was taken meanwhile, and nobody can know that it is the
 * older one: so nobody refuses for now, unless each record travels alone, and nobody sends what was refused for good.
 */
function drawShared(seed: number, records: Scenario): Scenario {
  if (records.rung !== 'put' || !Tape.ofSeed(seed ^ 0x05ba12ed).chance(SHARED_SHARE)) return records;
  const { 'operator-retries': _, 'operator-resends': __, 'refusal-for-now': later, ...rest } = records.swarm;
  const swarm = later === undefined || records.recordsPerBatch > 1 ? rest : { ...rest, 'refusal-for-now': later };
  return { ...records, shared: true, swarm };
}

function drawRecords(seed: number, only?: Rung): Scenario {
  const tape = Tape.ofSeed(seed ^ 0x5eed5eed);
  const drawn = tape.pick(RUNGS);
  const rung = only ?? drawn;
  const swarm = blameless(drawSwarm(tape, rung));
  const timeout = tape.pick([200, 1_000, 5_000]);
  return {
    rung,
    rows: tape.pick([3, 5, 8, 13]),
    keyed: rung === 'put' || tape.draw(4) > 0,
    repeats: tape.draw(5) === 4,
    onDuplicate: tape.pick(['report', 'drop']),
    chunkRecords: tape.pick([2, 3, 20]),
    resumable: tape.draw(2) === 1,
    recordsPerBatch: tape.pick([2, 1, 3, 5]),
    inFlight: rung === 'position' ? 1 : tape.pick([1, 2, 4]),
    intendAhead: tape.pick([0, 1, 3]),
    deliver: tape.pick(['after-read', 'while-reading']),
    lanes: tape.draw(6) === 5 ? 2 : 1,
    windows: tape.draw(4) === 3 ? 2 : 1,
    onDoubt: tape.pick(['hold', 'hold', 'hold', 'resend', 'skip']),
    onChanged: tape.pick(['hold', 'append', 'ignore']),
    leaseMs: tape.pick([10_000, 3_000, 60_000]),
    requestTimeoutMs: timeout,
    visibilityLagMs: tape.pick([0, 300, 4_000]),
    keyHorizonMs: timeout * tape.pick([1_000, 20, 8]),
    rejectsAtomically: tape.draw(3) === 2,
    localLedger: tape.draw(3) > 0,
    provesDeath: tape.draw(3) > 0,
    attempts: tape.pick([5, 3, 8]),
    faultyMs: tape.pick([20_000, 5_000, 120_000]),
    swarm,
  };
}
