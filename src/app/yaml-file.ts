import { type Document, isAlias, isMap, isScalar, isSeq, Lexer, LineCounter, type Node, parseDocument } from 'yaml';
import { canonicalNumber } from '../formats/canonical.ts';
import type { Path, Place, RawFile, RawProblem } from './places.ts';
import { type Veiled, veil } from './variables.ts';

/** A flow file is written by hand; what is larger than this was made to break a parser. */
const TEXT_MAX = 1 << 20;
const DEPTH_MAX = 40;
const FORBIDDEN_KEYS = new Set(['__proto__', 'constructor', 'prototype']);

/**
 * Reads a flow file in YAML 1.2: no aliases, no merge keys, no tags, every key once. Never throws on what the text
 * holds: what is wrong with it stands in `problems`.
 */
export function readYaml(name: string, text: string): RawFile {
  if (text.length > TEXT_MAX) return broken(name, { message: `the file is larger than ${TEXT_MAX} characters` });
  const lines = new LineCounter();
  const veiled = veil(text);
  // The parser recurses, and deep nesting ends the whole process: it must not see such a text at all.
  const deep = tooDeep(veiled.text);
  if (deep !== undefined) {
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) lines.addNewLine(at + 1);
    const message = `nested deeper than ${DEPTH_MAX} levels`;
    return broken(name, { place: deep, message });
  }
  const document = parseDocument(veiled.text, {
    lineCounter: lines,
    prettyErrors: false,
    merge: false,
    uniqueKeys: true,
  });
  const reading = new YamlReading(veiled, lines);
  const value = reading.read(document);
  return { name, text, value, place: (path, what) => reading.place(path, what), problems: reading.problems };
}

const broken = (name: string, problem: RawProblem): RawFile => ({
  name,
  text: '',
  value: undefined,
  place: () => undefined,
  problems: [problem],
});

/** The place where a text nests deeper than allowed: open brackets, indentation steps and `- - -` together. */
function tooDeep(text: string): Place | undefined {
  let [line, column, brackets, compact, lineStart] = [1, 1, 0, 0, true];
  let indents: number[] = [];
  for (const token of new Lexer().lex(text)) {
    if (token.trim() !== '' && lineStart) {
      indents = [...indents.filter((indent) => indent < column), column];
      lineStart = false;
    }
    if (token === '[' || token === '{') brackets++;
    else if (token === ']' || token === '}') brackets = Math.max(0, brackets - 1);
    else if (token === '-' || token === '?') compact++;
    if (indents.length + brackets + compact > DEPTH_MAX) return { line, column };
    const breaks = token.split('\n').length - 1;
    if (breaks > 0)
      [line, column, compact, lineStart] = [line + breaks, token.length - token.lastIndexOf('\n'), 0, true];
    else if (!isControl(token)) column += token.length;
  }
  return undefined;
}

/** The lexer speaks of documents and scalars in tokens of one control character, which stand for no text. */
const isControl = (token: string): boolean =>
  token.length === 1 && (token < ' ' || token === '\ufeff') && token !== '\t';

/** The parser knows no numbers but doubles: an id of 17 digits would be another one, and nobody would be told. */
function losesDigits(source: string, value: number): boolean {
  if (/^[-+]?\.(?:inf|nan)$/i.test(source)) return false;
  return /^0[ox]/.test(source)
    ? !Number.isSafeInteger(value)
    : canonicalNumber(source.replace(/^\+/, '')) !== canonicalNumber(String(value));
}

/** One walk over a parsed document: makes plain values, notes where everything stands, collects what is wrong. */
class YamlReading {
  readonly problems: RawProblem[] = [];
  readonly #keys = new Map<string, Place>();
  readonly #values = new Map<string, Place>();
  readonly #veiled: Veiled;
  readonly #lines: LineCounter;

  constructor(veiled: Veiled, lines: LineCounter) {
    this.#veiled = veiled;
    this.#lines = lines;
  }

  read(document: Document): unknown {
    for (const error of document.errors) this.#problem(error.pos[0], this.#veiled.unveil(error.message));
    if (this.problems.length > 0) return undefined;
    return document.contents === null ? null : this.#value(document.contents as Node, []);
  }

  place(path: Path, what: 'key' | 'value'): Place | undefined {
    for (let length = path.length; length >= 0; length--) {
      const id = JSON.stringify(path.slice(0, length));
      const wanted = length === path.length && what === 'value' ? this.#values.get(id) : this.#keys.get(id);
      const found = wanted ?? this.#keys.get(id) ?? this.#values.get(id);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #value(node: Node | null, path: Path): unknown {
    if (node === null) return null;
    const start = node.range?.[0] ?? 0;
    this.#values.set(JSON.stringify(path), this.#at(start));
    if (isAlias(node)) return this.#problem(start, 'aliases (*name) are not allowed', 'Write the value out.');
    if ('anchor' in node && node.anchor !== undefined)
      this.#problem(start, 'anchors (&name) are not allowed', 'Remove it.');
    if (node.tag !== undefined)
      this.#problem(start, 'tags (!name) are not allowed', 'Remove the tag; quote what shall be text.');
    if (isMap(node)) return this.#map(node.items, path);
    if (isSeq(node)) return node.items.map((item, at) => this.#value(item as Node, [...path, at]));
    if (!isScalar(node)) return this.#problem(start, 'this is neither a map nor a list nor a value');
    if (typeof node.value === 'string') return this.#veiled.unveil(node.value);
    if (typeof node.value === 'number' && losesDigits(node.source ?? '', node.value))
      return this.#problem(
        start,
        `the number ${node.source} would become ${node.value}`,
        'Write it in quotes, as text.',
      );
    return node.value;
  }

  #map(items: readonly { readonly key: unknown; readonly value: unknown }[], path: Path): Record<string, unknown> {
    const map = Object.create(null) as Record<string, unknown>;
    for (const { key, value } of items) {
      const start = (key as Node | null)?.range?.[0] ?? 0;
      if (!isScalar(key) || (typeof key.value !== 'string' && typeof key.value !== 'number')) {
        this.#problem(start, 'a key must be a plain word');
        continue;
      }
      const name = this.#veiled.unveil(String(key.value));
      if (name === '<<') this.#problem(start, 'merge keys (<<) are not allowed', 'Write the keys out.');
      else if (FORBIDDEN_KEYS.has(name)) this.#problem(start, `${name} is not allowed as a key`);
      // The parser takes `1` and `'1'` for two keys; here they are one.
      else if (Object.hasOwn(map, name)) this.#problem(start, 'Map keys must be unique');
      else {
        this.#keys.set(JSON.stringify([...path, name]), this.#at(start));
        map[name] = this.#value(value as Node | null, [...path, name]);
      }
    }
    return map;
  }

  #at(offset: number): Place {
    const { line, col } = this.#lines.linePos(offset);
    return { line, column: col };
  }

  #problem(offset: number, message: string, hint?: string): undefined {
    this.problems.push({ place: this.#at(offset), message, ...(hint === undefined ? {} : { hint }) });
    return undefined;
  }
}
