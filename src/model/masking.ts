/**
 * Every secret that this process has read is hidden wherever text leaves the engine: in outputs, logs, errors, and in
 * the ledger, which keeps what APIs said. APIs, proxies and drivers repeat what they were sent, and each spells it in
 * its own way. The list belongs to the process: an output is shared by all, and none may print what another one read.
 */

/** Values as short as this occur in ordinary words; they are hidden only where they stand alone. */
const SHORT = 4;

const seen = new Set<string>();
const forms = new Set<string>();
let pattern: RegExp | undefined;

/** Hides this value from now on, and the pieces of it that are secrets of their own. */
export function hideSecret(value: string): void {
  if (value === '' || seen.has(value)) return;
  seen.add(value);
  for (const part of [value, ...partsOf(value)]) {
    for (const form of formsOf(part.trim())) forms.add(plusAsBlank(form));
  }
  pattern = undefined;
}

/**
 * Replaces every secret by `***`, in whatever spelling it stands there: the text is searched as it is, and again with
 * its encodings undone, one at a time and in any order.
 */
export function mask(text: string): string {
  if (forms.size === 0 || text === '') return text;
  pattern ??= patternOf(forms);
  const spans: Span[] = [];
  for (const { plain, undone } of readings(text)) {
    const earlier = (inRound: Span[], edits: readonly Edit[]): Span[] => inRound.map((span) => before(span, edits));
    spans.push(...undone.reduceRight(earlier, found(plain, pattern)));
  }
  return spans.length === 0 ? text : cut(text, spans);
}

/** A text with some of its encodings undone, the last one last. */
interface Reading {
  readonly plain: string;
  readonly undone: readonly (readonly Edit[])[];
}

/** The text itself, and every way to read it that undoing an encoding opens, those of few steps first. */
function readings(text: string): readonly Reading[] {
  const all: Reading[] = [{ plain: text, undone: [] }];
  const known = new Set([text]);
  for (const { plain, undone } of all) {
    for (const code of CODES) {
      const { text: next, edits } = decode(plain, code);
      if (edits.length === 0 || known.has(next) || all.length === READINGS_MAX) continue;
      known.add(next);
      all.push({ plain: next, undone: [...undone, edits] });
    }
  }
  return all;
}

const found = (text: string, secrets: RegExp): Span[] =>
  [...plusAsBlank(text).matchAll(secrets)].map(({ 0: match, index }) => ({ from: index, to: index + match.length }));

/** A form writes a blank as a plus, so that both count as a blank. */
const plusAsBlank = (text: string): string => text.replaceAll('+', ' ');

function patternOf(secrets: ReadonlySet<string>): RegExp {
  // The longest first, so that a secret that begins with another one is not left in halves.
  const words = [...secrets]
    .sort((a, b) => b.length - a.length)
    .map((form) => {
      const literal = form.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
      return form.length < SHORT ? `(?<![A-Za-z0-9])${literal}(?![A-Za-z0-9])` : literal;
    });
  return new RegExp(words.join('|'), 'g');
}

