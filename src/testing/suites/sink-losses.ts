import { setImmediate } from 'node:timers/promises';
import type { Permit, Sink } from '../../connectors/connector.ts';
import { applied, type Verdict } from '../../model/verdict.ts';
import { expect, fail } from './expect.ts';
import { expectTruthful, type Outcome, outcomeOf, type SinkBench } from './sink-bench.ts';
import { heldBack } from './sink-promises.ts';
import type { Losing, Loss, Sending } from './sink-subject.ts';

/** Turns of the event loop that a second sender gets before the first, which is held up, may go on. */
const HEAD_START_TURNS = 50;
/** How often the same batch is sent again before the suite gives up to be answered. */
const REPEATS_MAX = 20;

/**
 * Loses the answer to one send in one way, finds out what became of it by what the ability is for, and goes on from
 * there: in the end the sink holds every record once. Where the sink can only add and cannot be asked, nobody can find
 * out, and all that is asked is that its answer claims nothing that is not so.
 */
export async function losesAndRecovers(bench: SinkBench, ability: Sending, loss: Loss): Promise<void> {
  const records = [1, 2, 3, 4].slice(0, bench.sink.limits.recordsPerBatch);
  const lost = await LostSend.begin(bench, ability, records);
  await lost.lose(loss);
  await bench.settle();
  const held = await bench.held();
  if (ability === 'append' && bench.sink.can.find === undefined) {
    expect([...new Set(held)], 'no record is held more than once').toEqual(held);
    return;
  }
  expect(held, `after ${loss}, and after it was found out what became of it`).toEqual(records.map(String));
}

/** What was durable before the first byte left. */
interface Notes {
  readonly expected?: string;
  readonly handle?: string;
}

/** A batch on its way, and what a second sender knows of it: its notes, not its answer. */
class LostSend {
  readonly #bench: SinkBench;
  readonly #ability: Sending;
  readonly #records: readonly number[];
  readonly #notes: Notes;

  constructor(bench: SinkBench, ability: Sending, records: readonly number[], notes: Notes) {
    this.#bench = bench;
    this.#ability = ability;
    this.#records = records;
    this.#notes = notes;
  }

  static async begin(bench: SinkBench, ability: Sending, records: readonly number[]): Promise<LostSend> {
    if (ability === 'appendAt') {
      return new LostSend(bench, ability, records, { expected: await bench.sink.facts.tail!() });
    }
    if (ability !== 'job') return new LostSend(bench, ability, records, {});
    return new LostSend(bench, ability, records, { handle: await bench.sink.can.job!.open(bench.permit({ records })) });
  }

  async lose(loss: Loss): Promise<void> {
    const given = this.#bench.fixture.lose?.[loss];
    if (typeof given === 'function') return await this.#loseBeneath(loss, given);
    // What cannot happen comes to the same as a request that never arrived: nothing of it is applied.
    if (given !== undefined) return await this.#recover();
    switch (loss) {
      case 'lost-request':
        return await this.#recover();
      case 'lost-reply':
        await this.#send();
        return await this.#recover();
      case 'half-applied':
        await this.#sendHalf();
        return await this.#recover();
      default:
        return await this.#sendLate();
    }
  }

