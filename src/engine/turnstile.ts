/** Lets no more through at once than there is room for, in the order in which they came. */
export class Turnstile {
  /** How many may be inside now; at least one, and it may change from one call to the next. */
  readonly #room: () => number;
  readonly #waiting: (() => void)[] = [];
  #inside = 0;

  constructor(room: () => number) {
    this.#room = room;
  }

  /** Resolves when it is the caller's turn; whoever has entered leaves again, whatever happens inside. */
  async enter(): Promise<void> {
    if (this.#waiting.length === 0 && this.#inside < this.#room()) {
      this.#inside++;
      return;
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  leave(): void {
    this.#inside--;
    while (this.#waiting.length > 0 && this.#inside < this.#room()) {
      this.#inside++;
      this.#waiting.shift()?.();
    }
  }
}
