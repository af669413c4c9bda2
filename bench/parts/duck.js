// Runs statements in DuckDB and prints a JSON line for each: how long it took, and the rows that came of it.
//   node duck.js MODULE THREADS STATEMENT...
import { pathToFileURL } from 'node:url';

const [module, threads, ...statements] = process.argv.slice(2);
const { DuckDBInstance } = (await import(pathToFileURL(module).href)).default;
const connection = await (await DuckDBInstance.create(':memory:')).connect();
if (threads !== 'all') await connection.run(`set threads = ${threads}`);
await connection.run(`set TimeZone = 'UTC'`);
for (const statement of statements) {
  const started = performance.now();
  const rows = await (await connection.runAndReadAll(statement)).getRowsJson();
  console.log(JSON.stringify({ seconds: (performance.now() - started) / 1000, rows }));
}
