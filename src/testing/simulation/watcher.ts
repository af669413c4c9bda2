import type { Scenario } from './scenario.ts';
import type { Blow, Owner, World } from './world.ts';

/** Deaths and stalls of a schedule are bounded: each costs a start, and nothing would ever get done. */
const BLOWS_MAX = 8;
const STALL_LEASES = 3;

/** Strikes processes at effect boundaries, as the swarm allows and the tape decides. */
export function swarmWatcher(
  world: World,
  { leaseMs, stallLeases = STALL_LEASES }: Pick<Scenario, 'leaseMs' | 'stallLeases'>,
): (process: Owner, where: string) => Blow | undefined {
  let left = BLOWS_MAX;
  return (process, where) => {
    if (!world.faulty || left <= 0) return undefined;
    if (world.fault('kill')) {
      left--;
      world.mark(`killed ${where.startsWith('before') ? 'before' : 'after'} an effect`);
      return 'kill';
    }
    if (world.fault('power-cut')) {
      left--;
      return 'power-cut';
    }
    if (world.fault('pause')) {
      left--;
      const stallMs = world.tape.between(100, leaseMs * stallLeases);
      world.mark('a process was stalled');
      if (stallMs > leaseMs) world.mark('a process was stalled past its lease');
      process.stalledAtMs = world.nowMs;
      process.pausedUntilMs = world.nowMs + stallMs;
      return 'pause';
    }
    return undefined;
  };
}

/** Strikes exactly at these boundaries of the processes that carry windows, counted from 1 over the whole schedule. */
export function plannedWatcher(
  at: readonly number[],
  blow: Blow,
  pauseMs: number,
): { watch(process: Owner, where: string, nowMs: number): Blow | undefined; struck(): number } {
  let passed = 0;
  let struck = 0;
  const watch = (process: Owner, _where: string, nowMs: number): Blow | undefined => {
    if (!process.name.startsWith('runner')) return undefined;
    passed++;
    if (!at.includes(passed)) return undefined;
    struck++;
    if (blow === 'pause') {
      process.stalledAtMs = nowMs;
      process.pausedUntilMs = nowMs + pauseMs;
    }
    return blow;
  };
  return { watch, struck: () => struck };
}
