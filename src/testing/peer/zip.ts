import { Buffer } from 'node:buffer';
import { crc32, deflateRawSync } from 'node:zlib';

export interface ZipPart {
  readonly name: string;
  readonly content: string | Uint8Array;
  readonly stored?: boolean;
  /** What the directory says of it, where that is not true. */
  readonly claims?: {
    readonly crc?: number;
    readonly bytes?: number;
    readonly flags?: number;
    readonly method?: number;
  };
}

export interface ZipShape {
  readonly comment?: string;
  /** Figures in eight bytes, as archives of more than 4 GiB have them. */
  readonly large?: boolean;
  /** Each entry of the directory points at the first file. */
  readonly overlapping?: boolean;
}

/** A zip, written by hand so that it can also be wrong. */
export function zipOf(parts: readonly ZipPart[], shape: ZipShape = {}): Buffer {
  const locals: Buffer[] = [];
  const entries: Buffer[] = [];
  let offset = 0;
  for (const part of parts) {
    const { local, entry } = written(part, shape.overlapping === true ? 0 : offset, shape.large === true);
    locals.push(local);
    entries.push(entry);
    offset += local.length;
  }
  const directory = Buffer.concat(entries);
  return Buffer.concat([...locals, directory, ...endOf({ count: parts.length, offset, directory }, shape)]);
}

function written(
  { name, content, stored, claims = {} }: ZipPart,
  offset: number,
  large: boolean,
): { readonly local: Buffer; readonly entry: Buffer } {
  const plain = Buffer.from(content);
  const packed = stored === true ? plain : deflateRawSync(plain);
  const method = claims.method ?? (stored === true ? 0 : 8);
  const label = Buffer.from(name);
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50, 0);
  local.writeUInt16LE(method, 8);
  local.writeUInt16LE(label.length, 26);
  const entry = Buffer.alloc(46);
  entry.writeUInt32LE(0x02014b50, 0);
  entry.writeUInt16LE(claims.flags ?? 0, 8);
  entry.writeUInt16LE(method, 10);
  entry.writeUInt32LE((claims.crc ?? crc32(plain)) >>> 0, 16);
  entry.writeUInt32LE(large ? 0xffffffff : packed.length, 20);
  entry.writeUInt32LE(large ? 0xffffffff : (claims.bytes ?? plain.length), 24);
  entry.writeUInt16LE(label.length, 28);
  entry.writeUInt32LE(large ? 0xffffffff : offset, 42);
  const extra = Buffer.alloc(large ? 28 : 0);
  if (large) {
    extra.writeUInt16LE(1, 0);
    extra.writeUInt16LE(24, 2);
    extra.writeBigUInt64LE(BigInt(claims.bytes ?? plain.length), 4);
    extra.writeBigUInt64LE(BigInt(packed.length), 12);
    extra.writeBigUInt64LE(BigInt(offset), 20);
    entry.writeUInt16LE(extra.length, 30);
  }
  return { local: Buffer.concat([local, label, packed]), entry: Buffer.concat([entry, label, extra]) };
}

function endOf(
  { count, offset, directory }: { readonly count: number; readonly offset: number; readonly directory: Buffer },
  { comment = '', large }: ZipShape,
): Buffer[] {
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(large === true ? 0xffff : count, 8);
  end.writeUInt16LE(large === true ? 0xffff : count, 10);
  end.writeUInt32LE(large === true ? 0xffffffff : directory.length, 12);
  end.writeUInt32LE(large === true ? 0xffffffff : offset, 16);
  end.writeUInt16LE(Buffer.byteLength(comment), 20);
  if (large !== true) return [end, Buffer.from(comment)];
  const record = Buffer.alloc(56);
  record.writeUInt32LE(0x06064b50, 0);
  record.writeBigUInt64LE(BigInt(count), 32);
  record.writeBigUInt64LE(BigInt(directory.length), 40);
  record.writeBigUInt64LE(BigInt(offset), 48);
  const locator = Buffer.alloc(20);
  locator.writeUInt32LE(0x07064b50, 0);
  locator.writeBigUInt64LE(BigInt(offset + directory.length), 8);
  return [record, locator, end, Buffer.from(comment)];
}
