import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import { LINES } from '../../model/batch.ts';
import { OUTCOME } from '../../model/verdict.ts';
import { testPermit } from '../../testing/permit.ts';
import { Judge } from './judge.ts';
import { Reply } from './reply.ts';

const judge = new Judge({
  statuses: { applied: [], already: [], refused: [], retry: [429], unknown: [] },
  atomic: false,
  wallMs: () => 0,
});
const permit = testPermit({ records: [{ id: 1 }], framing: LINES });

async function outcomeOf(text: string, type: string): Promise<number | undefined> {
  const reply = new Reply(200, { 'content-type': type }, [Buffer.from(text)]);
  return judge.verdict('POST', reply, permit.batch, await permit.payload(), { shape: 'none' }).outcomes[0];
}

describe('a status that is to say it all', () => {
  it.each([
    '<!DOCTYPE html><title>Sign in</title>',
    '\uFEFF\n<!-- portal -->\n<!-- 2 --> <html lang="en">',
    '<HTML><body>welcome',
    '<body>moved',
  ])('proves nothing above a page to look at: %s', async (page) => {
    expect(await outcomeOf(page, 'text/html')).toBe(OUTCOME.unknown);
    expect(await outcomeOf(page, 'application/json')).toBe(OUTCOME.unknown);
  });

  it('is not made up by comments without end', async () => {
    expect(await outcomeOf('<!---->'.repeat(1000), 'text/html')).toBe(OUTCOME.applied);
  });

  it.each(['', 'OK', '<ok/>', '<?xml version="1.0"?><headers/>', '"<html>"', '{"page":"<html>"}'])(
    'is believed above %j, whatever the server calls it',
    async (text) => {
      expect(await outcomeOf(text, 'text/html; charset=utf-8')).toBe(OUTCOME.applied);
    },
  );
});
