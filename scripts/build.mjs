// Compiles src twice, beginning with nothing: what was deleted in src must not live on in the package.
// `build` has each module by itself, for benchmarks and for tests that run one of them. `dist` is what the package
// holds: the types, and its entries with what they share in as few files as that takes. Reading 270 files one by one
// was more than a quarter of what `waybill check` took.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const root = fileURLToPath(new URL('..', import.meta.url));
const src = join(root, 'src');
const dist = join(root, 'dist');

for (const folder of [dist, join(root, 'build')]) rmSync(folder, { recursive: true, force: true });
const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
const words = ['-p', join(root, 'tsconfig.build.json'), '--declarationDir', dist];
const { status } = spawnSync(process.execPath, [tsc, ...words], {
  stdio: 'inherit',
  cwd: root,
});
if (status !== 0) process.exit(status ?? 1);

const bundle = await rolldown({
  input: Object.fromEntries(entries().map(([name, file]) => [name, join(src, file)])),
  platform: 'node',
  // Packages stay what they are: who uses this one shares some of them, and others are there only if they are needed.
  external: (id) => /^[^./]/.test(id),
});
// Two folders below the package, as in src: there modules look for package.json, and for the thread of the ledger.
await bundle.write({
  dir: dist,
  format: 'esm',
  entryFileNames: '[name].js',
  chunkFileNames: 'shared/[name]-[hash].js',
});
await bundle.close();
chmodSync(join(dist, 'cli', 'main.js'), 0o755);

/** What others import or start; all of them share the same classes. */
function entries() {
  const connectors = readdirSync(join(src, 'connectors'))
    .map((name) => `connectors/${name}/config`)
    .filter((name) => existsSync(join(src, `${name}.ts`)));
  const found = ['index', 'testing/index', 'cli/main', ...connectors].map((name) => [name, `${name}.ts`]);
  return [...found, ['shared/writer-thread', 'ledger/sqlite/writer-thread.ts']];
}
