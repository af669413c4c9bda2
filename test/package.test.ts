import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly dependencies: Readonly<Record<string, string>>;
};

const FLOW = `version: 1
connections:
  here: { type: files, root: . }
  store: { type: sqlite, file: store.db }
flows:
  people:
    source: { connection: here, path: people.csv, key: [id] }
    sink: { connection: store, table: people, key: [id] }
    strategy: keyed
    schema: { policy: evolve, infer: true }
    schedule: 0 6 * * *
    timezone: Europe/Berlin
`;

describe('the package as it is installed', () => {
  it('checks and runs a flow with nothing beside it but its dependencies', () => {
    const folder = mkdtempSync(join(tmpdir(), 'waybill-package-'));
    try {
      const modules = join(folder, 'node_modules');
      for (const name of Object.keys(manifest.dependencies)) {
        mkdirSync(dirname(join(modules, name)), { recursive: true });
        symlinkSync(join(root, 'node_modules', name), join(modules, name));
      }
      const home = join(modules, 'waybill');
      cpSync(join(root, 'dist'), join(home, 'dist'), { recursive: true });
      cpSync(join(root, 'package.json'), join(home, 'package.json'));
      writeFileSync(join(folder, 'waybill.yaml'), FLOW);
      writeFileSync(join(folder, 'people.csv'), 'id,name\n1,Ada\n2,Grace\n');
      writeFileSync(join(folder, 'store.db'), '');
      const waybill = (...words: string[]): string => {
        const how = { cwd: folder, encoding: 'utf8', env: { ...process.env, NODE_PATH: '' } } as const;
        const { status, stdout, stderr } = spawnSync(process.execPath, [join(home, 'dist/cli/main.js'), ...words], how);
        expect(status, `${stdout}${stderr}`).toBe(0);
        return stdout;
      };
      waybill('check');
      expect(JSON.parse(waybill('run', 'people', '--output', 'json'))).toMatchObject({
        results: [{ exitCode: 0, lanes: [{ balance: { delivered: 2 } }] }],
      });
      expect(waybill('connectors')).toContain('postgres');
      expect(readFileSync(join(home, 'dist/THIRD-PARTY-LICENSES.txt'), 'utf8')).toMatch(/^zod .+ \(MIT\)$/m);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
