import { LedgerBench } from './ledger-bench.ts';
import { drawScenario } from './scenario.ts';
import { replay, runSchedule } from './schedule.ts';
import { Tape } from './tape.ts';
import { rmSync } from 'node:fs';
const folder = '/dev/shm/wsim-scratch'; rmSync(folder,{recursive:true,force:true});
const bench = new LedgerBench(folder);
const from = Number(process.argv[2]), n = Number(process.argv[3]);
const t0 = performance.now(); let ev=0, k=0, v=0, ms=0; const groups = new Map<string, number[]>();
process.on('unhandledRejection', (e) => { console.log('UNHANDLED', e); });
for (let seed = from; seed < from+n; seed++) {
  const scenario = drawScenario(seed);
  const r = await runSchedule(scenario, Tape.ofSeed(seed), bench, {keepTimeline: n===1});
  ev += r.events; k += r.kills; ms += r.virtualMs;
  if (n===1) { console.log(JSON.stringify(scenario)); console.log(r.timeline.slice(0,Number(process.argv[4]??100)).join('\n')); }
  if (seed % 50 === 0 || n===1) { const r2 = await replay({scenario, tape: r.tape}, bench); if (r2.hash !== r.hash) console.log('HASH', seed, r.hash, r2.hash); }
  const seen = new Set<string>();
  for (const x of r.violations) { v++; const k = scenario.rung+' '+x.invariant+' '+x.what.replace(/[0-9]+/g,'N').slice(0,110); if (seen.has(k)) continue; seen.add(k); const o = groups.get(k)??[]; o.push(seed); groups.set(k,o); if (n===1) console.log(x.invariant, x.what.slice(0,900)); }
}
const dt = performance.now()-t0;
for (const [k,o] of [...groups].sort((a,b)=>b[1].length-a[1].length)) console.log(o.length, k.replaceAll('\n',' '), o.slice(0,5).join(' '));
console.log({perMin: n/dt*60000, events: ev/n, kills: k/n, violations: v, hours: ms/3.6e6});
console.log('cpu per schedule ms', process.cpuUsage().user/1000/n, process.cpuUsage().system/1000/n);
