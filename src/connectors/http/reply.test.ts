import { Buffer } from 'node:buffer';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { REPLY_BYTES_MAX, Reply } from './reply.ts';

const packed = (coding: string, body: Buffer): Reply => new Reply(200, { 'content-encoding': coding }, [body]);

describe('the text of an answer', () => {
  it('is in the letters that the answer says it is in', () => {
    const latin = Buffer.from('{"said":"caf\xe9"}', 'latin1');
    const told = (type: string) => new Reply(200, { 'content-type': type }, [latin]).text();
    expect(told('application/json; charset="ISO-8859-1"')).toBe('{"said":"café"}');
    expect(told('application/json')).toBeUndefined();
    expect(told('application/json; charset=klingon')).toBeUndefined();
    const utf8 = new Reply(200, { 'content-type': 'application/json; charset=iso-8859-1' }, [Buffer.from('"café"')]);
    expect(utf8.text()).toBe('"café"');
  });

  it('is unpacked from gzip, of which its beginning is kept as well', () => {
    const reply = packed('GZIP', gzipSync('{"ok":true}'));
    expect([reply.text(), reply.excerpt(5)]).toEqual(['{"ok":true}', '{"ok"']);
  });

  it.each([
    ['ends early', 'gzip', gzipSync('{"ok":true}').subarray(0, -6)],
    ['is something else', 'gzip', Buffer.from('{"ok":true}')],
    ['is packed in another way', 'br', brotliCompressSync('{"ok":true}')],
    ['unpacks to more than an answer may hold', 'gzip', gzipSync(Buffer.alloc(REPLY_BYTES_MAX + 1, ' '))],
  ])('is not there where it %s', (_how, coding, body) => {
    expect(packed(coding, body).text()).toBeUndefined();
  });
});
