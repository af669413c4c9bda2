import type { ProcessPort } from '../app/process.ts';
import type { Waybill } from '../app/waybill.ts';
import { shellWord } from './format-values.ts';
import { type Cell, type Column, renderTable } from './table.ts';
import { type Globals, type View, viewOf } from './view.ts';

/** Every JSON document of the command line names its shape first. */
export interface Document {
  readonly schema: `waybill.${string}/${number}`;
}

/** What a command works with: the process, the way to show things, and one flow file with its ledger. */
export class Context {
  readonly io: ProcessPort;
  readonly view: View;
  readonly globals: Globals;
  #waybill: Promise<Waybill> | undefined;
  #opened: Waybill | undefined;
  #mask: (text: string) => string = (text) => text;

  constructor(io: ProcessPort, globals: Globals) {
    this.io = io;
    this.globals = globals;
    this.view = viewOf(io, globals);
  }

  /** Opens the flow file at the first call; loads the whole engine, so help and completion never come here. */
  async waybill(): Promise<Waybill> {
    this.#waybill ??= this.#open();
    return await this.#waybill;
  }

  async #open(): Promise<Waybill> {
    const [{ openWaybill }, { mask }] = await Promise.all([import('../app/open.ts'), import('../model/masking.ts')]);
    this.#mask = mask;
    const { config, ledger } = this.globals;
    const opened: Waybill = await openWaybill({
      cwd: this.io.cwd,
      env: this.io.env,
      ...(config === undefined ? {} : { file: config }),
      ...(ledger === undefined ? {} : { ledger }),
    });
    this.#opened = opened;
    return opened;
  }

  /** The result, on stdout: one JSON document, or lines for people made from the same document. */
  show<D extends Document>(document: D, lines: (document: D) => readonly string[]): void {
    if (this.view.json) {
      const indent = this.io.stdout.isTTY === true ? 2 : undefined;
      this.write(`${JSON.stringify(document, undefined, indent)}\n`);
      return;
    }
    const text = lines(document).join('\n');
    if (text !== '') this.write(`${text}\n`);
  }

  /** Text to stdout, without the secrets that Waybill knows of. */
  write(text: string): void {
    this.io.stdout.write(this.#mask(text));
  }

  /** Bytes to stdout exactly as they are: staged records that somebody asked for. */
  writeBytes(bytes: Uint8Array): void {
    this.io.stdout.write(bytes);
  }

  /** A line for whoever watches, on stderr; nothing with --quiet. */
  talk(line: string): void {
    if (!this.view.quiet) this.complain(line);
  }

  /** A line on stderr that --quiet does not hide. */
  complain(line: string): void {
    this.io.stderr.write(this.#mask(`${line}\n`));
  }

  mask(text: string): string {
    return this.#mask(text);
  }

  table(columns: readonly Column[], rows: readonly (readonly Cell[])[]): string[] {
    return renderTable(columns, rows, { width: this.view.tableWidth, headStyle: this.view.paint.dim });
  }

  /** A command to copy: with the flow file and the ledger that this one was given, quoted for the shell. */
  command(...words: readonly string[]): string {
    return commandLine(this.globals, words);
  }

  async close(): Promise<void> {
    // An opening that failed has been reported by whoever asked for it, and there is nothing to close.
    await this.#opened?.close();
  }
}

/** What is shown to be copied is also read by others; who has the password has it in the environment, too. */
const withoutPassword = (ledger: string): string => ledger.replace(/^(postgres(?:ql)?:\/\/[^:/@]*):[^@]*@/i, '$1@');

export function commandLine(globals: Globals, words: readonly string[]): string {
  const all = ['waybill', ...words];
  if (globals.config !== undefined) all.push('--config', globals.config);
  if (globals.ledger !== undefined) all.push('--ledger', withoutPassword(globals.ledger));
  return all.map((word) => (/^[A-Z]+$/.test(word) ? word : shellWord(word))).join(' ');
}
