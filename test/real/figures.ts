/**
 * Prints a figure of the proof in the one form that `scripts/figures.mjs` reads: the id, of what it is, how much was
 * tried without anything going wrong, and what else there is to say.
 */
export function tellFigure(id: `G${number}`, of: string, tried: number, more = ''): void {
  console.info(`figure ${id}: ${of}: ${tried}${more === '' ? '' : ` (${more})`}`);
}
