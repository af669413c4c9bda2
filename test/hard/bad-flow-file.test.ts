import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DAY, DailyJob, members } from '../daily/daily-job.ts';
import { expectError } from './processes.ts';

let job: DailyJob;
beforeEach(async () => {
  job = await DailyJob.open({ members: members(250) });
});
afterEach(() => job.close());

/** Nothing was begun: no ledger, no staged bytes, no request. */
function expectUntouched(): void {
  expect(existsSync(join(job.folder, '.waybill')), readdirSync(job.folder).join(' ')).toBe(false);
  expect(job.peer.received).toHaveLength(0);
}

const write = (...lines: readonly string[]): void => writeFileSync(join(job.folder, 'waybill.yaml'), lines.join('\n'));
const flow = (source: string, sink: string, ...more: readonly string[]): readonly string[] => [
  'flows:',
  '  roket-daily:',
  `    source: ${source}`,
  `    sink: ${sink}`,
  ...more.map((line) => `    ${line}`),
];
const SOURCE = '{ connection: files, path: in.ndjson, key: [id] }';
const SINK = '{ connection: roket, path: /v1, receipt: { shape: none } }';
const ROKET = '  roket: { type: http, url: "http://127.0.0.1:1" }';

describe('a flow file that is wrong', () => {
  const FINDINGS = [
    ['waybill.yaml:3:51', 'connectTimeuot', 'connectTimeout'],
    ['waybill.yaml:6:51', 'keys', 'key'],
    ['waybill.yaml:7:43', 'recipt', 'receipt'],
    ['waybill.yaml:8:5', 'onDuobt', 'onDoubt'],
    ['waybill.yaml:9:5', 'windw', 'window'],
  ];

  it.each([['check'], ['plan'], ['run']])(
    'names every unknown key at once, with its place and the nearest key: waybill %s',
    async (command) => {
      write(
        'version: 1',
        'connections:',
        '  roket: { type: http, url: "http://127.0.0.1:1", connectTimeuot: 5s }',
        ...flow(
          '{ connection: files, path: in.ndjson, keys: [id] }',
          '{ connection: roket, path: /v1, recipt: { shape: none } }',
          'onDuobt: hold',
          'windw: day',
        ),
      );
      const ended = await job.cli([command, ...(command === 'check' ? [] : ['roket-daily'])]);
      expect(ended.status, ended.stderr).toBe(2);
      const said = ended.stdout + ended.stderr;
      for (const [place = '', wrong = '', right = ''] of FINDINGS) {
        const line = said.split('\n').find((one) => one.includes(place));
        expect(line, `${place} in ${said}`).toContain(wrong);
        expect(said.slice(said.indexOf(place)), wrong).toMatch(new RegExp(`^[^]{0,200}\\b${right}\\b`));
      }
      expectUntouched();
    },
  );

  it('says of a connection that is not there which ones are', async () => {
    write('version: 1', 'connections:', ROKET, ...flow(SOURCE, SINK.replace('roket', 'rocket')));
    const said = expectError(await job.cli(['run', 'roket-daily']), 'CONNECTION_UNKNOWN', 2);
    expect(said).toMatch(/waybill\.yaml:7:\d+/);
    expect(said).toMatch(/rocket/);
    expect(said).toMatch(/roket\b/);
    expectUntouched();
  });

  it('says which variable is not set, and where it is asked for', async () => {
    write('version: 1', 'connections:', ROKET.replace('http://127.0.0.1:1', '${ROKET_URL}'), ...flow(SOURCE, SINK));
    const said = expectError(await job.cli(['run', 'roket-daily']), 'CONFIG_VARIABLE', 2);
    expect(said).toMatch(/waybill\.yaml:3:\d+/);
    expect(said).toMatch(/ROKET_URL/);
    expectUntouched();
  });

  it('says which secret is not set before anything is read, and the doctor knows', async () => {
    const missing = ROKET.replace(' }', ', auth: { bearer: "${NO_SUCH_TOKEN}" } }');
    write('version: 1', 'connections:', missing, ...flow(SOURCE, SINK));
    writeFileSync(join(job.folder, 'in.ndjson'), '{"id":1}\n');
    const unset = expectError(await job.cli(['run', 'roket-daily']), 'SECRET_MISSING', 2);
    expect(unset).toMatch(/NO_SUCH_TOKEN/);
    expect(unset).toMatch(/waybill\.yaml:3:\d+/);
    expectUntouched();
    const doctor = await job.cli(['doctor']);
    expect(doctor.status, doctor.stdout).toBe(1);
    expect(doctor.stdout).toMatch(/bad +secrets.*NO_SUCH_TOKEN/);
  });

  it.each([
    ['a token', ', auth: { bearer: hunter2-canary } }'],
    ['a password in an address', ', headers: { x: "https://user:hunter2-canary@h" } }'],
  ])('refuses %s that is written out, and does not repeat it', async (_, more) => {
    write('version: 1', 'connections:', ROKET.replace(' }', more), ...flow(SOURCE, SINK));
    const said = expectError(await job.cli(['run', 'roket-daily']), 'CONFIG_INVALID', 2);
    expect(said).toMatch(/waybill\.yaml:3:\d+/);
    expect(said).toMatch(/\$\{NAME\}/);
    expect(said).not.toMatch(/hunter2/);
    expectUntouched();
  });

  it.each([
    ['no YAML', 'version: 1\nflows: [\n', /waybill\.yaml:\d+:\d+/],
    ['an empty file', '', /waybill\.yaml/],
    ['a list', '- a\n- b\n', /waybill\.yaml/],
    ['another version', 'version: 2\nflows: {}\n', /waybill\.yaml:1:\d+.*version/],
    ['the same key twice', 'version: 1\nversion: 1\nflows: {}\n', /waybill\.yaml:2:1/],
  ])('says what is wrong with %s', async (_, text, wanted) => {
    write(text);
    const said = expectError(await job.cli(['run', 'roket-daily']), 'CONFIG_INVALID', 2);
    expect(said).toMatch(wanted);
    expectUntouched();
  });

  it('says where it looked when there is no flow file, and names the nearest flow when the name is wrong', async () => {
    expectError(await job.cli(['run', 'roket-daily', '--config', 'nowhere.yaml']), 'CONFIG_NOT_FOUND', 2);
    const said = expectError(await job.cli(['run', 'roket-dayly', '--for', DAY]), 'FLOW_UNKNOWN', 2);
    expect(said).toMatch(/roket-dayly/);
    expect(said).toMatch(/roket-daily/);
    expectUntouched();
  });
});

