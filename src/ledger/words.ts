const IS_LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/** The whole words of these bytes, little-endian; where they lie when they lie well, else a copy. */
export function wordsOf(bytes: Uint8Array): Int32Array {
  const count = bytes.byteLength >>> 2;
  if (IS_LITTLE_ENDIAN && bytes.byteOffset % 4 === 0) return new Int32Array(bytes.buffer, bytes.byteOffset, count);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const words = new Int32Array(count);
  for (let at = 0; at < count; at++) words[at] = view.getInt32(at * 4, true);
  return words;
}
