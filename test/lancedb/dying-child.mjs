// Loads a day into LanceDB in a process of its own, which kills itself (kill -9) before or after effect number `at`
// of those that change anything. Arguments: the folder, the strategy, the day, the number, `before` or `after`. Says
// how many effects there were if it lives.
import { createRequire } from 'node:module';
import { createJiti } from 'jiti';

const [folder, strategy, day, at, moment] = process.argv.slice(2);
const { MergeInsertBuilder, connect } = createRequire(import.meta.url)('@lancedb/lancedb');
let effects = 0;

function watch(prototype, names) {
  for (const name of names) {
    const real = prototype[name];
    prototype[name] = async function (...given) {
      const fatal = ++effects === Number(at);
      if (fatal && moment === 'before') process.kill(process.pid, 'SIGKILL');
      const result = await real.apply(this, given);
      if (fatal) process.kill(process.pid, 'SIGKILL');
      return result;
    };
  }
}

const jiti = createJiti(import.meta.url, { fsCache: true });
const { lancedb } = await jiti.import('../../src/connectors/lancedb/config.ts');
const { Story, items, KEYED } = await jiti.import('./story.ts');
const { loadOf } = await jiti.import('./steps.ts');
const sink = lancedb.sink.open({ uri: 'db', options: {}, secrets: {} }, lancedb.sink.settings.parse(KEYED), { folder });
// The classes of connections and tables are not handed out; an object of each shows its own.
const connection = await connect(`${folder}/db`);
watch(Object.getPrototypeOf(await connection.openTable('t')), ['add', 'delete', 'restore', 'optimize']);
watch(MergeInsertBuilder.prototype, ['execute']);
watch(Object.getPrototypeOf(connection), ['createEmptyTable', 'dropTable']);

const story = new Story(JSON.parse(process.env.LOADS), strategy);
const load = loadOf(Number(day), 2);
await story.collect(sink, load, items('2B', '5B'));
await story.publish(sink, load);
await sink.close();
console.log(effects);
