import { rolldown } from 'rolldown';
const b = await rolldown({ input: 'src/testing/simulation/scratch.ts', platform:'node', external:[/^node:/,'better-sqlite3'] });
await b.write({file:'.cache/sim/scratch.mjs', format:'esm'});
