import { encodeJson } from '../../formats/encode.ts';
import { WaybillError } from '../../model/errors.ts';
import { at } from './paths.ts';
import { excerptOf } from './source-errors.ts';
import { isSaid } from './telling-names.ts';

/** What was asked, for messages, and how many records the answer holds. */
export interface Held {
  readonly name: string;
  readonly records: number;
}

/**
 * An answer of success that says itself what went wrong: one without records is no end of them, and one with records
 * and a list of errors, as GraphQL has it, lacks some or parts of some. Nobody may take it for what was asked for.
 * `throttled` among the ids of the error says that it was asked for too often. Throws SOURCE_AWAY.
 */
export function expectNoFailure(reply: unknown, { name, records }: Held): void {
  const path = records === 0 ? ['errors', 'error'].find((one) => isSaid(at(reply, one))) : partlyFailed(reply);
  if (path === undefined) return;
  const said = encodeJson(at(reply, path));
  const holds = records === 0 ? 'holds no records' : 'does not hold all that was asked for';
  throw new WaybillError('SOURCE_AWAY', `${name} ${holds}, and says at ${path} what went wrong: ${excerptOf(said)}`, {
    ids: TOO_OFTEN.test(said) ? { throttled: true } : {},
  });
}

const TOO_OFTEN = /throttl|rate[\s_-]?limit|too[\s_-]?many[\s_-]?requests/i;

/** A list of errors with messages; anything less may be a field that is always there. */
function partlyFailed(reply: unknown): string | undefined {
  const errors = at(reply, 'errors');
  const messages = Array.isArray(errors) ? errors.map((one) => at(one, 'message')) : [];
  return messages.some((message) => typeof message === 'string') ? 'errors' : undefined;
}
