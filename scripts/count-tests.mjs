// Prints three numbers over the JSON reports that are named: tests passed, failed, left out. A report that cannot be
// read, and a file of tests that could not even be loaded, count as one that failed. Those that failed are named on the
// other stream.
import { readFileSync } from 'node:fs';
import { basename, relative } from 'node:path';

const sum = { passed: 0, failed: 0, skipped: 0 };
for (const path of process.argv.slice(2)) count(path);
console.log(sum.passed, sum.failed, sum.skipped);

function count(path) {
  let report;
  try {
    report = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    console.error(`${path}: ${error.message}`);
    sum.failed++;
    return;
  }
  sum.passed += report.numPassedTests;
  sum.failed += report.numFailedTests;
  sum.skipped += report.numPendingTests + report.numTodoTests;
  for (const { name, status, assertionResults } of report.testResults) {
    const failed = assertionResults.filter((test) => test.status === 'failed').map((test) => test.fullName);
    if (status === 'failed' && assertionResults.length === 0) {
      sum.failed++;
      failed.push('could not be loaded');
    }
    for (const title of failed) console.error(`failed (${basename(path)}): ${relative('.', name)}: ${title}`);
  }
}
