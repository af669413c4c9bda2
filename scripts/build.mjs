// Compiles src into dist, beginning with nothing: what was deleted in src must not live on in the package.
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const from = join(root, 'src');
const to = join(root, 'dist');

rmSync(to, { recursive: true, force: true });
const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
const { status } = spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json')], {
  stdio: 'inherit',
  cwd: root,
});
if (status !== 0) process.exit(status ?? 1);

copyAssets(from);
const bin = join(to, 'cli', 'main.js');
if (existsSync(bin)) chmodSync(bin, 0o755);

// SQL, templates and JSON that modules read beside themselves. TypeScript is the compiler's affair.
function copyAssets(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) copyAssets(path);
    else if (/\.(sql|json|yaml|wasm)$/.test(entry.name)) copy(path, join(to, relative(from, path)));
  }
}

function copy(path, target) {
  mkdirSync(dirname(target), { recursive: true });
  cpSync(path, target);
}
