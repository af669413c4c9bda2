import { Buffer } from 'node:buffer';
import { isAbsolute } from 'node:path';
import { WaybillError } from '../model/errors.ts';

/**
 * The order of names: that of their bytes in UTF-8, as stores of objects list them. The units of JavaScript's own order
 * are UTF-16, where what needs two of them would come before some that need one.
 */
export function byName(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const [one, other] = [a.charCodeAt(at), b.charCodeAt(at)];
    if (one !== other) return ranked(one) - ranked(other);
  }
  return a.length - b.length;
}

/** Halves of surrogate pairs stand behind all other units. */
function ranked(unit: number): number {
  if (unit >= 0xe000) return unit - 0x800;
  return unit >= 0xd800 ? unit + 0x2000 : unit;
}

/** Whether a path stands for more than one name. */
export const isPattern = (path: string): boolean => /[*?]/.test(path);

/** The segments of a path that stays below its root. */
export function segmentsOf(path: string): readonly string[] {
  const segments = path.split('/').filter((segment) => segment !== '' && segment !== '.');
  const outside = isAbsolute(path) || segments.includes('..') || path.includes('\0') || path.includes('\\');
  if (outside || segments.length === 0) {
    throw new WaybillError('CONFIG_INVALID', `${JSON.stringify(path)} does not lie below the root of the connection`, {
      hint: 'Name the folder as `root` of the connection, and the files from there, with slashes and without `..`.',
    });
  }
  return segments;
}

/**
 * Whether a whole name with slashes fits a pattern: `*` and `?` stand for characters within a segment, `**` for any
 * segments, none included, whose names do not begin with a dot.
 */
export function fitsPattern(name: string, pattern: string): boolean {
  return segmentsFit(name.split('/'), segmentsOf(pattern));
}

function segmentsFit(names: readonly string[], pattern: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return names.length === 0;
  if (first !== '**') return names.length > 0 && matcher(first)(names[0]!) && segmentsFit(names.slice(1), rest);
  const after = rest.length === 0 ? ['*'] : rest;
  for (let skipped = 0; skipped < names.length; skipped++) {
    if (segmentsFit(names.slice(skipped), after)) return true;
    if (names[skipped]!.startsWith('.')) return false;
  }
  return false;
}

/** The longest beginning of a pattern that stands for itself: what names can be listed by. */
export function plainBeginning(pattern: string): string {
  const at = pattern.search(/[*?]/);
  return at === -1 ? pattern : pattern.slice(0, at);
}

/**
 * Whether a name fits one segment of a pattern. As in a shell: a leading dot has to be named. Runs in linear time for
 * each `*`, whatever the pattern.
 */
export function matcher(segment: string): (name: string) => boolean {
  const parts = segment.split('*');
  return (name) => {
    if (name.startsWith('.') && !segment.startsWith('.')) return false;
    if (parts.length === 1) return name.length === segment.length && fits(segment, name, 0);
    const [first, last] = [parts[0]!, parts.at(-1)!];
    if (name.length < first.length + last.length || !fits(first, name, 0)) return false;
    const end = name.length - last.length;
    if (!fits(last, name, end)) return false;
    let at = first.length;
    for (const part of parts.slice(1, -1)) {
      while (at + part.length <= end && !fits(part, name, at)) at += 1;
      if (at + part.length > end) return false;
      at += part.length;
    }
    return true;
  };
}

function fits(part: string, name: string, at: number): boolean {
  for (let nth = 0; nth < part.length; nth++) {
    if (part[nth] !== '?' && part[nth] !== name[at + nth]) return false;
  }
  return true;
}

/** Fills `{{ name }}` in a path. Values become parts of one name: what could lead elsewhere is written %XX. */
export function fillPath(template: string, values: Readonly<Record<string, string>>): string {
  return template.replace(PLACEHOLDER, (_whole, name: string) => {
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    if (value === undefined)
      throw new WaybillError(
        'CONFIG_INVALID',
        `a path cannot hold {{ ${name} }}; it can hold ${Object.keys(values).join(', ')}`,
      );
    return safeName(value);
  });
}

export const PLACEHOLDER = /\{\{\s*([^{}\s]*)\s*\}\}/g;

export function placeholdersOf(template: string): readonly string[] {
  return [...template.matchAll(PLACEHOLDER)].map((match) => match[1] ?? '');
}

function safeName(value: string): string {
  let name = '';
  for (const byte of Buffer.from(value, 'utf8')) {
    const letter = String.fromCharCode(byte);
    const plain = /[A-Za-z0-9_~+=,@-]/.test(letter) || (letter === '.' && name !== '');
    name += plain ? letter : `%${byte.toString(16).padStart(2, '0')}`;
  }
  return name;
}
