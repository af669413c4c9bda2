import { ENGINE } from './engine.mjs';
import { LEDGER } from './ledger.mjs';
import { LOADS } from './loads.mjs';
import { PULLS } from './pulls.mjs';
import { RANGES } from './ranges.mjs';
import { STRATEGIES } from './strategies.mjs';
import { UNKEPT } from './unkept.mjs';

/** Every planted bug. A simulator that misses one of them proves less than it says. */
export const PLANTS = [...ENGINE, ...STRATEGIES, ...LEDGER, ...LOADS, ...PULLS, ...RANGES, ...UNKEPT];
