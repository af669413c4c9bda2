import type { Ports } from '../../model/ports.ts';
import type { PostgresAddress } from './address.ts';
import { isPassing, ledgerError } from './failure.ts';
import { Session } from './session.ts';

export type LinePorts = Pick<Ports, 'wallMs' | 'monotonicMs' | 'sleep' | 'id'>;

const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 1_000;

/** How long a server may be away before whoever waits is told so. */
export const PATIENCE_MS = 10_000;

/** A connection that is made anew when it has broken off. */
export class Line {
  readonly address: PostgresAddress;
  readonly #ports: LinePorts;
  readonly #name: string;
  #session: Session | undefined;

  /** `name`: of this line among those of all processes. */
  constructor(address: PostgresAddress, ports: LinePorts, name: string) {
    this.address = address;
    this.#ports = ports;
    this.#name = name;
  }

  /** The connection that there is, or a new one; tried once. */
  async session(): Promise<Session> {
    if (this.#session === undefined || this.#session.ended)
      this.#session = await Session.open(this.address, this.#name);
    return this.#session;
  }

  /** The connection is in an unknown state, or broken: the next one who asks gets another. */
  drop(): void {
    this.#session?.drop();
    this.#session = undefined;
  }

  /**
   * Does it again as long as the server is away or busy, for a while; then throws LEDGER_AWAY or LEDGER_BUSY. `work`
   * must be such that doing it again does no harm, however far it had come.
   */
  async again<T>(doing: string, work: (session: Session) => Promise<T>): Promise<T> {
    const untilMs = this.#ports.monotonicMs() + PATIENCE_MS;
    for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
      try {
        return await work(await this.session());
      } catch (error) {
        const known = ledgerError(error, this.address.place, doing);
        if (!isPassing(known)) throw known;
        this.drop();
        if (this.#ports.monotonicMs() + waitMs > untilMs) throw known;
        await this.#ports.sleep(waitMs);
      }
    }
  }

  async close(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.close();
  }
}
