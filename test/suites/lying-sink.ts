import { setImmediate } from 'node:timers/promises';
import type { Abilities, Permit, Sink } from '../../src/connectors/connector.ts';
import { pick } from '../../src/ledger/staging.ts';
import { LINES } from '../../src/model/batch.ts';
import { NotAppliedError } from '../../src/model/errors.ts';
import { applied } from '../../src/model/verdict.ts';
import type { Ability, SinkFixture } from '../../src/testing/suites/sink-subject.ts';
import { memoryFixture } from '../connectors/memory.ts';

/** A sink that claims an ability and does not keep what that promises; and the case that has to notice. */
export interface Lie {
  /** What is false. */
  readonly title: string;
  readonly abilities: readonly Ability[];
  /** Part of the title of a case that has to fail. */
  readonly noticedBy: string;
  open(): SinkFixture;
}

type Options = Parameters<typeof memoryFixture>[0];

/** Changes what a memory sink can do, in this process and in every other that has it open. */
function lying(
  abilities: readonly Ability[],
  change: (sink: Sink) => Partial<Abilities>,
  options: Options = {},
): () => SinkFixture {
  return () => {
    const fixture = memoryFixture({ abilities, ...options });
    const lie = (sink: Sink): Sink => ({ ...sink, can: { ...sink.can, ...change(sink) } });
    return { ...fixture, sink: lie(fixture.sink), another: () => lie(fixture.another!()) };
  };
}

const withoutLast = async (permit: Permit): Promise<Permit> => {
  const whole = await permit.payload();
  const count = permit.batch.records - 1;
  const picks = Array.from({ length: count }, (_, at) => at);
  const part = pick(whole, picks, LINES);
  return { ...permit, batch: { ...permit.batch, records: count }, payload: async () => part };
};

const all = (permit: Permit) => applied(permit.batch.records, { summary: 'all of it, surely' });

/** Time in which somebody else may come. */
const slowly = async (): Promise<void> => {
  for (let turn = 0; turn < 3; turn++) await setImmediate();
};

/** The sink shows what the lie is about and nothing else, so that it is not found out for something else. */
const lie = (title: string, abilities: readonly Ability[], noticedBy: string, open: Lie['open']): Lie => ({
  title,
  abilities,
  noticedBy,
  open() {
    const fixture = open();
    const narrow = (sink: Sink): Sink => ({
      ...sink,
      can: Object.fromEntries(abilities.flatMap((name) => (sink.can[name] ? [[name, sink.can[name]]] : []))),
    });
    return { ...fixture, sink: narrow(fixture.sink), another: () => narrow(fixture.another!()) };
  },
});

/** A lie about what the sink shows. */
const pretence = (title: string, abilities: readonly Ability[], noticedBy: string, open: Lie['open']): Lie => ({
  title,
  abilities,
  noticedBy,
  open,
});

/** Shows `append` beneath another name: what it is called with is added each time. */
const appending = (name: 'appendOnce' | 'put', seen: Ability): (() => SinkFixture) => {
  return () => {
    const fixture = memoryFixture({ abilities: ['append', seen] });
    const change = (sink: Sink): Sink => ({ ...sink, can: { [name]: (permit: Permit) => sink.can.append!(permit) } });
    return { ...fixture, sink: change(fixture.sink), another: () => change(fixture.another!()) };
  };
};

