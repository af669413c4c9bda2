// Bugs about batches that are ranges of their source, which the simulator must find.
const REMAKE = 'engine/remake.ts';
// Chunks as large as batches, so that nothing but what comes can be wrong.
const alike = { ranges: true, chunkRecords: 3, recordsPerBatch: 3, repeats: false, onChanged: 'append' };

export const RANGES = [
  {
    name: 'what comes when a range is read again is sent as it comes',
    edits: [
      {
        file: REMAKE,
        find: 'isSame(piece.payloadDigests, place + count, payloadDigests, nthKey + count)',
        replace: '(nthKey + count + 1) * DIGEST_BYTES <= payloadDigests.length',
      },
      { file: REMAKE, find: 'if (sha256Hex(bytes) !== staged.digest)', replace: 'if (bytes.length === 0)' },
      {
        file: 'engine/payloads.ts',
        find: '(rechecked && digestOf(payload) !== batch.digest)',
        replace: '!rechecked && false',
      },
    ],
    focus: { change: alike, swarm: { 'range-differs': 200 } },
    limit: 40,
  },
  {
    name: 'a batch knows only the last of its ranges',
    edits: [{ file: 'engine/batch-ranges.ts', find: 'this.#ranges.push(range);', replace: 'this.#ranges = [range];' }],
    focus: { change: { ranges: true }, swarm: { 'range-differs': 0 } },
    limit: 40,
  },
  {
    name: 'what is read again is looked through from where the last batch ended',
    edits: [
      {
        file: REMAKE,
        find: 'place += Math.max(1, count);',
        replace: 'if (count === 0) return; place += count;',
      },
    ],
    focus: { change: { ranges: true }, swarm: { 'range-differs': 0 } },
    limit: 40,
  },
];
