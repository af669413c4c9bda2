import type { z } from 'zod';
import { didYouMean, nearest } from './nearest.ts';
import { type Path, showPath, valueAt } from './places.ts';
import { findKey, keysAt } from './schema-walk.ts';

/** One thing that is wrong with a value, at a path below the value that was checked. */
export interface Issue {
  readonly path: Path;
  readonly at: 'key' | 'value';
  readonly message: string;
  readonly hint?: string;
  /** The schema wants this kind of value, and a text stands there. */
  readonly wants?: 'number' | 'boolean';
}

type RawIssue = z.core.$ZodIssue;

/** What zod found, in words, each at its own place; of a union the form that fits best speaks. */
export function explain(
  error: z.core.$ZodError,
  schema: z.core.$ZodType,
  value: unknown,
  /** Keys that are allowed at the top beside those of the schema. */
  also: ReadonlySet<string> = new Set(),
): readonly Issue[] {
  return error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys' && issue.path.length === 0
      ? issue.keys.map((key) => unknownKey(key, [], schema, also))
      : explainOne(issue, [], schema, value),
  );
}

function explainOne(issue: RawIssue, above: Path, schema: z.core.$ZodType, value: unknown): readonly Issue[] {
  const path: Path = [...above, ...(issue.path as (string | number)[])];
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKey(key, path, schema));
    case 'invalid_union':
      return explainUnion(issue, path, schema, value);
    case 'invalid_key':
      return [{ path, at: 'key', message: `the name ${JSON.stringify(path.at(-1))} ${reasonOf(issue.issues[0])}` }];
    case 'invalid_type':
      return [wrongType(issue, path, valueAt(value, path))];
    case 'invalid_value':
      return [wrongValue(issue.values, path, valueAt(value, path))];
    default:
      return [{ path, at: 'value', message: issue.message.replace(/^Invalid (input|string): /, '') }];
  }
}

const reasonOf = (issue: RawIssue | undefined): string =>
  issue?.message.replace(/^Invalid (input|string): /, '') ?? 'is not allowed';

function unknownKey(key: string, path: Path, schema: z.core.$ZodType, also: ReadonlySet<string> = new Set()): Issue {
  const valid = new Set([...keysAt(schema, path), ...also]);
  return { path: [...path, key], at: 'key', ...adviseKey(key, valid, findBelow(schema, path, key)) };
}

function findBelow(schema: z.core.$ZodType, path: Path, key: string): Path | undefined {
  const found = findKey(schema, key, path);
  return found === undefined || found.length <= path.length + 1 ? undefined : found.slice(path.length);
}

/** The message and the hint for a key that nobody knows. */
export function adviseKey(key: string, valid: ReadonlySet<string>, below?: Path): { message: string; hint: string } {
  const near = nearest(key, valid) ?? (below === undefined ? undefined : showPath(below));
  const list = [...valid].sort();
  const hint = list.length === 0 ? 'No keys are allowed here.' : `Keys that are allowed here: ${list.join(', ')}.`;
  return {
    message: `unknown key ${JSON.stringify(key)}${near === undefined ? '' : `; did you mean \`${near}\`?`}`,
    hint,
  };
}

function explainUnion(
  issue: Extract<RawIssue, { code: 'invalid_union' }>,
  path: Path,
  schema: z.core.$ZodType,
  value: unknown,
): readonly Issue[] {
  const forms = issue.errors.map((issues) => issues.flatMap((one) => explainOne(one, path, schema, value)));
  // A form that fails at the value itself is of another kind altogether; the one with the fewest faults was meant.
  const deeper = forms.filter((issues) => issues.some((one) => one.path.length > path.length));
  const meant = [...deeper].sort((a, b) => a.length - b.length)[0];
  if (meant !== undefined) return meant;
  const flat = forms.flat();
  if (flat.length === 0) {
    const discriminator =
      'discriminator' in issue && typeof issue.discriminator === 'string' ? issue.discriminator : undefined;
    const where = discriminator === undefined ? path : [...path, discriminator];
    return [{ path: where, at: 'value', message: 'is of none of the kinds that are allowed here' }];
  }
  const wants = flat.find((one) => one.wants !== undefined)?.wants;
  const message = joinForms([...new Set(flat.map((one) => one.message))]);
  return [{ path, at: 'value', message, ...(wants === undefined ? {} : { wants }) }];
}

/** `must be text, not a number` and `must be a list, not a number` are one sentence. */
function joinForms(messages: readonly string[]): string {
  const matches = messages.map((message) => /^must be (.+), (not [a-z ]+)$/.exec(message));
  if (messages.length < 2 || matches.includes(null)) return messages.join(', or ');
  return `must be ${matches.map((match) => match?.[1]).join(' or ')}, ${matches[0]?.[2]}`;
}

const KINDS: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a map',
  record: 'a map',
  array: 'a list',
  function: 'a function',
};

function wrongType(issue: Extract<RawIssue, { code: 'invalid_type' }>, path: Path, found: unknown): Issue {
  const expected = KINDS[issue.expected] ?? issue.expected;
  if (found === undefined)
    return { path, at: 'key', message: `${JSON.stringify(path.at(-1) ?? 'value')} is missing (${expected})` };
  const wants = typeof found === 'string' && /^(number|int|boolean)$/.test(issue.expected);
  return {
    path,
    at: 'value',
    message: `must be ${expected}, not ${kindOf(found)}`,
    ...(wants ? { wants: issue.expected === 'boolean' ? ('boolean' as const) : ('number' as const) } : {}),
  };
}

function kindOf(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  return KINDS[typeof value] ?? typeof value;
}

function wrongValue(values: readonly unknown[], path: Path, found: unknown): Issue {
  const words = values.map((value) => String(value));
  if (found === undefined)
    return { path, at: 'key', message: `${JSON.stringify(path.at(-1) ?? 'value')} is missing (${words.join(', ')})` };
  const near = typeof found === 'string' ? didYouMean(found, words) : '';
  return {
    path,
    at: 'value',
    message: `must be ${words.length === 1 ? words[0] : `one of ${words.join(', ')}`}${near}`,
  };
}