  /** The answer is lost beneath the connector, so what the connector makes of it counts as well. */
  async #loseBeneath(loss: Loss, losing: Losing): Promise<void> {
    const outcome: Outcome = await outcomeOf(losing(() => this.#send()));
    // An answer about something that is still on its way is judged when it has arrived.
    if (loss !== 'applied-late' || this.#mustWait) await this.#bench.settle();
    if (loss !== 'applied-late') expectTruthful(outcome, this.#records, await this.#bench.held());
    await this.#recover();
  }

  async #sendHalf(): Promise<void> {
    if (this.#ability !== 'append' && this.#ability !== 'put') {
      fail(
        `${this.#ability} takes a batch as a whole: give the fixture \`lose: { 'half-applied': ... }\`, how one is ` +
          'broken off half-way, or { never: why it cannot happen }',
      );
    }
    const half = this.#records.slice(0, Math.floor(this.#records.length / 2));
    const { idempotencyKey } = this.#permit(1).batch;
    if (half.length > 0) await this.#bench.send(this.#ability, { records: half, idempotencyKey });
  }

  /** The first sender has its bytes and sleeps; a second one finds out and goes on; then the first one wakes. */
  async #sendLate(): Promise<void> {
    const { permit, asked, release } = heldBack(this.#permit(1));
    const late = outcomeOf(this.#send(permit));
    await Promise.race([asked, late]);
    if (this.#mustWait) {
      release();
      await late;
      return await this.#recover();
    }
    const second = this.#recover();
    // Waited for below; it may fail before that.
    second.catch(() => undefined);
    for (let turn = 0; turn < HEAD_START_TURNS; turn++) await setImmediate();
    release();
    await Promise.all([late, second]);
  }

  /** Only the sink's own state is asked, so whoever asks has to wait until nothing can be on its way any more. */
  get #mustWait(): boolean {
    return this.#ability === 'append' || this.#ability === 'job';
  }

  async #recover(): Promise<void> {
    const sink = this.#bench.other();
    if (this.#ability === 'append') return await this.#look(sink);
    if (this.#ability === 'job') return await this.#askJob(sink);
    await this.#again(sink);
  }

  async #look(sink: Sink): Promise<void> {
    if (sink.can.find === undefined) return;
    await this.#bench.settle();
    const held = await this.#bench.held();
    const { records } = await this.#bench.find({ records: this.#records }, sink);
    const absent = this.#records.filter((_, at) => records[at] === 'absent');
    const said = this.#records.filter((_, at) => records[at] === 'applied');
    expect(
      absent.filter((n) => held.includes(`${n}`)),
      'said to be absent, and held',
    ).toEqual([]);
    expect(said.map(String), 'said to be applied; what is held').toEqual(held);
    if (absent.length > 0) await this.#bench.send('append', { records: absent, batch: 2 }, { sink });
  }

  async #askJob(sink: Sink): Promise<void> {
    const handle = this.#notes.handle!;
    const permit = this.#permit(2);
    const state = await sink.can.job!.state(handle, permit.batch);
    if (state === 'empty') await this.#bench.sendPermit('job', permit, { sink });
    else await this.#bench.jobEnd(handle, permit, sink);
  }

  async #again(sink: Sink): Promise<void> {
    for (let repeat = 2; repeat < REPEATS_MAX; repeat++) {
      const outcome = await outcomeOf(this.#sendOnce(this.#permit(repeat), sink));
      if (outcome.kind === 'refused') throw outcome.error;
      if (outcome.kind === 'verdict') return;
      await this.#bench.settle();
    }
    fail(`the batch was not answered in ${REPEATS_MAX} attempts`);
  }

  async #send(permit = this.#permit(1)): Promise<Verdict> {
    const { handle } = this.#notes;
    if (handle === undefined) return await this.#sendOnce(permit, this.#bench.sink);
    await this.#bench.sink.can.job!.send(handle, permit);
    return await this.#bench.jobEnd(handle, permit);
  }

  async #sendOnce(permit: Permit, sink: Sink): Promise<Verdict> {
    const { expected } = this.#notes;
    if (this.#ability === 'commitOnce') return await this.#commit(permit, sink);
    return await this.#bench.sendPermit(this.#ability, permit, {
      sink,
      ...(expected === undefined ? {} : { expected }),
    });
  }

  /** A marker that is found is the answer that was lost. */
  async #commit(permit: Permit, sink: Sink): Promise<Verdict> {
    const answer = await sink.can.commitOnce!(permit);
    return answer === 'already' ? applied(permit.batch.records, { summary: 'the marker was there' }) : answer;
  }

  #permit(attempt: number): Permit {
    return this.#bench.permit({ records: this.#records, attempt });
  }
}
