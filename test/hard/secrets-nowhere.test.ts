import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { ExpectedAuth, Fault } from '../../src/testing/peer/behaviour.ts';
import { DAY, DailyJob, everyByteBelow, members } from '../daily/daily-job.ts';
import { tellFigure } from '../real/figures.ts';

/** Signs that are written another way in JSON, in an address and in a form; and enough letters to be unmistakable. */
const SECRET = 'cnry"k7/+&=?%\\Z zq-4711';
const USER = 'postman';

/** Every way in which a log, a driver or an API is known to repeat a secret. */
const ENCODINGS: Readonly<Record<string, (secret: string) => string>> = {
  plain: (secret) => secret,
  url: encodeURIComponent,
  'url in lower case': (secret) => encodeURIComponent(secret).replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()),
  form: (secret) => new URLSearchParams([['', secret]]).toString().slice(1),
  json: (secret) => JSON.stringify(secret).slice(1, -1),
  'json in json': (secret) => JSON.stringify(JSON.stringify(secret).slice(1, -1)).slice(1, -1),
  base64: (secret) => Buffer.from(secret).toString('base64'),
  base64url: (secret) => Buffer.from(secret).toString('base64url'),
  'basic auth': (secret) => Buffer.from(`${USER}:${secret}`).toString('base64'),
  hex: (secret) => Buffer.from(secret).toString('hex'),
  'hex in upper case': (secret) => Buffer.from(secret).toString('hex').toUpperCase(),
};
const needles = Object.entries(ENCODINGS).map(([name, encode]) => ({ name, text: encode(SECRET) }));

/** An API that repeats the password that it was sent wherever an answer has room for words. */
const repeating = (status: number, text: string): Fault['answer'] => ({
  status,
  headers: { 'x-request-id': encodeURIComponent(text), 'retry-after': '0' },
  body: { error: { message: `not for ${text}`, detail: [text] }, [text]: true, message: text },
});

/** Each encoding in an answer that refuses, in one that leaves the batch as it was, and in one that says nothing. */
const faults: Fault[] = needles.flatMap(({ text }, n) => [
  { when: { nth: [3 * n + 1] }, apply: 'none', answer: repeating(422, text) },
  { when: { nth: [3 * n + 2] }, apply: 'none', answer: repeating(429, text) },
  { when: { nth: [3 * n + 3] }, apply: 'all', answer: repeating(500, text) },
]);

const AUTHS: readonly { readonly name: string; readonly flow: string; readonly peer: ExpectedAuth }[] = [
  { name: 'a variable', flow: '{ bearer: "${ROKET_TOKEN}" }', peer: { bearer: SECRET } },
  {
    name: 'a file',
    flow: `{ basic: { username: ${USER}, password: "file:password.txt" } }`,
    peer: { basic: { username: USER, password: SECRET } },
  },
];

const LOOKS: readonly string[][] = [
  ['check'],
  ['plan', 'roket-daily', '--for', DAY],
  ['status'],
  ['runs'],
  ['batches', 'r1'],
  ['batches', 'show', 'b1'],
  ['batches', 'show', 'b3'],
  ['records', 'r1'],
  ['trace', '1'],
  ['trace', '25'],
  ['doubts'],
  ['verify'],
  ['doctor'],
  ['state', 'roket-daily'],
  ['retry', '--run', 'r1', '--reason', 'once more', '--yes'],
];

/** Which encodings of the secret stand in a text, and where. */
function leaks(where: string, text: string): string[] {
  return needles.flatMap(({ name, text: needle }) => {
    const at = text.indexOf(needle);
    return at < 0 ? [] : [`${where} holds it as ${name}: …${text.slice(Math.max(0, at - 40), at + 60)}…`];
  });
}

let job: DailyJob;
afterEach(() => job.close());

async function openJob(auth: (typeof AUTHS)[number]): Promise<void> {
  job = await DailyJob.open({
    members: members(600),
    behaviour: { auth: auth.peer, faults },
    sink: { inFlight: '1', batch: '{ maxRecords: 10 }', receipt: '{ shape: none }' },
    flow: { retry: '{ attempts: 60, firstDelay: 1ms, maxDelay: 2ms, maxAge: 5s }' },
    top: 'status: { log: statuses.ndjson }',
  });
  Object.assign(job.env, { ROKET_TOKEN: auth.name === 'a variable' ? SECRET : 'unused' });
  if (auth.name === 'a file') writeFileSync(join(job.folder, 'password.txt'), `${SECRET}\n`);
  const path = join(job.folder, 'waybill.yaml');
  writeFileSync(path, readFileSync(path, 'utf8').replace(/auth: \{ bearer: .*?" \}/, `auth: ${auth.flow}`));
}

describe('G20: a secret that the API repeats in eleven encodings', () => {
  it.each(AUTHS)(
    'is in no byte of any output, ledger, journal or log when it comes from $name',
    async (auth) => {
      await openJob(auth);
      const found: string[] = [];
      let [stars, outputs] = [0, 0];
      const look = async (args: string[]): Promise<number> => {
        const { status, stdout, stderr } = await job.cli(args);
        found.push(...leaks(`waybill ${args.join(' ')}`, stdout + stderr));
        // Both streams.
        outputs += 2;
        stars += (stdout + stderr).split('***').length - 1;
        return status;
      };
      // A run gives up for a while after so many bad answers; the next one goes on.
      for (let start = 0; start < 15 && job.peer.received.length <= faults.length; start++)
        await look(['run', 'roket-daily', '--for', DAY, '--verbose']);
      expect(job.peer.received.length, 'every answer that repeats it was given').toBeGreaterThan(faults.length);
      for (const args of LOOKS) {
        await look(args);
        await look([...args, '--output', 'json', '--verbose']);
      }
      // The last word of the API: the token is wrong, and here it is.
      job.peer.set({ faults: needles.map(({ text }) => ({ times: 1, apply: 'none', answer: repeating(401, text) })) });
      for (const { name } of needles) expect(await look(['run', 'roket-daily', '--for', DAY]), name).not.toBe(0);
      found.push(
        ...leaks('a file of the project', everyByteBelow(join(job.folder, '.waybill')) + job.read('statuses.ndjson')),
      );
      expect(found).toEqual([]);
      tellFigure('G20', `outputs searched for a secret from ${auth.name}, in ${needles.length} encodings`, outputs);
      expect(stars, 'what the API said is shown, with stars').toBeGreaterThan(needles.length);
    },
    120_000,
  );
});
