import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Ended, type Started, start } from './hard/processes.ts';
import { TestNats } from './nats.ts';
import { TestRedis } from './redis.ts';
import { missingProgram } from './server.ts';

const missing = missingProgram('redis-server') ?? missingProgram('nats-server');
beforeEach(({ skip }) => skip(missing !== undefined, missing));

const RECORDS = 1_200;
const KILLS = 4;

let redis: TestRedis;
let nats: TestNats;
beforeAll(async () => {
  if (missing !== undefined) return;
  redis = await TestRedis.start(['--requirepass', 'canary-pass'], 'canary-pass');
  nats = await TestNats.start();
});
afterAll(async () => {
  await redis?.stop();
  await nats?.stop();
});

let name: string;
let places = 0;
const folders: string[] = [];
const started: Started[] = [];
beforeEach(() => {
  name = `kill${++places}`;
});
afterEach(async () => {
  for (const child of started.splice(0)) {
    child.kill('SIGKILL');
    await child.ended;
  }
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A folder with a source, a flow file and, once it has been run, a ledger of its own. */
function newPlace(sink: string, strategy: string): { folder: string; change(sql: string): void } {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-kv-'));
  folders.push(folder);
  const change = (sql: string): void => {
    const db = new Database(join(folder, 'members.db'));
    db.exec(sql);
    db.close();
  };
  change(`create table members (id integer primary key, name text);
    with recursive n(i) as (select 1 union all select i + 1 from n where i < ${RECORDS})
    insert into members select i, 'member ' || i from n; create table copy (id integer primary key, name text)`);
  const text = `version: 1
connections:
  shop: { type: sqlite, file: members.db }
  cache: { type: redis, host: 127.0.0.1, port: ${redis.server.port}, password: env:CACHE }
  bus: { type: nats, servers: ["127.0.0.1:${nats.server.port}"] }
flows:
  members:
    source: { connection: shop, query: "select id, name from members order by id", key: id }
    sink: { ${sink}, limits: { maxRecords: 10 } }
    strategy: ${strategy}
    lease: 5s
`;
  writeFileSync(join(folder, 'waybill.yaml'), text);
  return { folder, change };
}

function run(folder: string, args: readonly string[] = ['run', 'members']): Started {
  const child = start({ folder, env: {} }, args, { ...process.env, CACHE: 'canary-pass', NO_COLOR: '1' });
  started.push(child);
  return child;
}

async function ended(child: Started): Promise<Ended> {
  const result = await child.ended;
  expect(result.status, result.stderr).toBe(0);
  return result;
}

interface Target {
  readonly strategy: 'keyed' | 'ledgered-append';
  sink(): string;
  make?(): Promise<unknown>;
  /** How many records are there, cheaply. */
  count(): Promise<number>;
  /** What is there, record by record, as often as it is there. */
  held(): Promise<readonly string[]>;
}

const size = async (stream: string): Promise<number> =>
  (await (await import('@nats-io/jetstream')).jetstreamManager(nats.connection).then((m) => m.streams.info(stream)))
    .state.messages;

const TARGETS: Readonly<Record<string, Target>> = {
  'keys of Redis': {
    strategy: 'keyed',
    sink: () => `connection: cache, key: [id], prefix: "${name}:", requestTimeoutSeconds: 1`,
    count: async () => (await redis.ask<string[]>('KEYS', `${name}:*`)).length,
    held: async () => [...(await redis.texts(`${name}:`))].map(([key, text]) => `${key} ${text}`),
  },
  'a stream of Redis': {
    strategy: 'ledgered-append',
    sink: () => `connection: cache, stream: ${name}, requestTimeoutSeconds: 1`,
    count: () => redis.ask<number>('XLEN', name),
    held: async () => (await redis.entries(name)).map(({ data }) => `${idOf(data!)} ${data}`),
  },
  'a bucket of NATS': {
    strategy: 'keyed',
    sink: () => `connection: bus, bucket: ${name}, key: [id], create: {}, requestTimeoutSeconds: 1`,
    count: () => size(`KV_${name}`).catch(() => 0),
    held: async () => [...(await nats.texts(name))].map(([key, text]) => `${key} ${text}`),
  },
  'a stream of NATS': {
    strategy: 'ledgered-append',
    sink: () => `connection: bus, stream: ${name}, subject: ${name}, requestTimeoutSeconds: 1`,
    make: () => nats.stream(name),
    count: () => size(name),
    held: async () => (await nats.messages(name)).map((text) => `${idOf(text)} ${text}`),
  },
};
const idOf = (text: string): number => (JSON.parse(text) as { id: number }).id;
const exact = Array.from({ length: RECORDS }, (_, at) => `${at + 1} {"id":${at + 1},"name":"member ${at + 1}"}`).sort();

describe.each(Object.keys(TARGETS))('a process that writes to %s', (title) => {
  const target = TARGETS[title]!;

  it(`P02: and is killed ${KILLS} times with SIGKILL leaves each record there once`, async () => {
    await target.make?.();
    const { folder } = newPlace(target.sink(), target.strategy);
    let killed = 0;
    for (let nth = 0; nth < KILLS; nth++) {
      const before = await target.count();
      const child = run(folder);
      let over = false;
      void child.ended.then(() => {
        over = true;
      });
      while (!over && (await target.count()) < before + 30 + nth * 40) await new Promise((turn) => setTimeout(turn, 1));
      child.kill('SIGKILL');
      if ((await child.ended).status === -1) killed++;
    }
    expect(killed, 'starts that were killed on their way').toBeGreaterThanOrEqual(3);
    expect(await target.count()).toBeLessThan(RECORDS);
    await ended(run(folder));
    expect([...(await target.held())].sort()).toEqual(exact);
    const { stdout } = await ended(run(folder, ['verify']));
    expect(stdout).not.toMatch(/difference/i);
  }, 120_000);
});

describe('a server that is killed with SIGKILL and started again while it is written to', () => {
  const kill = async (title: string): Promise<void> => {
    const server = title.endsWith('Redis') ? durable.server : nats;
    await server.kill();
    await server.again();
  };
  let durable: TestRedis;
  let usual: TestRedis;
  beforeAll(async () => {
    if (missing !== undefined) return;
    usual = redis;
    const flags = ['--requirepass', 'canary-pass', '--appendonly', 'yes', '--appendfsync', 'always'];
    durable = await TestRedis.start(flags, 'canary-pass');
    redis = durable;
  });
  afterAll(async () => {
    redis = usual;
    await durable?.stop();
  });

  it.each(Object.entries(TARGETS))(
    'P02: leaves each record there once (%s)',
    async (title, target) => {
      await target.make?.();
      const durability = title.endsWith('Redis') ? ', durability: fsync' : '';
      const { folder } = newPlace(target.sink() + durability, target.strategy);
      const first = run(folder);
      let over = false;
      void first.ended.then(() => {
        over = true;
      });
      while (!over && (await target.count()) < 150) await new Promise((turn) => setTimeout(turn, 1));
      expect(over, 'the run was under way').toBe(false);
      await kill(title);
      await first.ended;
      await ended(run(folder));
      await expect.poll(async () => [...(await target.held())].sort()).toEqual(exact);
    },
    60_000,
  );
});

describe('keyed writes', () => {
  const keyed = Object.entries(TARGETS).filter(([, { strategy }]) => strategy === 'keyed');

  it.each(keyed)(
    'P27: give the same keys in another process and ledger, and replace what is there (%s)',
    async (_, one) => {
      for (const nth of [1, 2]) {
        await ended(run(newPlace(one.sink(), one.strategy).folder));
        expect([...(await one.held())].sort(), `after process ${nth}`).toEqual(exact);
      }
      const { folder, change } = newPlace(one.sink(), one.strategy);
      change("update members set name = 'renamed' where id = 7; delete from members where id > 10");
      await ended(run(folder));
      const held = await one.held();
      expect(held).toHaveLength(RECORDS);
      expect(held).toContain('7 {"id":7,"name":"renamed"}');
    },
    60_000,
  );

  it('P30: into a bucket, which is a log, say that duplicates show until compaction, and they do', async () => {
    await nats.bucket(name, { history: 5 });
    const sink = `connection: bus, bucket: ${name}, key: [id]`;
    const [first, second] = [newPlace(sink, 'keyed'), newPlace(sink, 'keyed')];
    const plan = await ended(run(first.folder, ['plan', 'members']));
    expect(plan.stdout.replaceAll(/\s+/g, ' ')).toMatch(/sees duplicates: .* until they are removed by compaction/);
    for (const { folder } of [first, second]) await ended(run(folder));
    expect(await size(`KV_${name}`), 'revisions in the log').toBe(RECORDS * 2);
    expect((await nats.texts(name)).size, 'keys').toBe(RECORDS);
  });

  it('P30: into a table become upserts, and nothing is said of duplicates', async () => {
    const { folder, change } = newPlace('connection: shop, table: copy, key: [id]', 'keyed');
    const { stdout } = await ended(run(folder, ['plan', 'members']));
    expect(stdout).not.toMatch(/duplicates|compaction/);
    await ended(run(folder));
    change("update copy set name = 'stale'");
    await ended(run(folder, ['run', 'members', '--resend-all', '--reason', 'it was spoiled', '--yes']));
    const db = new Database(join(folder, 'members.db'), { readonly: true });
    expect(db.prepare("select count(*), count(distinct id), sum(name = 'stale') from copy").raw().get()).toEqual([
      RECORDS,
      RECORDS,
      0,
    ]);
    db.close();
  });
});
