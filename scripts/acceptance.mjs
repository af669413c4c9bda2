// Says of every acceptance line whether a test proves it. A test proves the lines that its title begins with:
// `U11: a partial answer…`, or `U06, U07: …`. A line holds when it has a test and all its tests passed.
//
//   npm run acceptance                      runs the tests first
//   npm run acceptance -- --from FILE       reads the JSON report of a run that was made before; may come again
//   npm run acceptance -- --strict          lines without a test fail, too
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values } = parseArgs({
  options: { from: { type: 'string', multiple: true }, strict: { type: 'boolean', default: false } },
});

const lines = JSON.parse(readFileSync(join(root, 'test', 'acceptance-ids.json'), 'utf8'));
const reports = values.from?.map((path) => JSON.parse(readFileSync(path, 'utf8'))) ?? [runTests()];
const found = testsByLine(reports);

const counts = { holds: 0, fails: 0, 'no test': 0 };
for (const { id, title } of lines) {
  const tests = found.get(id) ?? [];
  const state = stateOf(tests);
  counts[state]++;
  console.log(`${id} ${state.padEnd(8)} ${title}${tests.length > 1 ? ` (${tests.length} tests)` : ''}`);
  for (const test of tests) if (test.status !== 'passed') console.log(`      ${test.status}: ${test.fullName}`);
}
const unknown = [...found.keys()].filter((id) => !lines.some((line) => line.id === id));
for (const id of unknown) console.log(`${id} is no acceptance line, but a test is named after it`);
console.log(`\n${lines.length} lines: ${counts.holds} hold, ${counts.fails} fail, ${counts['no test']} have no test`);
process.exit(counts.fails > 0 || unknown.length > 0 || (values.strict && counts['no test'] > 0) ? 1 : 0);

function stateOf(tests) {
  if (tests.length === 0) return 'no test';
  return tests.every((test) => test.status === 'passed') ? 'holds' : 'fails';
}

function testsByLine(all) {
  const byLine = new Map();
  for (const test of all.flatMap(({ testResults }) => testResults).flatMap((file) => file.assertionResults)) {
    for (const id of new Set([...test.ancestorTitles, test.title].flatMap(idsOf))) {
      byLine.set(id, [...(byLine.get(id) ?? []), test]);
    }
  }
  return byLine;
}

/** `U06, U07: a rerun…` proves U06 and U07. */
function idsOf(title) {
  const head = /^((?:[USFPXA]\d\d)(?:(?:, | and )[USFPXA]\d\d)*):/.exec(title);
  return head === null ? [] : head[1].match(/[USFPXA]\d\d/g);
}

function runTests() {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-acceptance-'));
  const file = join(folder, 'report.json');
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  spawnSync(process.execPath, [vitest, 'run', '--reporter=json', `--outputFile.json=${file}`], {
    stdio: ['ignore', 'ignore', 'inherit'],
    cwd: root,
  });
  const results = JSON.parse(readFileSync(file, 'utf8'));
  rmSync(folder, { recursive: true });
  return results;
}
