// The figures of the proof, each with its floor: what a run of the checks has to show at least. `node
// scripts/proof/figures.mjs --from LOG` reads them out of what the checks have printed, says of each whether it is at
// its floor, and ends with a code that is not 0 when one is not. `--from` may come again; `--tally` adds what was read
// to docs/tally.json, `--only G10,G13` asks for some of them, and `--partly` lets figures be missing.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { addEntry } from '../sim/tally.mjs';

const REAL = '`npm run real`';
const NUMBER = '([\\d,]+(?:\\.\\d+)?)';

/**
 * `lines`: what is printed for it; the first group is the figure. `of`: how several lines come to one figure. `under`
 * says what is so when the floor is not reached by one run, and then it is no failure.
 */
export const FIGURES = [
  {
    id: 'G1',
    what: 'schedules of faults through the real engine, strategies and SQLite ledger, every invariant held',
    floor: 30_000,
    lines: `${NUMBER} schedules in [\\d.,]+ s on \\d+ workers`,
    of: 'max',
    command: '`npm run sim -- 30000`',
  },
  {
    id: 'G2',
    name: 'events',
    what: 'effects and other events in schedules, for each minute that two cores have worked on them',
    // Half of what two idle cores did when it was set. The same code was a third slower an hour later, on the same
    // machine, whose neighbours nobody sees: below that something has become slow.
    floor: 600_000,
    lines: `${NUMBER} events for each minute that two cores have worked`,
    of: 'max',
    command: '`npm run sim -- 30000`',
  },
  {
    id: 'G2',
    name: 'schedules',
    what: 'schedules for each minute that two cores have worked on them',
    floor: 6_000,
    lines: `${NUMBER} schedules for each minute that two cores have worked`,
    of: 'max',
    command: '`npm run sim -- 30000`',
    under: 'two cores of the machine that the floor was met on did 8,000; slower ones are held by their events',
  },
  {
    id: 'G3',
    what: 'processes killed in those schedules',
    floor: 60_000,
    lines: `${NUMBER} processes killed`,
    of: 'max',
    command: '`npm run sim -- 30000`',
  },
  {
    id: 'G4',
    what: 'runs that were struck at each boundary in turn, and at each pair of them for two classes of sink',
    floor: 4_000,
    lines: `${NUMBER} runs, \\d+ of them pairs, in \\d+ s; 0 broken`,
    of: 'max',
    command: '`npm run sim:crashes`',
  },
  {
    id: 'G5',
    what: 'planted bugs found, of as many',
    floor: 30,
    // The same number twice: one that was not found is no figure.
    lines: '(\\d+) of \\1 planted bugs were found',
    of: 'max',
    command: '`npm run sim:canaries`',
  },
  {
    id: 'G6',
    what: 'rare states that a campaign reached, among them all that it has to reach',
    floor: 31,
    read: reachedStates,
    command: '`npm run sim -- 30000`',
  },
  {
    id: 'G7',
    what: 'schedules that were run twice to the same trace',
    floor: 300,
    lines: `${NUMBER} schedules run twice to the same trace`,
    of: 'max',
    command: '`npm run sim -- 30000`',
  },
  {
    id: 'G8',
    what: 'power cuts of a real SQLite ledger, staged bytes and journal on a simulated disk, nothing lost',
    floor: 200,
    lines: `${NUMBER} power cuts in \\d+ cases from seed \\d+: 0 went wrong`,
    of: 'max',
    command: '`npm run powercuts`',
  },
  {
    id: 'G10',
    name: 'kills',
    what: 'real processes killed with SIGKILL between PostgreSQL and tables or APIs, with exact counts',
    floor: 500,
    lines: 'figure G10: processes killed[^:]*: (\\d+)',
    of: 'max',
    command: '`npm run kills`',
  },
  {
    id: 'G10',
    name: 'records',
    what: 'records of the rounds in which they were killed',
    floor: 1_000_000,
    lines: 'figure G10: records in those rounds: (\\d+)',
    of: 'max',
    command: '`npm run kills`',
  },
  ...['an API over HTTP', 'PostgreSQL', 'Redis', 'NATS', 'S3'].map((name) => ({
    id: 'G11',
    name,
    what: `commits whose answer was lost, each found out or listed: ${name}`,
    floor: 2_000,
    lines: `figure G11: answers lost: ${name},[^:]*: (\\d+)`,
    of: 'sum',
    command: REAL,
  })),
  {
    id: 'G12',
    what: 'deaths over a sink that can be asked nothing; each left at most what was in flight in doubt, all listed',
    floor: 100,
    lines: 'figure G12: deaths[^:]*: (\\d+)',
    of: 'max',
    command: '`npm run kills`',
  },
  {
    id: 'G13',
    what: 'bits inverted in ledger, log, staged bytes and journal; silent wrong answers: none',
    floor: 28_672,
    lines: `: ${NUMBER} flips: (?!.*wrong)`,
    of: 'sum',
    command: '`npm run bitflips`',
  },
  {
    id: 'G15',
    what: 'split brains: a second process at a window, or one that was stalled past its lease',
    floor: 100_000,
    lines: `${NUMBER}  (?:a process was stalled past its lease|two processes on one window)$`,
    of: 'sum',
    command: '`npm run sim:splits`',
  },
  {
    id: 'G16',
    what: 'checks, after the faults had stopped, that everything comes to an end within its bound',
    floor: 30_000,
    lines: `${NUMBER}  I13$`,
    of: 'max',
    command: '`npm run sim -- 30000`',
  },
  {
    id: 'G20',
    what: 'outputs and answers searched for a secret in eleven encodings, found in none',
    floor: 50,
    lines: 'figure G20: outputs searched[^:]*: (\\d+)',
    of: 'sum',
    command: '`npm test`',
  },
  {
    id: 'G23',
    name: 'calls',
    what: 'calls of the disk refused, one in each run: EIO, no room, written in part',
    floor: 60,
    lines: `${NUMBER} calls of the disk refused: 0 went wrong`,
    of: 'max',
    command: '`npm run powercuts`',
  },
  {
    id: 'G23',
    name: 'strategies',
    what: 'syncs and writes of a process with all eight strategies that failed, one in each run, and were mended',
    floor: 60,
    lines: 'figure G23: failed calls under all strategies[^:]*: (\\d+)',
    of: 'sum',
    command: REAL,
  },
];

