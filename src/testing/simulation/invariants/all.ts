import type { Invariant } from '../evidence.ts';
import { historyAgrees } from '../history-oracle.ts';
import { nothingHidden } from './i01-nothing-hidden.ts';
import { deliveredIsThere } from './i02-delivered-is-there.ts';
import { twiceIsSaid } from './i03-twice-is-said.ts';
import { doubtIsListed } from './i04-doubt-is-listed.ts';
import { noPartIsSeen } from './i05-no-part-is-seen.ts';
import { failureIsNoEnd } from './i06-failure-is-no-end.ts';
import { positionWithData } from './i07-position-with-data.ts';
import { stateAsReplayed } from './i08-state-as-replayed.ts';
import { keysStay } from './i09-keys-stay.ts';
import { frozen } from './i10-frozen.ts';
import { oneHolder } from './i11-one-holder.ts';
import { oneStatus } from './i12-one-status.ts';
import { comesToAnEnd } from './i13-comes-to-an-end.ts';
import { ledgerVerifies } from './i14-ledger-verifies.ts';
import { noContentLeaks } from './i15-no-content-leaks.ts';
import { allGivenBack } from './i16-all-given-back.ts';
import { shownAsPublished } from './i17-shown-as-published.ts';
import { loadsToldTruly } from './i18-loads-told-truly.ts';
import { loadsSeenWhole } from './i19-loads-seen-whole.ts';
import { publishedInTurn } from './i20-published-in-turn.ts';
import { pulledOnce } from './i21-pulled-once.ts';
import { fewAreExposed } from './i22-few-are-exposed.ts';

/** All that must hold at the end of every schedule. A campaign in which one of them was never checked has failed. */
export const INVARIANTS: Readonly<Record<string, Invariant>> = {
  I1: nothingHidden,
  I2: deliveredIsThere,
  I3: twiceIsSaid,
  I4: doubtIsListed,
  I5: noPartIsSeen,
  I6: failureIsNoEnd,
  I7: positionWithData,
  I8: stateAsReplayed,
  I9: keysStay,
  I10: frozen,
  I11: oneHolder,
  I12: oneStatus,
  I13: comesToAnEnd,
  I14: ledgerVerifies,
  I15: noContentLeaks,
  I16: allGivenBack,
  I17: shownAsPublished,
  I18: loadsToldTruly,
  I19: loadsSeenWhole,
  I20: publishedInTurn,
  I21: pulledOnce,
  I22: fewAreExposed,
  history: historyAgrees,
};
