import { RefusedError } from '../../model/errors.ts';
import { classOf, replyCode } from './outcome.ts';

/** A connection, as far as it is asked here. */
interface Asked {
  readonly place: string;
  ask(args: readonly string[]): Promise<unknown>;
}

/** Of what a lane writes: all of it stays for good, or some of it expires by itself. */
export type Lasting = 'for-good' | 'until-expired';

/**
 * Throws RefusedError where the server removes keys of its own accord once its memory is full: it has acknowledged them
 * and tells nobody. A user who may not ask is believed, as the lane's assumptions say.
 */
export async function expectKept(session: Asked, lasting: Lasting): Promise<void> {
  const memory = await memoryOf(session);
  const policy = /^maxmemory_policy:(\S+)/m.exec(memory)?.[1] ?? 'noeviction';
  const limit = /^maxmemory:(\d+)/m.exec(memory)?.[1] ?? '0';
  if (limit === '0' || policy === 'noeviction' || (policy.startsWith('volatile') && lasting === 'for-good')) return;
  throw new RefusedError(`${session.place} removes keys when its memory is full (${policy}, ${limit} bytes)`, {
    reason: 'eviction',
    about: 'request',
    hint:
      'Set `maxmemory-policy noeviction` on the server: it then refuses what it cannot keep. Or `eviction: accept` ' +
      'in the sink, if records may be gone that count as delivered.',
  });
}

async function memoryOf(session: Asked): Promise<string> {
  try {
    return String(await session.ask(['INFO', 'memory']));
  } catch (error) {
    // The user may not ask, or a proxy in between does not know the question.
    if (replyCode(error) !== undefined && classOf((error as Error).message) === 'request') return '';
    throw error;
  }
}
