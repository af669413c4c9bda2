import { assert } from '../../model/assert.ts';
import type { Machine } from './machine.ts';

const LOOKS_MAX = 25;

/** Somebody who reads the sinks at moments of his own and writes down what he saw, batch by batch. */
export class Reader {
  readonly #machine: Machine;
  #left = LOOKS_MAX;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  begin(): void {
    const { world, scenario } = this.#machine;
    if (scenario.rung !== 'marker' || this.#left-- <= 0) return;
    world.at(world.tape.between(5, 900), undefined, 'reader', () => {
      this.#look();
      this.begin();
    });
  }

  #look(): void {
    for (const server of this.#machine.servers) {
      server.loads?.look();
      if (server.loads !== undefined) continue;
      const seen = new Map<number, number>();
      for (const { request } of server.effects) seen.set(request.batch.id, (seen.get(request.batch.id) ?? 0) + 1);
      for (const [batch, count] of seen) {
        const first = server.effects.find(({ request }) => request.batch.id === batch);
        assert(first !== undefined, 'simulation.batch-has-effects');
        this.#machine.book.looks.push({ batch, seen: count, whole: first.request.batch.records });
      }
    }
  }
}
