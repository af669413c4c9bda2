import type { Book } from './book.ts';
import type { FinalView } from './final-view.ts';
import { laneName } from './job.ts';
import type { Machine } from './machine.ts';
import type { Scenario } from './scenario.ts';
import type { SinkEffect } from './sink-request.ts';
import type { Supervisor } from './supervisor.ts';

export interface Course {
  readonly how: 'over' | 'stuck' | 'livelock';
  readonly calmAtMs: number;
}

/** All that an invariant may look at: what really happened on one side, what the ledger says on the other. */
export interface Evidence {
  readonly machine: Machine;
  readonly scenario: Scenario;
  readonly supervisor: Supervisor;
  readonly course: Course;
  readonly book: Book;
  readonly final: FinalView;
  /** What the sinks really took, record by record: by lane, then by the identity of the record. */
  readonly taken: ReadonlyMap<string, readonly SinkEffect[]>;
  /** Identities of records that somebody had sent again without proof, as the ledger shows. */
  readonly possiblyTwice: ReadonlySet<string>;
}

export type Invariant = (evidence: Evidence) => void;

export function gatherEvidence(machine: Machine, supervisor: Supervisor, course: Course, final: FinalView): Evidence {
  const taken = new Map<string, SinkEffect[]>();
  machine.servers.forEach((server, nth) => {
    for (const effect of server.effects) {
      const identity = final.batches.get(effect.request.batch.id)?.identities[effect.index] ?? 'unknown to the ledger';
      const name = `${laneName(nth)}/${identity}`;
      const list = taken.get(name);
      if (list === undefined) taken.set(name, [effect]);
      else list.push(effect);
    }
  });
  const possiblyTwice = new Set<string>();
  for (const { row, identities } of final.batches.values()) {
    if (row.possibly === 'twice') for (const identity of identities) possiblyTwice.add(identity);
  }
  const { scenario, book } = machine;
  return { machine, scenario, supervisor, course, book, final, taken, possiblyTwice };
}

/** How often the sink of its lane took this record. */
export const timesTaken = (evidence: Evidence, lane: string, identity: string): number =>
  evidence.taken.get(`${lane}/${identity}`)?.length ?? 0;
