/**
 * The one stream of choices of a schedule. Whatever may happen in two ways asks the tape, which keeps what it drew, so
 * that the same tape makes the same schedule. Zero is always the dullest choice: nothing fails, nothing is slow. A tape
 * that is given ends in zeros, so every beginning of a tape is a tape.
 */
export class Tape {
  readonly drawn: number[] = [];
  readonly #given: readonly number[] | undefined;
  #state: number;

  private constructor(seed: number, given: readonly number[] | undefined) {
    this.#state = seed >>> 0;
    this.#given = given;
  }

  static ofSeed(seed: number): Tape {
    return new Tape(Math.imul(seed, 0x9e3779b1) ^ 0x85ebca6b, undefined);
  }

  static of(values: readonly number[]): Tape {
    return new Tape(0, values);
  }

  /** At least 0, below `bound`. */
  draw(bound: number): number {
    const value =
      bound <= 1 ? 0 : (this.#given === undefined ? this.#fresh() : (this.#given[this.drawn.length] ?? 0)) % bound;
    this.drawn.push(value);
    return value;
  }

  /** Both ends included; `low` is the dull one. */
  between(low: number, high: number): number {
    return low + this.draw(high - low + 1);
  }

  /** True in so many cases of a thousand. */
  chance(permille: number): boolean {
    return permille > 0 && this.draw(1000) >= 1000 - permille;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.draw(list.length)]!;
  }

  /** Mulberry32: 32 bits at a time, the same on every machine. */
  #fresh(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let word = this.#state;
    word = Math.imul(word ^ (word >>> 15), word | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return (word ^ (word >>> 14)) >>> 0;
  }
}
