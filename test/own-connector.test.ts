import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
/** What a project of somebody else would have installed, beside Waybill itself as it was built. */
const PACKAGES = ['vitest', 'zod'];

describe('a connector of somebody else', () => {
  it('passes the suites that are shipped, with nothing but the package to import', () => {
    const folder = mkdtempSync(join(tmpdir(), 'waybill-own-connector-'));
    try {
      cpSync(join(root, 'examples', 'own-connector'), folder, { recursive: true });
      const modules = join(folder, 'node_modules');
      mkdirSync(modules);
      for (const name of PACKAGES) symlinkSync(join(root, 'node_modules', name), join(modules, name));
      symlinkSync(root, join(modules, 'waybill'));
      writeFileSync(join(folder, 'package.json'), '{ "name": "own", "private": true, "type": "module" }');
      const report = join(folder, 'report.json');
      const runner = join(root, 'node_modules', 'vitest', 'vitest.mjs');
      const words = ['run', '--reporter=json', `--outputFile=${report}`, '--root', folder];
      // Only processes die in it, so its folders may lie in memory.
      const env = existsSync('/dev/shm') ? { ...process.env, TMPDIR: '/dev/shm' } : process.env;
      const output = execFileSync(process.execPath, [runner, ...words], { cwd: folder, stdio: 'pipe', env });
      expect(output.toString()).toContain('report.json');
    } catch (error) {
      const { stdout, stderr } = error as { stdout?: Buffer; stderr?: Buffer };
      throw new Error(`the example fails: ${stdout?.toString() ?? ''}${stderr?.toString() ?? ''}`, { cause: error });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }, 120_000);
});
