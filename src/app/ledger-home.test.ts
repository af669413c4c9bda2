import { expect, it } from 'vitest';
import { mask } from '../model/masking.ts';
import { ledgerAt } from './ledger-home.ts';

it('an address without a password is what messages are to name', () => {
  const texts = ['postgres://ops@db.example/kept', 'postgres://ops@localhost/kept?host=/run/pg&schema=books'];
  for (const text of texts) {
    expect(ledgerAt(text, '/', 'the password elsewhere')).toMatchObject({ address: { user: 'ops', database: 'kept' } });
    expect(mask(`there is no ledger at ${text}`)).toBe(`there is no ledger at ${text}`);
  }
  expect(mask('the password elsewhere')).toBe('***');
});

it.each([
  'postgres://ops:s3cret-one@db.example/kept',
  'postgres://ops:s3cret-two@x@db.example/kept',
  'postgres://ops:s3cret/three@db.example/kept',
  'postgres://ops@db.example/kept?password=s3cret-four',
])('one that may hold a password is hidden, whatever is wrong with it: %s', (text) => {
  try {
    ledgerAt(text, '/', undefined);
  } catch (error) {
    expect(String(error)).not.toContain('s3cret');
  }
  expect(mask(`there is no ledger at ${text}`)).not.toContain('s3cret');
});
