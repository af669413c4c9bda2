import type { Path, Place } from './places.ts';

/**
 * Where the keys of a flow file written in TypeScript or JavaScript stand. A config is built by code, so no parser can
 * say for sure where a value came from; but nearly all of it is object literals, and their keys can be found by
 * reading tokens. A key is known by the keys around it, and by the name of the constant when its literal is one.
 */
export class ScriptPlaces {
  readonly #keys: readonly FoundKey[];

  constructor(text: string) {
    this.#keys = new KeyScanner(text).scan();
  }

  /** The key whose surroundings agree with the path for the longest way; else that of the nearest thing around it. */
  place(path: Path, what: 'key' | 'value'): Place | undefined {
    for (let length = path.length; length > 0; length--) {
      const found = this.#find(path.slice(0, length).map(String));
      if (found !== undefined) return length === path.length && what === 'value' ? found.value : found.key;
    }
    return undefined;
  }

  #find(path: readonly string[]): FoundKey | undefined {
    let best: { readonly key: FoundKey; readonly score: number } | undefined;
    for (const key of this.#keys) {
      const agreeing = commonEnd(key.path, path);
      // A literal that is rooted in the export agrees in full; one of a constant, from its own name on.
      const whole = agreeing === path.length && key.path.length === agreeing;
      const score = whole ? path.length + 1 : agreeing;
      const enough = whole || (agreeing >= 2 && (agreeing === key.path.length || agreeing === key.path.length - 1));
      if (enough && (best === undefined || score > best.score)) best = { key, score };
    }
    return best?.key;
  }
}

interface FoundKey {
  readonly path: readonly string[];
  readonly key: Place;
  readonly value: Place;
}

function commonEnd(a: readonly string[], b: readonly string[]): number {
  let count = 0;
  while (count < a.length && count < b.length && a[a.length - 1 - count] === b[b.length - 1 - count]) count++;
  return count;
}

type TokenKind = 'name' | 'text' | 'number' | 'mark' | 'other';
interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  readonly at: number;
}

/** Comments, blanks, texts, names, numbers, single marks. Regular expressions are known by what stands before them. */
const TOKEN = new RegExp(
  [
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|\s+/,
    /"(?:[^"\\\n]|\\[\s\S])*"|'(?:[^'\\\n]|\\[\s\S])*'|`(?:[^`\\]|\\[\s\S])*`/,
    /[A-Za-z_$][\w$]*|[0-9][\w.]*|=>|[\s\S]/,
  ]
    .map((part) => part.source)
    .join('|'),
  'g',
);
const REGULAR_EXPRESSION = /\/(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;

function tokensOf(text: string): readonly Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(text); match !== null; match = TOKEN.exec(text)) {
    const piece = match[0];
    if (/^(\s|\/\/|\/\*)/.test(piece)) continue;
    if (piece === '/' && isValueStart(tokens.at(-1))) {
      REGULAR_EXPRESSION.lastIndex = match.index;
      const expression = REGULAR_EXPRESSION.exec(text);
      if (expression !== null) {
        tokens.push({ kind: 'other', text: expression[0], at: match.index });
        TOKEN.lastIndex = REGULAR_EXPRESSION.lastIndex;
        continue;
      }
    }
    tokens.push({ kind: kindOf(piece), text: piece, at: match.index });
  }
  return tokens;
}

function kindOf(piece: string): TokenKind {
  if (/^[A-Za-z_$]/.test(piece)) return 'name';
  if (/^["'`]/.test(piece)) return 'text';
  return /^[0-9]/.test(piece) ? 'number' : 'mark';
}

const isValueStart = (before: Token | undefined): boolean =>
  before === undefined || (before.kind === 'mark' && !/[)\]}]/.test(before.text)) || before.text === 'return';

interface Frame {
  readonly open: '{' | '[' | '(';
  readonly path: readonly string[];
  readonly object: boolean;
  index: number;
  /** At the place where a key may come. */
  fresh: boolean;
  pending?: readonly string[];
}

/** Walks the tokens with a stack of open brackets; an object literal is a `{` where a value may stand. */
class KeyScanner {
  readonly #tokens: readonly Token[];
  readonly #lineStarts: number[] = [0];
  readonly #found: FoundKey[] = [];
  readonly #frames: Frame[] = [];

  constructor(text: string) {
    this.#tokens = tokensOf(text);
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) this.#lineStarts.push(at + 1);
  }

  scan(): readonly FoundKey[] {
    this.#tokens.forEach((token, nth) => {
      const frame = this.#frames.at(-1);
      if (token.text === '{' || token.text === '[' || token.text === '(') this.#open(token.text, nth);
      else if (token.text === '}' || token.text === ']' || token.text === ')') this.#frames.pop();
      else if (frame === undefined) return;
      else if (token.text === ',') this.#next(frame);
      else if (frame.object && frame.fresh) this.#key(frame, token, nth);
    });
    return this.#found;
  }

  #next(frame: Frame): void {
    frame.fresh = true;
    frame.index++;
    delete frame.pending;
  }

  #key(frame: Frame, token: Token, nth: number): void {
    const [next, after] = [this.#tokens[nth + 1], this.#tokens[nth + 2]];
    frame.fresh = false;
    if (token.kind === 'mark' || token.kind === 'other') return;
    const path = [...frame.path, token.kind === 'text' ? token.text.slice(1, -1) : token.text];
    if (next?.text === ':') {
      frame.pending = path;
      this.#found.push({ path, key: this.#placeOf(token), value: this.#placeOf(after ?? token) });
    } else if (next?.text === ',' || next?.text === '}') {
      this.#found.push({ path, key: this.#placeOf(token), value: this.#placeOf(token) });
    }
  }

  #open(open: '{' | '[' | '(', nth: number): void {
    const [frame, before] = [this.#frames.at(-1), this.#tokens[nth - 1]];
    const object =
      open === '{' &&
      (isValueStart(before) || before?.text === 'default') &&
      before?.text !== '=>' &&
      before?.text !== ';';
    let path: readonly string[] = [];
    if (frame?.open === '[') path = [...frame.path, String(frame.index)];
    else if (frame?.open === '(') path = frame.path;
    else if (frame?.pending !== undefined) path = frame.pending;
    else if (object || open === '[' || open === '(') path = this.#constant(nth);
    this.#frames.push({ open, path, object: object && before !== undefined, index: 0, fresh: true });
  }

  /** `const sink = {`, `const sink: Sink = {`: the name stands for whatever is above. The export has no name. */
  #constant(nth: number): readonly string[] {
    if (this.#tokens[nth - 1]?.text !== '=') return [];
    for (let at = nth - 2; at >= Math.max(0, nth - 12); at--) {
      const before = this.#tokens[at - 1]?.text;
      if (before === 'const' || before === 'let' || before === 'var') return [this.#tokens[at]?.text ?? ''];
    }
    return [];
  }

  #placeOf(token: Token): Place {
    let [low, high] = [0, this.#lineStarts.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.#lineStarts[middle]! <= token.at) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: token.at - this.#lineStarts[low]! + 1 };
  }
}
