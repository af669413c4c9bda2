/** The word of a list that somebody most likely meant; undefined when none is near enough to name. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  let best: { readonly word: string; readonly distance: number } | undefined;
  const plain = simplify(word);
  for (const candidate of candidates) {
    const distance = closeness(plain, simplify(candidate));
    const near = distance <= Math.max(1, Math.floor(Math.max(plain.length, candidate.length) / 3));
    if (near && (best === undefined || distance < best.distance)) best = { word: candidate, distance };
  }
  return best?.word;
}

/** What a message adds when a word was nearly right: `; did you mean …?`, or nothing. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const near = nearest(word, candidates);
  return near === undefined ? '' : `; did you mean \`${near}\`?`;
}

/** `max_records`, `max-records` and `maxRecords` are one word to whoever mistypes them. */
const simplify = (word: string): string =>
  word
    .slice(0, 100)
    .toLowerCase()
    .replaceAll(/[-_. ]/g, '');

function closeness(a: string, b: string): number {
  const contained = a.length >= 3 && b.length >= 3 && (a.startsWith(b) || b.startsWith(a));
  return contained ? 1 : editDistance(a, b);
}

/** Insertions, deletions, replacements and swaps of neighbours that turn one word into the other. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, before[j - 2]! + 1);
      row.push(cost);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length]!;
}
