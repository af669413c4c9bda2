// What the benchmarks share: peers in processes of their own, medians, and one JSON line for each result.
import { spawn } from 'node:child_process';
import { loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';

export const small = process.argv.includes('--small');

export const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
};

/** Prints a result as text and as a JSON line, and remembers whether its goal was met. */
export function report(name, figures, goal) {
  const met = goal === undefined ? undefined : goal.met;
  const verdict = goal === undefined ? '' : `   goal ${goal.text}: ${met ? 'met' : 'NOT MET'}`;
  const text = Object.entries(figures)
    .map(([key, value]) => `${key} ${typeof value === 'number' ? round(value) : value}`)
    .join(', ');
  console.log(`${name}: ${text}${verdict}`);
  console.log(JSON.stringify({ bench: name, ...figures, ...(goal && { goal: goal.text, met }), load: loadavg()[0] }));
}

const round = (value) => (Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3)));

export async function startProcess(script, args) {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn(process.execPath, [path, ...args.map(String)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const line = await new Promise((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (chunk) => {
      text += chunk;
      if (text.includes('\n')) resolve(text.split('\n')[0]);
    });
    child.once('exit', (code) => reject(new Error(`${script} ended with ${code}`)));
  });
  return { line, stop: () => child.kill('SIGTERM') };
}
