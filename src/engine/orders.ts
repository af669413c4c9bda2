import type { RunId } from '../model/ids.ts';
import type { Services } from './engine.ts';

const EVERY_MS = 1_000;

/**
 * Watches for what other processes order: a pause of the run, or its cancelling, by `waybill pause` and the like. The
 * order is in the ledger, so it reaches whoever works on the run. Begun only once the run is open: that it was
 * cancelled before this start is no order to this start.
 */
export async function watchForOrders(
  services: Pick<Services, 'ledger' | 'ports'>,
  run: RunId,
  halt: AbortController,
  until: AbortSignal,
): Promise<void> {
  while (!until.aborted) {
    const row = await services.ledger.read.run(run);
    if (row.paused || row.state === 'cancelled') {
      halt.abort();
      return;
    }
    try {
      await services.ports.sleep(EVERY_MS, until);
    } catch (error) {
      if (!until.aborted) throw error;
    }
  }
}
