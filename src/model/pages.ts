const PAGE = 500;

/**
 * Every row of a list that is read page by page; `after` is the last id of the page before, 0 for the first. A page
 * that is shorter than asked for is the last.
 */
export async function* everyRow<T>(
  read: (page: { after: number; limit: number }) => Promise<readonly T[]>,
  idOf: (row: T) => number,
): AsyncGenerator<T> {
  for (let after = 0; ; ) {
    const rows = await read({ after, limit: PAGE });
    yield* rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE) return;
    after = idOf(last);
  }
}
