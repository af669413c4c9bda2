import type { Machine } from './machine.ts';
import type { Supervisor } from './supervisor.ts';

export interface Course {
  readonly how: 'over' | 'stuck' | 'livelock';
  readonly calmAtMs: number;
}

export async function judge(machine: Machine, supervisor: Supervisor, course: Course): Promise<void> {
  machine.book.check('I13', course.how !== 'livelock' && supervisor.idle, () => `${course.how}: ${JSON.stringify(supervisor.tasks)}`);
}
