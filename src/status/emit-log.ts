import { readMessage, writeMessage } from './spelling.ts';
import type { Emitter, Profile, StatusMessage } from './status.ts';

/** Stands before every message, so that a forwarder finds them among other lines and other text. */
export const LOG_PREFIX = 'waybill-status/1 ';

/** Writes each message as one line: the prefix, then an array with the one message as JSON. */
export function logEmitter(options: {
  readonly profile: Profile;
  /** Resolves when the text is where it shall be. */
  write(text: string): Promise<void>;
  close?(): Promise<void>;
}): Emitter {
  return {
    name: 'log',
    emit: async (messages) =>
      await options.write(messages.map((message) => logLine(message, options.profile)).join('')),
    close: async () => await options.close?.(),
  };
}

export const logLine = (message: StatusMessage, profile: Profile): string =>
  // Line separators within JSON texts would end a line for some readers of logs.
  `${LOG_PREFIX}${JSON.stringify([writeMessage(message, profile)])
    .replaceAll('\u2028', '\\u2028')
    .replaceAll('\u2029', '\\u2029')}\n`;

/** Every message in a text of log lines, whatever stands before and after each; either spelling is read. */
export function readLog(text: string): readonly StatusMessage[] {
  const messages: StatusMessage[] = [];
  for (let at = text.indexOf(LOG_PREFIX); at !== -1; at = text.indexOf(LOG_PREFIX, at + 1)) {
    const json = arrayAt(text, at + LOG_PREFIX.length);
    for (const written of parsed(json)) {
      const message = readMessage(written);
      if (message !== undefined) messages.push(message);
    }
  }
  return messages;
}

function parsed(json: string | undefined): readonly unknown[] {
  if (json === undefined) return [];
  try {
    const value: unknown = JSON.parse(json);
    return Array.isArray(value) ? value : [];
  } catch {
    // A line that was cut in two by a log rotation is no message; the sender gives it again after a crash.
    return [];
  }
}

/** The JSON array that begins here, to its closing bracket; undefined when there is none. */
function arrayAt(text: string, start: number): string | undefined {
  if (text[start] !== '[') return undefined;
  let [depth, quoted] = [0, false];
  for (let at = start; at < text.length; at++) {
    const char = text[at];
    if (quoted && char === '\\') at++;
    else if (char === '"') quoted = !quoted;
    else if (!quoted && char === '[') depth++;
    else if (!quoted && char === ']' && --depth === 0) return text.slice(start, at + 1);
  }
  return undefined;
}
