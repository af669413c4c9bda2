import { type Answer, APPLIED } from '../../model/answers.ts';
import { answerOf } from './outcome.ts';
import type { Session } from './session.ts';

/** A message to be sent, and the records of the batch that stand or fall with it. */
export interface Message {
  /** Of the whole message, headers included. */
  readonly bytes: number;
  readonly places: readonly number[];
  /** Sends it and resolves when the server has acknowledged it. */
  send(): Promise<unknown>;
}

/** Sends all messages at once and gathers their answers. Never rejects: each message has an answer of its own. */
export async function sendAll<T>(
  session: Session<T>,
  messages: readonly Message[],
  into: Answer[],
): Promise<readonly Answer[]> {
  const limit = session.bytesMax;
  await Promise.all(
    messages.map(async ({ bytes, places, send }) => {
      const answer = bytes > limit ? tooLarge(bytes, limit) : await acknowledged(send, session);
      for (const at of places) into[at] = answer;
    }),
  );
  return into;
}

async function acknowledged<T>(send: () => Promise<unknown>, session: Session<T>): Promise<Answer> {
  try {
    await send();
    return APPLIED;
  } catch (error) {
    return answerOf(error, session.gaveUp);
  }
}

/** The server ends the connection over such a message, so it is never sent. */
const tooLarge = (bytes: number, limit: number): Answer => ({
  kind: 'refused',
  code: 'max-payload',
  message: `a message of ${bytes} bytes is larger than the ${limit} that the server takes`,
});
