/** Text is compressed to a twentieth, seldom to a hundredth; a bomb to a thousandth and less. */
const RATIO_MAX = 400;
const RATIO_FREE_BYTES = 16 * 1024 * 1024;

/** What may come of so many packed bytes at most, before it is taken for a bomb. */
export const unpackedMax = (packedBytes: number): number => Math.max(RATIO_FREE_BYTES, packedBytes * RATIO_MAX);
