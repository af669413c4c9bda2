import type { Table } from '../store.ts';
import { ATTEMPT } from '../tables/attempts.ts';
import { BATCH } from '../tables/batches.ts';
import { CHAIN, EVENT } from '../tables/events.ts';
import { EXCEPTION } from '../tables/exceptions.ts';
import { GENERATION, GENERATION_LANE } from '../tables/generations.ts';
import { LANE, TALLY } from '../tables/lanes.ts';
import { LEASE } from '../tables/leases.ts';
import { LOAD } from '../tables/loads.ts';
import { MEMBERS, SEGMENT, UNBATCHED } from '../tables/members.ts';
import { POSITION } from '../tables/positions.ts';
import { RUN } from '../tables/runs.ts';
import { HISTORY_ROW, LOOK, SLICE } from '../tables/slices.ts';
import { EMITTER } from '../verbs/set-position.ts';
import { KEY_LANE, KEY_PAGE, KEY_PART } from './key-pages.ts';

/** Everything that the books consist of. Who the ledger is stands beside them, in a form of each database's own. */
export const TABLES: readonly Table[] = [
  RUN,
  LANE,
  TALLY,
  GENERATION,
  GENERATION_LANE,
  SEGMENT,
  MEMBERS,
  BATCH,
  ATTEMPT,
  EXCEPTION,
  UNBATCHED,
  EVENT,
  CHAIN,
  LEASE,
  POSITION,
  LOAD,
  SLICE,
  LOOK,
  HISTORY_ROW,
  EMITTER,
  KEY_LANE,
  KEY_PART,
  KEY_PAGE,
];