export const SINK_LIES: readonly Lie[] = [
  lie('append that drops what it has seen', ['append'], 'adds them again', () => {
    const seen = new Set<string>();
    return lying(['append'], ({ can }) => ({
      append: async (permit) => {
        if (seen.has(permit.batch.digest)) return all(permit);
        seen.add(permit.batch.digest);
        return await can.append!(permit);
      },
    }))();
  }),
  lie(
    'a verdict that says applied of a record that is not there',
    ['append'],
    'accounts for each record',
    lying(['append'], ({ can }) => ({
      append: async (permit) => {
        await can.append!(await withoutLast(permit));
        return all(permit);
      },
    })),
  ),
  lie(
    'a verdict that leaves a record out',
    ['append'],
    'accounts for each record',
    lying(['append'], ({ can }) => ({
      append: async (permit) => {
        await can.append!(permit);
        return applied(permit.batch.records - 1, { summary: 'nearly all' });
      },
    })),
  ),
  lie(
    'a refusal that is passed off as applied',
    ['append'],
    'answers for a record that it refuses',
    lying(['append'], ({ can }) => ({
      append: async (permit) => {
        await can.append!(permit);
        return all(permit);
      },
    })),
  ),
  lie(
    'a sink that goes on although it was told to stop',
    ['append'],
    'told to stop before it began',
    lying(['append'], ({ can }) => ({
      append: (permit) => can.append!({ ...permit, signal: new AbortController().signal }),
    })),
  ),
  lie('a lost answer that is passed off as not applied', ['append'], 'an answer that was lost', () => {
    const fixture = lying(['append'], ({ can }) => ({
      append: async (permit) => {
        await can.append!(permit);
        throw new NotAppliedError('the connection was reset, so nothing can have arrived');
      },
    }))();
    return { ...fixture, lose: { ...fixture.lose, 'lost-reply': (send) => send() } };
  }),
  lie(
    'atomic rejection that leaves the good records behind',
    ['append'],
    'answers for a record that it refuses',
    () => {
      const fixture = memoryFixture({ abilities: ['append'] });
      return { ...fixture, sink: { ...fixture.sink, facts: { rejectsAtomically: true } } };
    },
  ),
  lie(
    'appendAt that adds wherever it stands',
    ['appendAt'],
    'adds only at the position',
    lying(['appendAt'], ({ can, facts }) => ({
      appendAt: async (permit) => await can.appendAt!(permit, await facts.tail!()),
    })),
  ),
  lie(
    'appendAt that looks first and adds later',
    ['appendAt'],
    'lets one of many have a position',
    lying(['appendAt'], ({ can, facts }) => ({
      appendAt: async (permit, expected) => {
        const free = (await facts.tail!()) === expected;
        await slowly();
        return await can.appendAt!(permit, free ? await facts.tail!() : expected);
      },
    })),
  ),
  lie(
    'a position that goes back',
    ['appendAt'],
    'adds only at the position',
    lying(['appendAt'], ({ can }) => ({
      appendAt: async (permit, expected) => {
        const verdict = await can.appendAt!(permit, expected);
        return { ...verdict, receipt: { ...verdict.receipt, position: '0' } };
      },
    })),
  ),
  lie(
    'appendOnce that applies twice',
    ['appendOnce'],
    'an answer that was lost',
    appending('appendOnce', 'appendOnce'),
  ),
  lie('put that appends', ['put'], 'changes nothing when it is called again', appending('put', 'put')),
  lie('put that keeps what is there', ['put'], 'replaces what stands under a key', () => {
    const seen = new Set<string>();
    return lying(['put'], ({ can }) => ({
      put: async (permit) => {
        const hex = Buffer.from((await permit.payload()).keys).toString('hex');
        const keys = hex.match(/.{32}/g) ?? [];
        if (keys.some((key) => seen.has(key))) return all(permit);
        for (const key of keys) seen.add(key);
        return await can.put!(permit);
      },
    }))();
  }),
  lie('a marker that is written after the records', ['commitOnce'], 'lets one of many at once commit', () => {
    const markers = new Set<string>();
    return lying(['commitOnce', 'append'], ({ can }) => ({
      commitOnce: async (permit) => {
        if (markers.has(permit.batch.idempotencyKey)) return 'already';
        await slowly();
        const verdict = await can.append!(permit);
        markers.add(permit.batch.idempotencyKey);
        return verdict;
      },
    }))();
  }),
  lie('a marker that stands although the records do not', ['commitOnce'], 'applied by half', () => {
    const markers = new Set<string>();
    let dies = false;
    const fixture = lying(['commitOnce', 'append'], ({ can }) => ({
      commitOnce: async (permit) => {
        if (markers.has(permit.batch.idempotencyKey)) return 'already';
        markers.add(permit.batch.idempotencyKey);
        if (dies) throw new Error('the process has died');
        return await can.append!(permit);
      },
    }))();
    const dying: NonNullable<SinkFixture['lose']>[keyof NonNullable<SinkFixture['lose']>] = async (send) => {
      dies = true;
      try {
        return await send();
      } finally {
        dies = false;
      }
    };
    return { ...fixture, lose: { 'half-applied': dying } };
  }),
  lie('a marker that takes other content for the same', ['commitOnce'], 'finds the marker of a batch', () => {
    const markers = new Set<string>();
    return lying(['commitOnce'], ({ can }) => ({
      commitOnce: async (permit) => {
        if (markers.has(permit.batch.idempotencyKey)) return 'already';
        markers.add(permit.batch.idempotencyKey);
        return await can.commitOnce!(permit);
      },
    }))();
  }),
  lie('a marker that is said to be there', ['commitOnce', 'marked'], 'tells whether the marker', () =>
    lying(['commitOnce', 'marked'], () => ({ marked: async () => true }))(),
  ),
  lie('a marker that is put by looking for it', ['commitOnce', 'marked'], 'tells whether the marker', () => {
    const asked = new Set<string>();
    return lying(['commitOnce', 'marked'], ({ can }) => ({
      marked: async (lost) => {
        const { idempotencyKey } = lost.batch;
        const there = asked.has(idempotencyKey) || (await can.marked!(lost));
        asked.add(idempotencyKey);
        return there;
      },
    }))();
  }),
  lie('a marker that comes after it was said not to', ['commitOnce', 'marked'], 'lets nothing in of a send', () => {
    const put = new Set<string>();
    return lying(['commitOnce', 'marked'], ({ can }) => ({
      commitOnce: async (permit) => {
        const verdict = await can.commitOnce!(permit);
        put.add(permit.batch.idempotencyKey);
        return verdict;
      },
      marked: async ({ batch }) => put.has(batch.idempotencyKey),
    }))();
  }),
  lie('a job that submits when it is opened', ['job'], 'submits nothing by opening', () =>
    lying(['job'], ({ can }) => ({
      job: {
        ...can.job!,
        open: async (permit) => {
          const handle = await can.job!.open(permit);
          await can.job!.send(handle, permit);
          return handle;
        },
      },
    }))(),
  ),
  lie('a job that says empty after its data has come', ['job'], 'an answer that was lost', () =>
    lying(['job'], ({ can }) => ({ job: { ...can.job!, state: async () => 'empty' as const } }))(),
  ),
  lie(
    'find that finds everything',
    ['append', 'find'],
    'finds what is there and nothing else',
    lying(['append', 'find'], () => ({
      find: async (batch) => ({ records: Array(batch.records).fill('applied'), evidence: 'all found' }),
    })),
  ),
  lie(
    'find that finds nothing',
    ['append', 'find'],
    'an answer that was lost',
    lying(['append', 'find'], () => ({
      find: async (batch) => ({ records: Array(batch.records).fill('absent'), evidence: 'none found' }),
    })),
  ),
  lie(
    'find that answers for the batch, and not for each record',
    ['append', 'find'],
    'tells the records of one batch apart',
    lying(['append', 'find'], ({ can }) => ({
      find: async (batch, payload) => {
        const { records, evidence } = await can.find!(batch, payload);
        const some = records.includes('applied');
        return { records: records.map(() => (some ? 'applied' : 'absent')), evidence };
      },
    })),
  ),
  lie(
    'find that forgets a record',
    ['append', 'find'],
    'finds what is there and nothing else',
    lying(['append', 'find'], ({ can }) => ({
      find: async (batch, payload) => {
        const { records, evidence } = await can.find!(batch, payload);
        return { records: records.slice(1), evidence };
      },
    })),
  ),
  lie(
    'a fence that shuts nobody out',
    ['append', 'fence'],
    'shuts out what is older',
    lying(['append', 'fence'], () => ({ fence: async () => undefined })),
  ),
  lie('a fence that falls', ['append', 'fence'], 'shuts out what is older', () => {
    const fixture = memoryFixture({ abilities: ['append', 'fence'] });
    const { table } = fixture.sink as ReturnType<typeof import('../../src/connectors/memory/sink.ts').memorySink>;
    const fence = async (lane: string, value: number) => {
      table.fences.set(lane, value);
    };
    return { ...fixture, sink: { ...fixture.sink, can: { ...fixture.sink.can, fence } } };
  }),
  lie(
    'a fence for all lanes at once',
    ['append', 'fence'],
    'shuts out what is older',
    lying(['append', 'fence'], ({ can }) => ({
      fence: async (_lane, fence) => {
        for (const lane of ['test-lane', 'other-lane']) await can.fence!(lane, fence);
      },
    })),
  ),
  lie('a fence that is looked at before the bytes are there', ['append', 'fence'], 'even when it has its bytes', () => {
    const fences = new Map<string, number>();
    return lying(['append', 'fence'], ({ can }) => ({
      append: async (permit) => {
        const raised = fences.get(permit.batch.lane) ?? 0;
        const fence = permit.fence < raised ? permit.fence : Number.MAX_SAFE_INTEGER;
        return await can.append!({ ...permit, fence });
      },
      fence: async (lane, fence) => {
        fences.set(lane, Math.max(fence, fences.get(lane) ?? 0));
        await can.fence!(lane, fence);
      },
    }))();
  }),
  pretence('an ability that its author does not name', ['append'], 'shows what its author says', () =>
    memoryFixture({ abilities: ['append', 'find'] }),
  ),
  pretence('an ability that is named and not shown', ['append', 'find'], 'shows what its author says', () =>
    memoryFixture({ abilities: ['append'] }),
  ),
  pretence('an ability that nobody has a check for', ['append'], 'shows what its author says', () => {
    const fixture = memoryFixture({ abilities: ['append'] });
    const can = { ...fixture.sink.can, replace: async () => undefined } as Partial<Abilities>;
    return { ...fixture, sink: { ...fixture.sink, can } };
  }),
  pretence('a named ability that the suite does not know', ['append', 'replace' as Ability], 'replace: is known', () =>
    memoryFixture({ abilities: ['append'] }),
  ),
  lie('a horizon without the ability that it belongs to', ['append'], 'shows what its author says', () => {
    const fixture = memoryFixture({ abilities: ['append'] });
    return { ...fixture, sink: { ...fixture.sink, facts: { key: { horizonMs: 1, storesErrors: false } } } };
  }),
  lie('no fixture for a record that is refused', ['append'], 'answers for a record that it refuses', () => {
    const { refused: _refused, ...fixture } = memoryFixture({ abilities: ['append'] });
    return fixture;
  }),
  lie('no fixture for a batch that is applied by half', ['commitOnce'], 'applied by half', () => {
    const { lose: _lose, ...fixture } = memoryFixture({ abilities: ['commitOnce'] });
    return fixture;
  }),
  lie('no fixture for a lag', ['append', 'find'], 'finds what is there', () => {
    const clock = { wallMs: () => 0, monotonicMs: () => 0 };
    return memoryFixture({ abilities: ['append', 'find'], visibilityLagMs: 5, clock });
  }),
];
