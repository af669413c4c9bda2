import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { kernel } from './kernel.ts';

const MASK = (1n << 64n) - 1n;
const rotate = (value: bigint, by: bigint) => ((value << by) | (value >> (64n - by))) & MASK;

/** SipHash as its authors describe it, in plain big integers: slow, and easy to hold against the paper. */
function sipHash(
  input: Uint8Array,
  key: Uint8Array,
  rounds: { block: number; final: number },
  wide: boolean,
): bigint[] {
  const word = (bytes: Uint8Array, at: number) => Buffer.from(bytes).readBigUInt64LE(at);
  let [a, b] = [word(key, 0) ^ 0x736f6d6570736575n, word(key, 8) ^ 0x646f72616e646f6dn];
  let [c, d] = [word(key, 0) ^ 0x6c7967656e657261n, word(key, 8) ^ 0x7465646279746573n];
  const round = () => {
    a = (a + b) & MASK;
    b = rotate(b, 13n) ^ a;
    a = rotate(a, 32n);
    c = (c + d) & MASK;
    d = rotate(d, 16n) ^ c;
    a = (a + d) & MASK;
    d = rotate(d, 21n) ^ a;
    c = (c + b) & MASK;
    b = rotate(b, 17n) ^ c;
    c = rotate(c, 32n);
  };
  const repeat = (times: number) => {
    for (let i = 0; i < times; i++) round();
  };
  if (wide) b ^= 0xeen;
  const padded = Buffer.alloc(input.length + 8 - (input.length % 8));
  padded.set(input);
  padded[padded.length - 1] = input.length & 0xff;
  for (let at = 0; at < padded.length; at += 8) {
    const block = padded.readBigUInt64LE(at);
    d ^= block;
    repeat(rounds.block);
    a ^= block;
  }
  c ^= wide ? 0xeen : 0xffn;
  repeat(rounds.final);
  const first = a ^ b ^ c ^ d;
  if (!wide) return [first];
  b ^= 0xddn;
  repeat(rounds.final);
  return [first, a ^ b ^ c ^ d];
}

const published = Uint8Array.from({ length: 16 }, (_, i) => i);

test('the reference of this test gives the published SipHash-2-4 answer', () => {
  const answer = sipHash(published.subarray(0, 15), published, { block: 2, final: 4 }, false);
  expect(answer).toEqual([0xa129ca6149be45e5n]);
  const wide = sipHash(new Uint8Array(0), published, { block: 2, final: 4 }, true);
  expect(wide).toEqual([0xe6a825ba047f81a3n, 0x930255c71472f66dn]);
});

test('the kernel computes SipHash-1-3 of every length, alone and in a row of spans', () => {
  const bytes = Uint8Array.from({ length: 300 }, (_, i) => (i * 167 + 13) & 0xff);
  const spans = Uint32Array.from({ length: 600 }, (_, i) =>
    i % 2 === 0 ? (i / 2) % 7 : Math.max((i - 1) / 2, ((i - 1) / 2) % 7),
  );
  const narrow = Buffer.from(kernel().hashSpans(bytes, spans, published));
  const wide = Buffer.from(kernel().identify(bytes, spans, { key: null, exclude: [], seed: published }).keys.out);
  for (let i = 0; i < 300; i++) {
    const part = bytes.subarray(spans[i * 2]!, spans[i * 2 + 1]!);
    expect([narrow.readBigUInt64LE(i * 8)]).toEqual(sipHash(part, published, { block: 1, final: 3 }, false));
    const [low, high] = sipHash(part, published, { block: 1, final: 3 }, true);
    expect(wide.readBigUInt64LE(i * 16)).toBe(low);
    expect(wide.readBigUInt64LE(i * 16 + 8)).toBe(high! | (1n << 63n));
  }
});

test('another seed gives other hashes', () => {
  const bytes = Buffer.from('a key that is longer than fifteen bytes');
  const other = published.with(0, 255);
  expect(kernel().packText(bytes, other)).not.toEqual(kernel().packText(bytes, published));
});

test('the committed modules are what their source compiles to', async () => {
  const script = new URL('../../scripts/build-kernel.mjs', import.meta.url).href;
  interface Compiled {
    readonly generatedFile: string;
  }
  const { compileModule, modules } = (await import(script)) as {
    compileModule(module: Compiled): Promise<string>;
    modules: readonly Compiled[];
  };
  for (const module of modules) {
    expect(readFileSync(module.generatedFile, 'utf8')).toBe(await compileModule(module));
  }
});

const isObjectText = (text: string): boolean => {
  try {
    const value: unknown = JSON.parse(text);
    return value !== null && typeof value === 'object' && !Array.isArray(value);
  } catch {
    return false;
  }
};

/** Text that is nearly JSON: a document with some characters replaced, removed or repeated. */
const nearlyJson = fc
  .tuple(
    fc.json({ stringUnit: 'binary' }),
    fc.array(
      fc.tuple(
        fc.nat(200),
        fc.constantFrom(
          '',
          '"',
          '\\',
          '{',
          '}',
          '[',
          ']',
          ',',
          ':',
          '0',
          '-',
          '.',
          'e',
          ' ',
          'u',
          '\t',
          '\u0001',
          'é',
          '\r',
        ),
      ),
    ),
  )
  .map(([json, edits]) => {
    let text = `{"a":${json}}`;
    for (const [at, what] of edits) text = text.slice(0, at) + what + text.slice(at + 1);
    return text.replaceAll('\n', ' ');
  });

test('a line is taken for a record exactly when JSON.parse takes it for an object', () => {
  fc.assert(
    fc.property(fc.array(nearlyJson, { minLength: 1, maxLength: 8 }), (lines) => {
      const present = lines.filter((line) => /[^ \t\r]/.test(line));
      const bytes = Buffer.from(lines.join('\n'));
      const framed = kernel().frameLines(bytes);
      const taken = Array.from({ length: framed.spans.length / 2 }, (_, i) =>
        bytes.toString('utf8', framed.spans[i * 2]!, framed.spans[i * 2 + 1]!),
      );
      const whole = Buffer.from(bytes)
        .toString('utf8')
        .split('\n')
        .filter((line) => /[^ \t\r]/.test(line));
      expect(taken).toEqual(whole.filter(isObjectText).map((line) => line.replace(/^[ \t\r]+|[ \t\r]+$/g, '')));
      expect(framed.broken.map(({ before }) => before)).toEqual(
        whole.flatMap((line, i) => (isObjectText(line) ? [] : [i])),
      );
      expect(present.length).toBe(framed.spans.length / 2 + framed.broken.length);
      expect(framed.consumed).toBe(bytes.length);
    }),
    { numRuns: 2000 },
  );
});

test('every spelling of a number is judged as JSON.parse judges it', () => {
  const characters = fc.array(fc.constantFrom('0', '1', '9', '-', '+', '.', 'e', 'E'), { minLength: 1, maxLength: 7 });
  fc.assert(
    fc.property(characters, (list) => {
      const text = `{"n":${list.join('')}}`;
      expect(kernel().frameLines(Buffer.from(text)).spans.length === 2).toBe(isObjectText(text));
    }),
    { numRuns: 3000 },
  );
});

test('nesting is followed to 512 levels and refused beyond', () => {
  const nested = (levels: number) => Buffer.from(`${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`);
  expect(kernel().frameLines(nested(512)).spans).toHaveLength(2);
  expect(kernel().frameLines(nested(513)).broken[0]?.fault).toBe('too-deep');
});
