import { realPorts } from '../app/ports.ts';
import type { Output, ProcessPort } from '../app/process.ts';

/** Keeps what is written to it; a terminal when it is given columns. */
export class RecordedOutput implements Output {
  readonly isTTY: boolean;
  readonly columns: number | undefined;
  readonly #parts: Uint8Array[] = [];

  constructor(columns?: number) {
    this.isTTY = columns !== undefined;
    this.columns = columns;
  }

  write(text: string | Uint8Array): true {
    this.#parts.push(typeof text === 'string' ? Buffer.from(text, 'utf8') : text);
    return true;
  }

  get bytes(): Uint8Array {
    return Buffer.concat(this.#parts);
  }

  get text(): string {
    return Buffer.from(this.bytes).toString('utf8');
  }
}

export interface RecordedOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Columns of a terminal; a pipe when absent. */
  readonly columns?: number;
  /** What a person answers, in order; there is nobody to ask when absent. */
  readonly answers?: readonly string[];
}

/** A process that can be looked into: runs commands within another program, or within a test. */
export class RecordedProcess implements ProcessPort {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly stdout: RecordedOutput;
  readonly stderr: RecordedOutput;
  readonly canAsk: boolean;
  readonly questions: string[] = [];
  readonly exits: number[] = [];
  readonly wallMs: () => number;
  readonly sleep: ProcessPort['sleep'];
  readonly #answers: string[];
  readonly #listeners = new Set<(signal: 'SIGINT' | 'SIGTERM') => void>();

  constructor(options: RecordedOptions = {}) {
    const ports = realPorts();
    this.wallMs = ports.wallMs;
    this.sleep = ports.sleep;
    this.env = options.env ?? {};
    this.cwd = options.cwd ?? '/';
    this.stdout = new RecordedOutput(options.columns);
    this.stderr = new RecordedOutput(options.columns);
    this.canAsk = options.answers !== undefined;
    this.#answers = [...(options.answers ?? [])];
  }

  async ask(question: string): Promise<string | undefined> {
    this.questions.push(question);
    return this.#answers.shift();
  }

  onInterrupt(heard: (signal: 'SIGINT' | 'SIGTERM') => void): () => void {
    this.#listeners.add(heard);
    return () => void this.#listeners.delete(heard);
  }

  /** Sends a signal to whoever listens; gives how many did. */
  interrupt(signal: 'SIGINT' | 'SIGTERM'): number {
    for (const heard of [...this.#listeners]) heard(signal);
    return this.#listeners.size;
  }

  exit(code: number): void {
    this.exits.push(code);
  }

  userName(): string {
    return 'tester';
  }
}
