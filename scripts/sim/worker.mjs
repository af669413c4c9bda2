// One worker of a campaign: told what to do by a message, tells how far it is by messages.
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { memoryFolder } from './memory-folder.mjs';

process.once('message', async ({ dir, ask, minutes }) => {
  const { runCampaign } = await import(join(dir, 'campaign.mjs'));
  const folder = mkdtempSync(join(memoryFolder(), 'waybill-sim-'));
  const endAt = performance.now() + minutes * 60_000;
  let stopped = false;
  process.on('message', (message) => {
    if (message === 'stop') stopped = true;
  });
  try {
    const result = await runCampaign({
      ...ask,
      folder,
      over: () => stopped || performance.now() > endAt,
      progress: (totals) => process.send({ progress: totals }),
      ...(ask.shrinkEvents === 0 ? {} : { found: tellFound }),
    });
    process.send({ result, cpuMs: spentMs() });
  } finally {
    rmSync(folder, { recursive: true, force: true });
    process.disconnect();
  }
});

/** Of the processor, by all threads of this process: what others do on the machine is not in it. */
function spentMs() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Making it small may take minutes; whoever watches should not wonder. */
function tellFound(seed, { invariant, what }) {
  console.log(`seed ${seed} breaks ${invariant}: ${what}\nmaking it small`);
}
