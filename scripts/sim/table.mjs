// The tables of the README, from docs/tally.json: what all campaigns add up to, and each figure of the proof as it was
// last shown. `node scripts/sim/table.mjs` writes them.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { FIGURES, nameOf } from '../proof/figures.mjs';
import { root } from './bundle.mjs';
import { readTally } from './tally.mjs';

const BEGIN = '<!-- tally: begin; made by scripts/sim/table.mjs -->';
const END = '<!-- tally: end -->';
const PROOF_BEGIN = '<!-- proof: begin; made by scripts/sim/table.mjs -->';
const PROOF_END = '<!-- proof: end -->';
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

/** Each figure as the newest run that has it showed it, with the floor that every run has to reach. */
export function proofTable(all) {
  const runs = all.filter((entry) => entry.kind === 'figures');
  const rows = FIGURES.map((figure) => {
    const name = nameOf(figure);
    const run = runs.findLast(({ figures }) => figures[name] !== undefined);
    const shown = run === undefined ? 'not yet' : number(run.figures[name]);
    const below = run !== undefined && run.figures[name] < figure.floor;
    const note = below ? ` (below: ${figure.under ?? 'to be mended'})` : '';
    const when = run === undefined ? '' : `${run.date}, ${run.commit}`;
    const cells = [figure.id, figure.what, number(figure.floor), shown + note, when, figure.command];
    return `| ${cells.join(' | ')} |`;
  });
  return ['| | what | floor | last shown | when, commit | by |', '|---|---|---:|---:|---|---|', ...rows].join('\n');
}

/** The README with the tables of today. */
export function withTable(readme, entries) {
  const tally = replaced(readme, [BEGIN, END], tallyTable(entries));
  return replaced(tally, [PROOF_BEGIN, PROOF_END], proofTable(entries));
}

function replaced(readme, [from, to], table) {
  const [begin, end] = [readme.indexOf(from), readme.indexOf(to)];
  if (begin < 0 || end < begin) throw new Error(`the README has no place for ${from}`);
  return `${readme.slice(0, begin + from.length)}\n${table}\n${readme.slice(end)}`;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(README, withTable(readFileSync(README, 'utf8'), readTally()));
}
