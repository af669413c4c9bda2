import { AssertionError } from 'node:assert';
import { inspect } from 'node:util';

/**
 * The few assertions that the suites need, so that whoever runs them needs no particular test runner. They mean what
 * they mean in vitest and Jest: `toEqual` takes a field that is undefined for one that is missing and looks at values,
 * not at prototypes; `toMatchObject` looks only at the fields that are named.
 */
export class Expectation {
  readonly #actual: unknown;
  readonly #about: string | undefined;
  readonly #negated: boolean;

  constructor(actual: unknown, about: string | undefined, negated = false) {
    this.#actual = actual;
    this.#about = about;
    this.#negated = negated;
  }

  /** The next assertion must not hold. */
  get not(): Expectation {
    return new Expectation(this.#actual, this.#about, !this.#negated);
  }

  toBe(expected: unknown): void {
    this.#check(Object.is(this.#actual, expected), 'to be', expected);
  }

  toEqual(expected: unknown): void {
    this.#check(agree(this.#actual, expected, 'whole'), 'to equal', expected);
  }

  toMatchObject(expected: unknown): void {
    this.#check(agree(this.#actual, expected, 'part'), 'to match', expected);
  }

  toHaveLength(length: number): void {
    const actual = (this.#actual as { length?: unknown } | undefined)?.length;
    this.#check(actual === length, 'to have the length', length);
  }

  toContain(expected: unknown): void {
    this.#check(holds(this.#actual, expected), 'to contain', expected);
  }

  toBeDefined(): void {
    this.not.toBe(undefined);
  }

  toBeUndefined(): void {
    this.toBe(undefined);
  }

  toBeGreaterThan(bound: number): void {
    this.#check((this.#actual as number) > bound, 'to be greater than', bound);
  }

  toBeLessThan(bound: number): void {
    this.#check((this.#actual as number) < bound, 'to be less than', bound);
  }

  #check(good: boolean, relation: string, expected: unknown): void {
    if (good !== this.#negated) return;
    const shown = `expected ${show(this.#actual)}${this.#negated ? ' not' : ''} ${relation} ${show(expected)}`;
    throw new AssertionError({
      message: this.#about === undefined ? shown : `${this.#about}: ${shown}`,
      actual: this.#actual,
      expected,
      operator: relation,
      stackStartFn: expect,
    });
  }
}

/** `about` stands at the head of the message when it does not hold. */
export function expect(actual: unknown, about?: string): Expectation {
  return new Expectation(actual, about);
}

/** Fails with this message, where there is nothing to compare. */
export function fail(message: string): never {
  throw new AssertionError({ message, stackStartFn: fail });
}

/** What a promise is rejected with; fails when it is not. */
export async function rejection(work: Promise<unknown>, about: string): Promise<unknown> {
  let result: unknown;
  try {
    result = await work;
  } catch (error) {
    return error;
  }
  return fail(`${about}: expected it to be refused, and it was answered with ${show(result)}`);
}

const show = (value: unknown): string => inspect(value, { depth: 6, breakLength: 100, maxArrayLength: 40 });

function holds(actual: unknown, expected: unknown): boolean {
  if (typeof actual === 'string') return actual.includes(String(expected));
  return Array.isArray(actual) && actual.some((one) => Object.is(one, expected));
}

type Extent = 'whole' | 'part';

function agree(actual: unknown, expected: unknown, extent: Extent): boolean {
  if (Object.is(actual, expected)) return true;
  if (!isObject(actual) || !isObject(expected)) return false;
  if (Array.isArray(expected) || ArrayBuffer.isView(expected)) return agreeInOrder(actual, expected, extent);
  if (Array.isArray(actual) || ArrayBuffer.isView(actual)) return false;
  if (expected instanceof Map) {
    return actual instanceof Map && agree([...actual], [...expected], 'whole');
  }
  if (expected instanceof Date) return actual instanceof Date && actual.getTime() === expected.getTime();
  const names = extent === 'part' ? Object.keys(expected) : [...Object.keys(expected), ...Object.keys(actual)];
  return names.every((name) => agree(actual[name], expected[name], extent));
}

/** Arrays, and bytes, which may be a Buffer on one side and a plain Uint8Array on the other. */
function agreeInOrder(actual: object, expected: object, extent: Extent): boolean {
  if (Array.isArray(actual) !== Array.isArray(expected)) return false;
  const [left, right] = [actual as ArrayLike<unknown>, expected as ArrayLike<unknown>];
  return left.length === right.length && Array.from(right).every((one, at) => agree(left[at], one, extent));
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
