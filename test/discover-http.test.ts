import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run } from '../src/cli/cli.ts';
import { OUTPUTS } from '../src/cli/output-schemas.ts';
import { RecordedProcess } from '../src/cli/recorded-process.ts';
import { type DocumentPeer, openDocumentPeer } from '../src/testing/peer/document-peer.ts';

let folder: string;
let peer: DocumentPeer;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-discover-http-'));
  peer = await openDocumentPeer({
    '/rates.csv': { body: 'id,price,day\n1,1.5,2026-11-19\n', etag: '"v"' },
    '/page?page=1': { body: '{"data":[]}' },
    '/page?page=2': { body: '{"data":[{"id":1,"tags":["a"]}]}' },
    '/page': { body: '{"data":[{"id":1,"tags":["a"]}],"next":null}' },
    '/head': { body: '9' },
    '/block/5': { body: '[{"height":5,"hash":"x"}]' },
    '/broken.csv': { body: 'id,id\n1,2\n' },
  });
});
afterEach(async () => {
  await peer.close();
  rmSync(folder, { recursive: true, force: true });
});

async function discover(source: object, name = 'rates', more: readonly string[] = []) {
  const file = {
    version: 1,
    connections: { api: { type: 'http', url: peer.url }, out: { type: 'memory' } },
    flows: {
      rates: {
        window: 'pull',
        source: { connection: 'api', ...source },
        sink: { connection: 'out', table: 'rates', strategy: 'ledgered-append' },
      },
    },
  };
  writeFileSync(join(folder, 'waybill.yaml'), JSON.stringify(file));
  const io = new RecordedProcess({ cwd: folder, env: {} });
  const code = await run(['discover', name, ...more], io);
  return { code, out: io.stdout.text, err: io.stderr.text };
}

describe('waybill discover, of a flow that reads over HTTP', () => {
  it.each([
    ['a document', '/rates.csv', {}, ['id int64', 'price decimal', 'day date']],
    [
      'a document with types',
      '/rates.csv',
      { types: { id: 'int32', price: 'decimal(12,2)' } },
      ['id int32', 'price decimal(12,2)', 'day text'],
    ],
    [
      'pages',
      '/page',
      { format: 'json', recordsAt: 'data', pages: { by: 'cursor', parameter: 'after', at: 'next' } },
      ['id int64', 'tags json'],
    ],
    [
      'numbers',
      '/block/{{number}}',
      { format: 'json', sequence: { head: { path: '/head' }, first: 5 } },
      ['height int64', 'hash text'],
    ],
  ])('shows the columns as the first records have them: %s', async (_what, path, more, columns) => {
    const { code, out, err } = await discover({ path, ...more }, 'rates', ['--output', 'json']);
    expect(code, err).toBe(0);
    const { streams } = OUTPUTS.discover.parse(JSON.parse(out));
    expect(streams.map(({ name }) => name)).toEqual([`${new URL(peer.url).host}${path}`]);
    expect(streams[0]!.columns.map(({ name, type }) => `${name} ${type}`)).toEqual(columns);
    const numbers = peer.asked.filter((asked) => asked.path.startsWith('/block'));
    expect(numbers.length, 'no further than the first records').toBeLessThanOrEqual(1);
  });

  it('says what is missing: a flow, a document, or the name that a run fills in', async () => {
    const connection = await discover({ path: '/rates.csv' }, 'api');
    expect([connection.code, connection.err]).toEqual([2, expect.stringMatching(/Name a flow that reads from it/)]);
    const none = await discover({ path: '/none.csv' });
    expect([none.code, none.err]).toEqual([expect.any(Number), expect.stringMatching(/404/)]);
    expect(none.code).not.toBe(0);
    const filled = await discover({ path: '/{{ window }}.csv' });
    expect([filled.code, filled.err]).toEqual([2, expect.stringMatching(/nobody knows what is meant/)]);
    const broken = await discover({ path: '/broken.csv' });
    expect([broken.code, broken.err]).toEqual([expect.any(Number), expect.stringMatching(/id/)]);
    expect(broken.code).not.toBe(0);
  });
});
