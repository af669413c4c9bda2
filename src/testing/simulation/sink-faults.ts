import { NotAppliedError } from '../../model/errors.ts';
import type { SinkServer } from './sink-server.ts';
import type { World } from './world.ts';

/** A sink that is away, or has too much to do, says so before it does anything. */
export function surelyUp(server: SinkServer, world: World): void {
  if (world.fault('sink-down')) server.downUntilMs = world.nowMs + world.tape.between(100, 20_000);
  if (server.isDown) throw new NotAppliedError('503: down', { sinkAway: true });
  if (world.fault('throttled')) throw new NotAppliedError('429', { retryAfterMs: world.tape.between(0, 3_000) });
  if (world.fault('unavailable')) {
    throw new NotAppliedError('503', { sinkAway: true, retryAfterMs: world.tape.between(0, 3_000) });
  }
}
