import { parseArgs } from 'node:util';
import { openApiPeer } from './api-peer.ts';
import type { Behaviour } from './behaviour.ts';

/**
 * A peer in a process of its own: `node main.js --port 0 --log records.ndjson --config '{"shape":"rokt"}'`. Prints
 * its URL as its first line. Ends with SIGTERM or SIGINT; what it wrote to the log survives any end.
 */
const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    log: { type: 'string' },
    config: { type: 'string', default: '{}' },
  },
});

const peer = await openApiPeer(JSON.parse(values.config) as Partial<Behaviour>, {
  port: Number(values.port),
  ...(values.log === undefined ? {} : { logFile: values.log }),
});
process.stdout.write(`${peer.url}\n`);
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    void peer.close().then(() => process.exit(0));
  });
}
