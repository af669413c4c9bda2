import type { LoadAbilities, Permit } from '../../connectors/connector.ts';
import type { MemoryLoads } from '../../connectors/memory/loads.ts';
import { NotAppliedError, RefusedError, WaybillError } from '../../model/errors.ts';
import type { LoadStep, StepReceipt } from '../../model/load.ts';
import type { LoadScenario } from './load-scenario.ts';
import type { Line, Network } from './network.ts';
import type { SimProcess } from './process.ts';
import { surelyUp } from './sink-faults.ts';
import type { SinkServer } from './sink-server.ts';

/** Told of every step at the moment at which its request leaves; answers whether the ledger has it as begun. */
export type StepWitness = (process: SimProcess, ability: string, step: LoadStep) => boolean;

/** What a client of loads needs beside its process. */
export interface LoadParts {
  readonly scenario: { readonly requestTimeoutMs: number };
  readonly server: SinkServer;
  readonly network: Network;
  readonly asked: StepWitness;
}

type Step = (ability: string, step: LoadStep, work: (loads: MemoryLoads) => StepReceipt) => Promise<StepReceipt>;

/** Everything that a connector to a store with loads can do, over the simulated network. */
export function loadAbilities(
  process: SimProcess,
  parts: LoadParts,
  add: (permit: Permit) => Promise<'already' | Awaited<ReturnType<LoadAbilities['load']['add']>>>,
): LoadAbilities {
  const { network, server, scenario } = parts;
  const line: Line = { kind: 'ask', timeoutMs: scenario.requestTimeoutMs, arrivesWithinMs: scenario.requestTimeoutMs };
  const ask = <T>(name: string, work: (loads: MemoryLoads) => T): Promise<T> =>
    network.call(process, name, 0, line, () => {
      if (server.isDown) throw new NotAppliedError('the sink is down', { sinkAway: true });
      return work(server.loads!.memory);
    });
  const step: Step = (...asked) => stepOf(process, parts, ...asked);
  return {
    load: { open: (of) => step('load.open', of, (loads) => loads.open(of)), add },
    appendLoad: (of) => step('appendLoad', of, (loads) => loads.appendLoad(of)),
    replace: (of, scope) => step('replace', of, (loads) => loads.replace(of, scope)),
    merge: (of, by) => step('merge', of, (loads) => loads.merge(of, by)),
    mergeAt: (of, by, at) => step('mergeAt', of, (loads) => loads.mergeAt(of, by, at)),
    addToPeriod: (of, period, fresh) => step('addToPeriod', of, (loads) => loads.addToPeriod(of, period, fresh)),
    publish: (of, keep) => step('publish', of, (loads) => loads.publish(of, keep)),
    versions: {
      current: () => ask('versions.current', (loads) => loads.current),
      kept: () => ask('versions.kept', (loads) => loads.kept),
      restore: (of, version) => step('versions.restore', of, (loads) => loads.restore(of, version)),
    },
  };
}

/** Which of them a sink shows that is made for one strategy. */
export function abilitiesFor({ strategy, past }: LoadScenario): readonly (keyof LoadAbilities)[] {
  switch (strategy) {
    case 'transactional-writer':
      return ['load', 'appendLoad'];
    case 'data-overwrite':
      return ['load', 'replace'];
    case 'merger':
      return ['load', 'merge'];
    case 'stateful-merger':
      return past === 'history' ? ['load', 'mergeAt'] : ['load', 'merge', 'versions'];
    case 'metadata-cleaner':
      return ['load', 'addToPeriod'];
    case 'proxy':
      return ['load', 'publish'];
  }
}

/**
 * One step on its way to the sink. It may arrive long after its sender has given it up: only the fence and what the
 * sink keeps of each load stand between it and readers.
 */
async function stepOf(
  process: SimProcess,
  { network, server, scenario, asked }: LoadParts,
  ability: string,
  step: LoadStep,
  work: (loads: MemoryLoads) => StepReceipt,
): Promise<StepReceipt> {
  if (step.signal.aborted) throw new NotAppliedError('given up before it began');
  const { world, name: sender } = process;
  const request = { ability, step, sender, intended: asked(process, ability, step) };
  world.tell(sender, `asks ${ability} of ${step.load.window.name}#${step.load.generation} fence ${step.fence}`);
  const timeoutMs = scenario.requestTimeoutMs;
  const line: Line = { kind: 'send', timeoutMs, arrivesWithinMs: timeoutMs * 8, signal: step.signal };
  return await network.call(process, ability, 0, line, () => {
    surelyUp(server, world);
    const effects = server.loads!.effects.length;
    const receipt = server.loads!.step(request, work);
    const late = !process.alive && ability !== 'load.open' && server.loads!.effects.length > effects;
    if (late) world.mark('a load was published after its process had died');
    world.tell('sink', `${ability} of ${step.load.window.name}#${step.load.generation}: ${receipt.summary}`);
    if (world.fault('error-after-apply')) throw new WaybillError('SINK_FAILED', '500: after the effect');
    return receipt;
  });
}

/** The load of a batch; a permit without one is a fault of the engine. */
export function loadOf({ load }: Permit): NonNullable<Permit['load']> {
  if (load === undefined) throw new RefusedError('the batch belongs to no load', { reason: 'no-load' });
  return load;
}
