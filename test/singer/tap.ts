import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Source } from '../../src/connectors/connector.ts';
import { singer } from '../../src/connectors/singer/config.ts';
import { openContext } from '../../src/testing/peer/open-context.ts';

export const TAP = fileURLToPath(new URL('tap.py', import.meta.url));

export interface Row {
  readonly id: number;
  readonly text: string;
}

export const rowOf = (id: number, bytes = 0): Row => ({ id, text: 'x'.repeat(bytes) });

/** What a tap reads from, and sources over taps that read it. */
export class TestTap {
  readonly folder = mkdtempSync(join(tmpdir(), 'waybill-test-tap-'));
  readonly rows = join(this.folder, 'rows.ndjson');
  readonly noted = join(this.folder, 'note');

  constructor(rows: readonly Row[]) {
    writeFileSync(this.rows, '');
    this.grow(rows);
  }

  grow(rows: readonly Row[]): void {
    appendFileSync(this.rows, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  }

  /** `config`: what the tap is to do beside reading the rows. */
  source(config: object = {}, settings: object = {}, connection: object = {}, secrets = {}): Source {
    const full = { command: ['python3', TAP], config: { rows: this.rows, ...config }, ...connection };
    const parsed = singer.connection.parse(full);
    return singer.source!.open(parsed, singer.source!.settings.parse(settings), openContext(secrets, this.folder));
  }

  /** The process of the tap and the path of its config, once it has noted them. */
  note(): { readonly pid: number; readonly config: string } {
    const [pid = '', config = ''] = readFileSync(this.noted, 'utf8').split(' ');
    return { pid: Number(pid), config };
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