/** Pieces that are secrets of their own: the password within an address, the lines of a key file. */
function partsOf(value: string): readonly string[] {
  const parts = value.split(/\r?\n/).filter((line) => line.length >= 16 && line !== value);
  const password = /^[a-z][a-z0-9+.-]*:\/\/[^/?#@]*?:([^/?#]*)@/i.exec(value)?.[1];
  if (password !== undefined) parts.push(password, fromAddress(password));
  for (const [, key = '', given = ''] of value.matchAll(/[?&;]([^=&;]+)=([^&;#]*)/g)) {
    if (/pass|secret|token|key|sig|credential/i.test(key)) parts.push(given, fromAddress(given));
  }
  return parts;
}

const fromAddress = (text: string): string => decode(text, CODES[0]).text;

/** The spellings that no sign-by-sign decoding undoes. */
function formsOf(value: string): readonly string[] {
  if (value === '') return [];
  const bytes = Buffer.from(value, 'utf8');
  if (bytes.length < SHORT) return [value];
  const hex = bytes.toString('hex');
  return [value, hex, hex.toUpperCase(), ...base64Forms(bytes)];
}

/**
 * Base64 depends on what stands before: `user:password` shifts the password by the length of the user. Of each of the
 * three shifts the part that belongs to the secret alone is hidden, in both alphabets.
 */
function base64Forms(bytes: Buffer): readonly string[] {
  const found: string[] = [];
  for (let shift = 0; shift < 3; shift++) {
    const text = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replaceAll('=', '');
    const from = Math.ceil((shift * 8) / 6);
    const to = Math.floor(((shift + bytes.length) * 8) / 6);
    const own = text.slice(from, to);
    if (own.length >= SHORT) found.push(own, own.replaceAll('+', '-').replaceAll('/', '_'));
  }
  return found;
}

/** A place in a text that was decoded: where it begins in the decoded text, and what it was before. */
interface Edit {
  readonly at: number;
  readonly length: number;
  readonly sourceAt: number;
  readonly sourceLength: number;
}

/** Enough for JSON in JSON in an address in a web page, and then some. */
const READINGS_MAX = 40;
/** Bytes of an address, an escape of JSON or of source code, a sign of a web page. */
const CODES = [
  /(?:%[0-9a-fA-F]{2})+/g,
  /\\(?:u[0-9a-fA-F]{4}|["'\\/bfnrt])/g,
  /&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|amp|lt|gt|quot|apos);/g,
] as const;
const LETTERS: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };
const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** Undoes one encoding; what is no code of it stays. No edits: nothing was one. */
function decode(source: string, code: RegExp): { readonly text: string; readonly edits: readonly Edit[] } {
  const edits: Edit[] = [];
  let shift = 0;
  const text = source.replace(code, (written, sourceAt: number) => {
    const sign = signOf(written);
    edits.push({ at: sourceAt - shift, length: sign.length, sourceAt, sourceLength: written.length });
    shift += written.length - sign.length;
    return sign;
  });
  return { text, edits };
}

function signOf(code: string): string {
  if (code.startsWith('%')) return Buffer.from(code.replaceAll('%', ''), 'hex').toString('utf8');
  const name = code.startsWith('&') ? code.slice(1, -1) : code.slice(1);
  if (code.startsWith('\\')) {
    return name.length > 1 ? String.fromCharCode(Number.parseInt(name.slice(1), 16)) : (LETTERS[name] ?? name);
  }
  const number = /^#[xX]/.test(name) ? Number.parseInt(name.slice(2), 16) : Number.parseInt(name.slice(1), 10);
  if (!name.startsWith('#')) return ENTITIES[name] ?? code;
  return number <= 0x10ffff ? String.fromCodePoint(number) : '';
}

interface Span {
  readonly from: number;
  readonly to: number;
}

/** The same stretch one round of decoding earlier; a code of which only a part belongs to it is taken whole. */
function before(span: Span, edits: readonly Edit[]): Span {
  let [from, to] = [span.from, span.to];
  let shift = 0;
  for (const edit of edits) {
    if (edit.at >= span.to) break;
    const end = edit.at + edit.length;
    shift = edit.sourceAt + edit.sourceLength - end;
    if (end <= span.from) from = span.from + shift;
    else if (edit.at <= span.from) from = edit.sourceAt;
    to = end >= span.to ? edit.sourceAt + edit.sourceLength : span.to + shift;
  }
  return { from, to };
}

/** With stars in place of the stretches, which may overlap. */
function cut(text: string, spans: readonly Span[]): string {
  const pieces: string[] = [];
  let at = 0;
  for (const { from, to } of [...spans].sort((a, b) => a.from - b.from)) {
    if (to <= at) continue;
    if (from >= at) pieces.push(text.slice(at, from), '***');
    at = to;
  }
  return pieces.join('') + text.slice(at);
}
