import { strategies } from '../strategies/all.ts';
import { allConnectors } from './connector-list.ts';
import { type FitRow, fitMatrix } from './fit-matrix.ts';

export interface Catalogue {
  readonly connectors: readonly {
    readonly type: string;
    readonly summary: string;
    readonly source: boolean;
    readonly sink: boolean;
  }[];
  readonly strategies: readonly { readonly name: string; readonly summary: string }[];
  /** Which strategies fit which sinks. */
  readonly fits: readonly FitRow[];
}

/** What a flow file can name. Loads every connector's settings, and none of their drivers. */
export async function catalogue(): Promise<Catalogue> {
  const connectors = await allConnectors();
  const all = await Promise.all(connectors.types.map((type) => connectors.load(type)));
  return {
    connectors: all.flatMap((each) =>
      each === undefined
        ? []
        : [
            {
              type: each.type,
              summary: each.summary,
              source: each.source !== undefined,
              sink: each.sink !== undefined,
            },
          ],
    ),
    strategies: Object.values(strategies).map(({ name, summary }) => ({ name, summary })),
    fits: await fitMatrix(connectors),
  };
}
