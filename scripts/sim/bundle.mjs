// The simulator with the engine that it runs, as plain modules: Node 20 does not run TypeScript. The same bundling
// makes the versions with planted bugs, so what finds them is what proves the rest.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

export const root = fileURLToPath(new URL('../..', import.meta.url));
const ENTRIES = { campaign: 'campaign.ts', exhaustive: 'exhaustive.ts', replay: 'replay.ts' };

/** `plants`: what is changed in the sources on the way. Returns the folder that holds the modules. */
export async function bundleSimulator(name = 'clean', plants = []) {
  const dir = join(root, '.cache', 'sim', name);
  mkdirSync(dir, { recursive: true });
  const input = Object.fromEntries(
    Object.entries(ENTRIES).map(([entry, file]) => [entry, join(root, 'src', 'testing', 'simulation', file)]),
  );
  const bundle = await rolldown({ input, platform: 'node', external: [/^node:/, 'better-sqlite3'], plugins: plants });
  await bundle.write({ dir, format: 'esm', entryFileNames: '[name].mjs', chunkFileNames: '[name]-[hash].mjs' });
  await bundle.close();
  return dir;
}
