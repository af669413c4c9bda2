import { Buffer, isUtf8 } from 'node:buffer';
import { type ObjectLines, withMembers } from '../../formats/object-lines.ts';
import type { StreamMessage } from './pull-requests.ts';

/** What of a message a column shows. */
export type MessagePart = 'subject' | 'sequence' | 'time' | `header:${string}`;

export interface MessageRecords {
  /** What the data is: an object that becomes the record, or a text or bytes that become one field. */
  readonly data: 'json' | 'text' | 'base64';
  /** The name of that one field. */
  readonly field: string;
  /** More columns, by name. */
  readonly columns: Readonly<Record<string, MessagePart>>;
}

/** Makes the record of a message. */
export function addMessage(lines: ObjectLines<number>, message: StreamMessage, records: MessageRecords): void {
  const { sequence } = message;
  const members = Object.entries(records.columns)
    .map(([name, part]) => `${JSON.stringify(name)}:${partOf(message, part)}`)
    .join(',');
  if (records.data === 'json') {
    const json = withMembers(message.data, members, Object.keys(records.columns));
    if (json instanceof Uint8Array) lines.add(json, sequence);
    else lines.refuse(json, sequence);
    return;
  }
  const data = dataText(message.data, records.data);
  if (data === undefined) lines.refuse({ code: 'TEXT_INVALID', message: 'the data is not UTF-8 text' }, sequence);
  else {
    const own = `${JSON.stringify(records.field)}:${JSON.stringify(data)}`;
    lines.add(Buffer.from(`{${own}${members === '' ? '' : ','}${members}}`), sequence);
  }
}

function dataText(data: Uint8Array, as: 'text' | 'base64'): string | undefined {
  if (as === 'text' && !isUtf8(data)) return undefined;
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString(as === 'text' ? 'utf8' : 'base64');
}

/** As it is spelled in JSON. */
function partOf({ subject, sequence, nanoseconds, headers }: StreamMessage, part: MessagePart): string {
  switch (part) {
    case 'subject':
      return JSON.stringify(subject);
    case 'sequence':
      return String(sequence);
    case 'time':
      return JSON.stringify(timeOf(nanoseconds));
    default: {
      const values = headers?.values(part.slice('header:'.length), 'insensitive') ?? [];
      return values.length > 0 ? JSON.stringify(values.join(', ')) : 'null';
    }
  }
}

/** RFC 3339 with all nine digits of the second that the server keeps. */
function timeOf(nanoseconds: string): string {
  const [milliseconds, rest] = [nanoseconds.slice(0, -6), nanoseconds.slice(-6)];
  return `${new Date(Number(milliseconds)).toISOString().slice(0, -1)}${rest}Z`;
}
