// Compiles src twice, beginning with nothing: what was deleted in src must not live on in the package.
// `build` has each module by itself, for benchmarks and for tests that run one of them. `dist` is what the package
// holds: the types, and its entries with what they share in as few files as that takes. Reading 270 files one by one
// was more than a quarter of what `waybill check` took.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const root = fileURLToPath(new URL('..', import.meta.url));
const src = join(root, 'src');
const dist = join(root, 'dist');
/**
 * Packages that every command needs, and that are many small files: of `zod` the messages in sixty languages alone.
 * What is used of them becomes part of `dist`, beside their licences. Others are loaded only where they are needed, or
 * by who uses this one as well.
 */
const bundled = JSON.parse(readFileSync(join(root, 'scripts', 'bundled.json'), 'utf8'));
const isBundled = (id) => bundled.some((name) => id === name || id.startsWith(`${name}/`));

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
  external: (id) => /^[^./]/.test(id) && !isBundled(id),
});
// Two folders below the package, as in src: there modules look for package.json, and for the thread of the ledger.
const { output } = await bundle.write({
  dir: dist,
  format: 'esm',
  entryFileNames: '[name].js',
  chunkFileNames: 'shared/[name]-[hash].js',
});
await bundle.close();
chmodSync(join(dist, 'cli', 'main.js'), 0o755);
writeFileSync(join(dist, 'THIRD-PARTY-LICENSES.txt'), licences(output));

/** What others import or start; all of them share the same classes. */
function entries() {
  const connectors = readdirSync(join(src, 'connectors'))
    .map((name) => `connectors/${name}/config`)
    .filter((name) => existsSync(join(src, `${name}.ts`)));
  const found = ['index', 'testing/index', 'cli/main', ...connectors].map((name) => [name, `${name}.ts`]);
  return [...found, ['shared/writer-thread', 'ledger/sqlite/writer-thread.ts']];
}

/** Of each package of which something lies in the output: what it is, and its licence as it stands there. */
function licences(output) {
  const modules = output.flatMap((chunk) => chunk.moduleIds ?? []);
  const folders = modules.flatMap((id) => {
    const at = id.lastIndexOf(`node_modules${sep}`);
    if (at === -1) return [];
    const [scope, name] = id.slice(at).split(sep).slice(1);
    return id.slice(0, at) + join('node_modules', scope, scope.startsWith('@') ? name : '');
  });
  return [...new Set(folders)]
    .sort()
    .map(licenceOf)
    .join(`\n${'-'.repeat(80)}\n\n`);
}

function licenceOf(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder).find((one) => /^licen[cs]e(\.|$)/i.test(one));
  if (file === undefined) throw new Error(`${relative(root, folder)} is bundled and holds no licence`);
  return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
}