describe('a window', () => {
  it.each([
    '2026-13-45',
    '2026-02-29',
    '2026-11',
    '2026-W47',
    '2026-11-19T05',
    '19.11.2026',
    'yesterdy',
    'all',
    '../../etc/passwd',
    "2026-11-19'; drop table members; --",
    '2026-11-19\u001b[31m',
    '',
  ])('that is %j is refused for a flow of days, with what it should look like', async (name) => {
    const said = expectError(await job.cli(['run', 'roket-daily', '--for', name]), 'WINDOW_INVALID', 2);
    expect(said).toMatch(/20\d\d-\d\d-\d\d/);
    expect(said, 'steers no terminal').not.toContain('\u001b[31m');
    expectUntouched();
  });

  it.each([
    [['--from', '2026-11-20', '--to', '2026-11-19']],
    [['--from', '2026-11-20']],
    [['--for', DAY, '--from', DAY, '--to', DAY]],
    [['--for', DAY, '--lease', 'soon']],
    [['--for', DAY, '--empty-exit-code', '300']],
    [['--for', DAY, '--batches', 'x1']],
    [['--fro', DAY]],
  ])('asked for with %j is refused before anything is begun', async (args) => {
    const ended = await job.cli(['run', 'roket-daily', ...args]);
    expect(ended.status, ended.stderr).toBe(2);
    expect(ended.stderr).toMatch(/^error: /);
    expectUntouched();
  });

  it('that is empty is complete, sends nothing, and ends with the exit code that was asked for', async () => {
    const plain = await job.cli(['run', 'roket-daily', '--for', '2026-11-20']);
    expect(plain.status, plain.stderr).toBe(0);
    expect(plain.stdout).toMatch(/nothing to send/i);
    const coded = await job.cli(['run', 'roket-daily', '--for', '2026-11-21', '--empty-exit-code', '9']);
    expect(coded.status, coded.stderr).toBe(9);
    expect(job.peer.received).toHaveLength(0);
    const { runs } = await job.json<{ runs: { window: string; state: string }[] }>(['runs']);
    expect(runs.map((run) => run.state)).toEqual(['complete', 'complete']);
  });
});