export const nameOf = ({ id, name }) => (name === undefined ? id : `${id} ${name}`);

/** How many states are in the last list of them; none where the campaign says that one is missing. */
function reachedStates(text) {
  if (/^NOT EXERCISED/m.test(text)) return undefined;
  const list = text.split('states that were reached\n').at(1);
  return list
    ?.match(/^( +[\d,]+ {2}.+\n)+/)?.[0]
    .trimEnd()
    .split('\n').length;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: colours of a terminal begin with one
const COLOURS = /\x1b\[[\d;]*m/g;

/** What the figures are by a text that the checks have printed; those that are not in it are left out. */
export function readFigures(text) {
  const plain = text.replaceAll(COLOURS, '');
  const found = {};
  for (const figure of FIGURES) {
    if (figure.read !== undefined) {
      const value = figure.read(plain);
      if (value !== undefined) found[nameOf(figure)] = value;
      continue;
    }
    const values = [...plain.matchAll(new RegExp(figure.lines, 'gm'))].map(([, value]) =>
      Math.round(Number(value.replaceAll(',', ''))),
    );
    if (values.length === 0) continue;
    found[nameOf(figure)] = figure.of === 'sum' ? values.reduce((a, b) => a + b, 0) : Math.max(...values);
  }
  return found;
}

function main() {
  const { values } = parseArgs({
    options: {
      from: { type: 'string', multiple: true, default: [] },
      only: { type: 'string' },
      tally: { type: 'boolean', default: false },
      partly: { type: 'boolean', default: false },
    },
  });
  const wanted = values.only?.split(',');
  const figures = FIGURES.filter(({ id }) => wanted?.includes(id) ?? true);
  const text = values.from.map((path) => readFileSync(path, 'utf8')).join('\n');
  const found = readFigures(text);
  const mayLack = (figure) => values.partly || wasSkipped(figure, text);
  const short = figures.filter((figure) => !tell(figure, found[nameOf(figure)], mayLack(figure)));
  console.log(`${figures.length - short.length} of ${figures.length} figures are as they have to be`);
  if (values.tally) keep(figures, found);
  return short.length === 0 ? 0 : 1;
}

/** The machine did not allow what would show it, and the check has said so. */
const wasSkipped = ({ id, name = '' }, text) =>
  new RegExp(`SKIPPED:.*(not shown:.*\\b${id}\\b|\\b${id}\\b.*${name})`).test(text);

/** Says how the figure stands to its floor; false when that is a failure. */
function tell(figure, value, mayLack) {
  const floor = figure.floor.toLocaleString('en-US');
  const head = `${nameOf(figure).padEnd(22)} ${(value ?? 'no figure').toLocaleString('en-US').padStart(10)}`;
  const reached = value !== undefined && value >= figure.floor;
  const excused = value === undefined ? mayLack : figure.under;
  const lacks = value === undefined ? 'not held against' : 'BELOW';
  const state = reached ? 'at' : excused ? lacks : 'FAILED: below';
  console.log(`${head}  ${state} its floor of ${floor}: ${figure.what}`);
  if (!reached && value !== undefined && figure.under !== undefined) console.log(`${' '.repeat(35)}${figure.under}`);
  return reached || Boolean(excused);
}

function keep(figures, found) {
  const git = (...words) => execFileSync('git', words, { encoding: 'utf8' }).trim();
  const names = new Set(figures.map(nameOf));
  addEntry({
    date: new Date().toISOString().slice(0, 10),
    kind: 'figures',
    commit: git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', 'src') === '' ? '' : '+'),
    machine: `${cpus().length} cores, ${process.arch}, Node ${process.versions.node}`,
    figures: Object.fromEntries(Object.entries(found).filter(([name]) => names.has(name))),
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) process.exitCode = main();
