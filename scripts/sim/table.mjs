// The table of the README: what all campaigns in docs/tally.json add up to. `node scripts/sim/table.mjs` writes it.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from './bundle.mjs';
import { readTally } from './tally.mjs';

const BEGIN = '<!-- tally: begin; made by scripts/sim/table.mjs -->';
const END = '<!-- tally: end -->';
const README = join(root, 'README.md');

const number = (value) => Math.round(value).toLocaleString('en-US');
const sum = (entries, name) => entries.reduce((all, entry) => all + entry[name], 0);

/** Other campaigns share the file. */
const SIMULATED = new Set(['sim', 'soak']);

const FINDINGS = `A campaign that finds something ends there; most of those that did are not in these figures. What
they found was mended, or is listed as known and left out of later schedules:
[found by simulation](docs/found-by-simulation.md).`;

export function tallyTable(all) {
  const entries = all.filter((entry) => SIMULATED.has(entry.kind));
  const last = entries.at(-1);
  if (last === undefined) return 'No campaign has been counted yet.';
  const clean = entries.filter((entry) => entry.violations === 0);
  const row = (what, figure) => `| ${what} | ${figure} |`;
  const total = (what, name) => row(what, number(sum(entries, name)));
  const lines = [
    row('', 'so far'),
    '|---|---:|',
    total('fault schedules through the real engine, strategies and SQLite ledger', 'schedules'),
    total('simulated processes killed', 'kills'),
    total('faults', 'faults'),
    total('checks of invariants', 'checks'),
    total('simulated hours', 'hours'),
  ];
  return [...lines, '', FINDINGS, ...lastClean(clean.at(-1))].join('\n');
}

function lastClean(entry) {
  if (entry === undefined) return [];
  const { date, commit, schedules, seeds, machine } = entry;
  const which = `${number(schedules)} schedules, seeds ${seeds.join(' to ')}, ${machine}`;
  return ['', `Last campaign without a violation: ${date}, commit ${commit}, ${which}.`];
}

/** The README with the table of today. */
export function withTable(readme, entries) {
  const [begin, end] = [readme.indexOf(BEGIN), readme.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error('the README has no place for the tally');
  return `${readme.slice(0, begin + BEGIN.length)}\n${tallyTable(entries)}\n${readme.slice(end)}`;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(README, withTable(readFileSync(README, 'utf8'), readTally()));
}
