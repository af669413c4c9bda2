import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { files } from '../src/connectors/files/config.ts';
import { ALL } from '../src/model/window.ts';
import { partName } from '../src/objects/pull-names.ts';
import { openContext } from '../src/testing/peer/open-context.ts';
import { newFolder } from './connectors/place.ts';

const FILES = 100_000;
const MIB = 1024 * 1024;
/** Of the processor, which neighbours do not slow down so much; ten times what it takes. The figure is printed. */
const CPU_MAX_MS = 20_000;
const RSS_MAX_MIB = 300;

const nameOf = (nth: number): string => `part-${String(nth).padStart(7, '0')}.ndjson`;
const root = newFolder('many');
beforeAll(() => {
  for (let folder = 0; folder < 10; folder++) mkdirSync(join(root, `f${folder}`));
  for (let nth = 0; nth < FILES; nth++) writeFileSync(join(root, `f${nth % 10}`, nameOf(nth)), `{"n":${nth}}\n`);
}, 120_000);
afterAll(() => rmSync(root, { recursive: true, force: true }));

const source = () => {
  const settings = files.source!.settings.parse({ path: '**/*.ndjson', settleSeconds: 0 });
  return files.source!.open({ root: '.' }, settings, openContext({}, root));
};
/** As a pull that has read the file calls it. */
function takenAs(name: string): string {
  const { mtimeNs, size } = statSync(join(root, name), { bigint: true });
  const version = { bytes: Number(size), tag: `${mtimeNs.toString(36)}.${size.toString(36)}` };
  return partName({ name, path: name, version: { ...version, writtenNs: mtimeNs, touchedNs: mtimeNs } });
}

const signal = new AbortController().signal;

describe('a folder of 100,000 files', () => {
  it('F05: is looked at and resumed with all that was taken in mind', { timeout: 180_000 }, async () => {
    const taken = new Set(Array.from({ length: FILES }, (_, nth) => takenAs(`f${nth % 10}/${nameOf(nth)}`)));
    const range = { window: ALL, parameters: {}, pull: { taken: async () => taken, downloads: join(root, '.none') } };
    writeFileSync(join(root, 'f9', 'part-9999999.ndjson'), '{"n":-1}\n');
    writeFileSync(join(root, 'f3', 'late.ndjson'), '{"n":-2}\n');
    writeFileSync(join(root, 'f4', nameOf(4)), '{"n":4,"changed":true}\n');
    const from = { sourceName: '**/*.ndjson', kind: 'waybill/file-name', value: `f9/${nameOf(FILES - 1)}` };

    const before = process.memoryUsage.rss();
    const [started, worked] = [performance.now(), process.cpuUsage()];
    const opened = source();
    const look = await opened.pulls!.look({ ...range, from }, signal);
    const chunks = [];
    for await (const chunk of opened.read({ ...range, from }, signal)) chunks.push(chunk);
    const tookMs = performance.now() - started;
    const { user, system } = process.cpuUsage(worked);
    const cpuMs = (user + system) / 1000;
    const grownMib = (process.memoryUsage.rss() - before) / MIB;
    const figures = [
      `${Math.round(tookMs)} ms`,
      `${Math.round(cpuMs)} ms of the processor`,
      `${Math.round(grownMib)} MiB`,
    ];
    console.info(`${FILES} files looked at and resumed: ${figures.join(', ')}`);

    expect(look.notices?.map(({ kind, message }) => [kind, message.split(';')[0]])).toEqual([
      ['part-skipped', expect.stringMatching(/: 1 file: f3\/late\.ndjson$/)],
      ['part-changed', `changed since they were taken: 1 file: f4/${nameOf(4)}`],
    ]);
    expect(chunks.map(({ count, end }) => [count, end?.value])).toEqual([[1, 'f9/part-9999999.ndjson']]);
    expect(cpuMs).toBeLessThan(CPU_MAX_MS);
    expect(grownMib).toBeLessThan(RSS_MAX_MIB);
  });
});
