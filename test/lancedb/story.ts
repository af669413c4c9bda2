import type { Sink } from '../../src/connectors/connector.ts';
import { asRunId } from '../../src/model/ids.ts';
import type { Load, LoadRow, LoadStep, StepReceipt } from '../../src/model/load.ts';
import { strategies } from '../../src/strategies/all.ts';
import type { FlowFacts, Loading, LoadJob, Published } from '../../src/strategies/strategy.ts';
import { loadOf, permitOf, stepOf, surely } from './steps.ts';

export interface Item {
  readonly id: number;
  readonly name: string;
}
export const items = (...texts: readonly string[]): readonly Item[] =>
  texts.map((text) => ({ id: Number(text[0]), name: text }));

/** The table that stories are about. */
export const KEYED = { table: 't', key: ['id'], columns: { id: 'int64', name: 'text' } };

const FLOW: FlowFacts = { key: ['id'], window: 'day', load: {} };

/** The ledger's side of loads of days, with the real strategy: what is published is noted when its answer is there. */
export class Story {
  readonly loads: LoadRow[];
  readonly #loading: Loading;

  constructor(loads: readonly LoadRow[] = [], strategy = 'stateful-merger') {
    this.loads = [...loads];
    this.#loading = strategies[strategy]!.load!;
  }

  job(sink: Sink, step: LoadStep): LoadJob {
    return { sink, step, flow: FLOW, loads: this.loads };
  }

  /** Up to the publishing. */
  async collect(sink: Sink, load: Load, rows: readonly Item[], fence = 1): Promise<StepReceipt> {
    const receipt = await this.#loading.open(this.job(sink, stepOf(load, fence)));
    // What was published was delivered before: the engine sends none of it again.
    if (rows.length === 0 || /published already/.test(receipt.summary)) return receipt;
    await surely(sink, 'load').add(permitOf(load, rows, { batch: Number(load.window.name.slice(-2)) }));
    return receipt;
  }

  async publish(sink: Sink, load: Load, fence = 1): Promise<Published> {
    const published = await this.#loading.publish(this.job(sink, stepOf(load, fence)));
    this.note(load, published);
    return published;
  }

  /** What the ledger writes down after the answer; a crash may come before. */
  note(load: Load, { receipt }: Published): void {
    const { window, flow, lane, generation } = load;
    const others = this.loads.filter((one) => one.window.name !== window.name);
    const row = {
      run: asRunId(1),
      flow,
      window,
      lane,
      generation,
      state: 'published',
      tries: 1,
      beganAtMs: 0,
    } as const;
    this.loads.splice(0, this.loads.length, ...others, { ...row, published: receipt });
  }

  async run(sink: Sink, day: number, rows: readonly Item[], generation = 1): Promise<Published> {
    const load = loadOf(day, generation);
    await this.collect(sink, load, rows);
    return await this.publish(sink, load);
  }

  /** Which version each day left behind. */
  get state(): Readonly<Record<string, unknown>> {
    return Object.fromEntries(this.loads.map((load) => [load.window.name, load.published?.facts?.version]));
  }
}
