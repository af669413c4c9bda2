/**
 * `${NAME}` and `${NAME:default}` in the flow file. YAML would read the brace after a dollar sign as the start of a
 * map, so before parsing each character of such a reference is moved into a private range of Unicode: it keeps the
 * length of the text, and with it every line and column, and means nothing to YAML. `$${NAME}` stands for itself.
 */

const REFERENCE = /\$?\$\{([A-Za-z_][A-Za-z0-9_]*)(?::([^{}\r\n]*))?\}/g;
const PRIVATE_FIRST = 0xe000;
const PRIVATE_LAST = 0xf8ff;
const SPAN = 0x80;

export interface Veiled {
  readonly text: string;
  /** Gives a piece of the parsed text back as it was written. */
  unveil(piece: string): string;
}

/** Hides every variable of a YAML text from the parser. */
export function veil(text: string): Veiled {
  const base = freeRange(text);
  if (base === undefined) return { text, unveil: (piece) => piece };
  const hidden = text.replace(REFERENCE, (reference) =>
    reference.replace(/[\x20-\x7e]/g, (char) => String.fromCharCode(base + char.charCodeAt(0))),
  );
  const range = new RegExp(`[${String.fromCharCode(base)}-${String.fromCharCode(base + SPAN - 1)}]`, 'g');
  return {
    text: hidden,
    unveil: (piece) => piece.replace(range, (char) => String.fromCharCode(char.charCodeAt(0) - base)),
  };
}

/** A stretch of private characters that the text itself does not use. */
function freeRange(text: string): number | undefined {
  const used = new Set<number>();
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code >= PRIVATE_FIRST && code <= PRIVATE_LAST) used.add(Math.floor(code / SPAN));
  }
  for (let base = PRIVATE_FIRST; base + SPAN - 1 <= PRIVATE_LAST; base += SPAN) {
    if (!used.has(base / SPAN)) return base;
  }
  // A text that uses all fifty stretches is no flow file; nothing is hidden and the parser says what it finds.
  return undefined;
}

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Expanded {
  readonly text: string;
  /** Variables that are not set and have no default. */
  readonly missing: readonly string[];
}

export const hasVariable = (text: string): boolean => names(text).length > 0;

/** The variables that a text refers to, in order. */
export function names(text: string): readonly string[] {
  const found: string[] = [];
  for (const match of text.matchAll(REFERENCE)) {
    if (!match[0].startsWith('$$')) found.push(match[1] ?? '');
  }
  return found;
}

/** Puts the values in. A variable that is set to nothing counts as set, as it does in a shell. */
export function expand(text: string, env: Environment): Expanded {
  const missing: string[] = [];
  const expanded = text.replace(REFERENCE, (reference, name: string, fallback: string | undefined) => {
    if (reference.startsWith('$$')) return reference.slice(1);
    const value = Object.hasOwn(env, name) ? env[name] : undefined;
    if (value === undefined && fallback === undefined) missing.push(name);
    return value ?? fallback ?? '';
  });
  return { text: expanded, missing };
}

/** The reference that stands for a text of a secret field until it is used. */
export function secretReference(text: string): string {
  const whole = /^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$/.exec(text.trim());
  if (whole !== null) return `env:${whole[1]}`;
  return hasVariable(text) ? `env:${text}` : text;
}
