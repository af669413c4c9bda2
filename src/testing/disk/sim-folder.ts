import type { SimFile } from './sim-file.ts';

export type SimNode = SimFile | SimFolder;

/** A name that came, went or moved, and is not durable yet. */
export interface NameChange {
  readonly folder: SimFolder;
  /** Undefined where a name goes. */
  readonly names: readonly (readonly [name: string, node: SimNode | undefined])[];
}

/** A folder as a process sees it, and beside it the names that are on the disk. */
export class SimFolder {
  readonly inode: number;
  readonly names = new Map<string, SimNode>();
  readonly durable = new Map<string, SimNode>();

  constructor(inode: number) {
    this.inode = inode;
  }

  /** All at once, as a rename is. */
  change(change: NameChange): void {
    applyNames(this.names, change);
  }

  settle(change: NameChange): void {
    applyNames(this.durable, change);
  }
}

function applyNames(names: Map<string, SimNode>, change: NameChange): void {
  for (const [name, node] of change.names) {
    if (node === undefined) names.delete(name);
    else names.set(name, node);
  }
}
