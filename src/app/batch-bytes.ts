import { Payloads } from '../engine/payloads.ts';
import { type Remake, Remaker } from '../engine/remake.ts';
import type { BatchRow, Ledger } from '../ledger/ledger.ts';
import type { Staging } from '../ledger/staging.ts';
import { WaybillError } from '../model/errors.ts';
import { showBatch } from '../model/ids.ts';
import { requireFlow } from './findings.ts';
import type { Config, FlowConfig } from './flow-config.ts';
import { type WiredFlow, type WireWorld, wireFlow } from './wire.ts';

type BatchOf = Pick<BatchRow, 'id' | 'flow' | 'lane'>;

/**
 * The bytes of batches for people who look at them or decide about them. How the records of a lane stand in its batches
 * is said by the flow file, and so is where the source is that has the bytes of those that are ranges; it is opened for
 * the first of these.
 */
export class BatchBytes {
  readonly #config: Config;
  readonly #world: WireWorld;
  readonly #staging: Staging;
  readonly #ledger: Pick<Ledger, 'identity'>;
  readonly #flows = new Map<string, WiredFlow>();
  readonly #remakers = new Map<string, Remaker>();

  constructor(
    { config, world }: { readonly config: Config; readonly world: WireWorld },
    { staging, ledger }: { readonly staging: Staging; readonly ledger: Pick<Ledger, 'identity'> },
  ) {
    this.#config = config;
    this.#world = world;
    this.#staging = staging;
    this.#ledger = ledger;
  }

  payloads(batch: BatchOf): Payloads {
    return new Payloads(this.#staging, this.#laneOf(batch).sink.accepts, this.remakeOf(batch));
  }

  remakeOf(batch: BatchOf): Remake {
    return async (staged, signal) => await this.#remaker(batch).remake(staged, signal);
  }

  async close(): Promise<void> {
    for (const flow of this.#flows.values()) await flow.close();
  }

  #remaker(batch: BatchOf): Remaker {
    const name = JSON.stringify([batch.flow, batch.lane]);
    const known = this.#remakers.get(name);
    if (known !== undefined) return known;
    const lane = this.#laneOf(batch);
    const remaker = new Remaker(this.#flow(batch).source, lane, this.#ledger.identity.seed);
    this.#remakers.set(name, remaker);
    return remaker;
  }

  #laneOf(batch: BatchOf): WiredFlow['lanes'][number] {
    const lane = this.#flow(batch).lanes.find(({ name }) => name === batch.lane);
    if (lane !== undefined) return lane;
    const what = `the bytes of ${showBatch(batch.id)} cannot be framed`;
    const message = `${what}: flow ${batch.flow} has no lane ${batch.lane} any more`;
    throw new WaybillError('CONFIG_INVALID', message, { ids: { batch: showBatch(batch.id), lane: batch.lane } });
  }

  #flow(batch: BatchOf): WiredFlow {
    const known = this.#flows.get(batch.flow);
    if (known !== undefined) return known;
    const config: FlowConfig = requireFlow(this.#config, batch.flow);
    const wired = wireFlow(config, this.#world);
    this.#flows.set(batch.flow, wired);
    return wired;
  }
}
