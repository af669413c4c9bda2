import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const built = (name: string): string => fileURLToPath(new URL(`../../build/formats/${name}`, import.meta.url));

/** One module is compiled as any, one as a kernel: what V8 has once compiled it does not compile again. */
const SCRIPT = `
const { KERNEL_WASM } = await import(${JSON.stringify(built('kernel/kernel.generated.js'))});
const { PARQUET_WASM } = await import(${JSON.stringify(built('kernel/parquet.generated.js'))});
const { compiled, optimizeKernelsOnly } = await import(${JSON.stringify(built('wasm.js'))});
optimizeKernelsOnly();
const any = new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(KERNEL_WASM, 'base64')), {}).exports;
const ours = compiled(PARQUET_WASM)();
const text = Buffer.from('{"id":1}\\n'.repeat(10_000));
const begin = 65536;
const end = begin + text.length;
for (const { memory } of [any, ours]) {
  memory.grow(16);
  new Uint8Array(memory.buffer).set(text, begin);
}
for (let i = 0; i < 1_000; i++) any.frameLines(begin, end, begin * 4, 16_384, begin * 8, 1_000, 0);
for (let i = 0; i < 1_000; i++) ours.pack(begin, end, begin * 4);
`;

// Run by Liftoff alone, Parquet took a seventh longer, and the kernel half as long again.
it('has V8 optimize the kernels, whenever they are compiled, and nothing else', () => {
  const words = ['--trace-wasm-compilation-times', '--input-type=module', '-e', SCRIPT];
  const { stdout, stderr, status } = spawnSync(process.execPath, words, { encoding: 'utf8' });
  expect([status, stderr]).toEqual([0, '']);
  const found = [...stdout.matchAll(/Compiled function (\w+)#\d+ using (\w+)/g)];
  const tiers = new Map<string, Set<string>>();
  for (const [, module = '', tier = ''] of found) tiers.set(module, (tiers.get(module) ?? new Set()).add(tier));
  expect([...tiers.values()].map((one) => [...one].join()).sort()).toEqual(['Liftoff', 'Liftoff,TurboFan']);
});
