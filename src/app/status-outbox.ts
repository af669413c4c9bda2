import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { showKey } from '../formats/keys.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { mask } from '../model/masking.ts';
import { logEmitter } from '../status/emit-log.ts';
import { storeEmitter } from '../status/emit-store.ts';
import { Outbox } from '../status/outbox.ts';
import type { Emitter } from '../status/status.ts';
import type { StatusConfig } from './flow-config.ts';

/** The outbox of a ledger with the emitters that the flow file asks for; undefined when it asks for none. */
export function openOutbox(config: StatusConfig, ledger: Ledger): Outbox | undefined {
  const emitters: Emitter[] = [];
  const { log, store, profile } = config;
  if (log === true) emitters.push(logEmitter({ profile, write: toStderr }));
  else if (log !== undefined) {
    const file = new LogFile(log);
    emitters.push(logEmitter({ profile, write: (text) => file.write(mask(text)), close: () => file.close() }));
  }
  if (store !== undefined) emitters.push(storeEmitter(store));
  return emitters.length === 0 ? undefined : new Outbox(ledger, emitters, { ledger: ledger.identity.id, showKey });
}

function toStderr(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stderr.write(mask(text), (error) => (error == null ? resolve() : reject(error)));
  });
}

/** A file that is only added to. Durable before the ledger hears of it, or a crash could lose what it was told. */
class LogFile {
  readonly #path: string;
  #file: FileHandle | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  async write(text: string): Promise<void> {
    if (this.#file === undefined) {
      await mkdir(dirname(this.#path), { recursive: true });
      this.#file = await open(this.#path, 'a', 0o600);
    }
    await this.#file.appendFile(text);
    await this.#file.datasync();
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }
}
