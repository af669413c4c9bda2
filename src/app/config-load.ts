import type { z } from 'zod';
import type { LoadSettings } from '../model/load.ts';
import type { Strategy } from '../strategies/strategy.ts';
import { type loadSchema, loadShape } from './flow-file.ts';
import type { Path } from './places.ts';
import type { SettingsReader } from './settings-reader.ts';

interface LoadWorld {
  readonly reader: Pick<SettingsReader, 'report'>;
  readonly strategies: Readonly<Record<string, Strategy>>;
  /** As it stands in the file: a default is nobody's wish. */
  readonly raw: unknown;
  readonly strategy: string;
  readonly path: Path;
}

/** Undefined when something is said that the strategy does not use: whoever wrote it counts on it. */
export function readLoad(
  settings: z.output<typeof loadSchema> | undefined,
  { reader, strategies, raw, strategy, path }: LoadWorld,
): LoadSettings | undefined {
  const users = (key: string): readonly Strategy[] =>
    Object.values(strategies).filter(({ load }) => load?.uses.some((used) => used === key));
  const said = typeof raw === 'object' && raw !== null ? Object.keys(raw) : [];
  // Keys that are no settings at all have been reported with the nearest that is one.
  const unused = said.filter(
    (key) => Object.hasOwn(loadShape, key) && !users(key).some((one) => one.name === strategy),
  );
  for (const key of unused) {
    const names = users(key).map(({ name }) => name);
    reader.report([...path, key], `the strategy ${strategy} does not use it`, {
      at: 'key',
      hint: `Leave it out${names.length === 0 ? '' : `, or take a strategy that uses it: ${names.join(', ')}`}.`,
    });
  }
  return unused.length > 0 ? undefined : withoutHoles(settings ?? {});
}

function withoutHoles({ scope, deleted, latestBy, period, keep, onRefused }: Partial<z.output<typeof loadSchema>>) {
  return {
    ...(scope === undefined
      ? {}
      : { scope: scope.value === undefined ? { column: scope.column } : { column: scope.column, value: scope.value } }),
    ...(deleted === undefined ? {} : { deleted }),
    ...(latestBy === undefined ? {} : { latestBy }),
    ...(period === undefined ? {} : { period }),
    ...(keep === undefined ? {} : { keep }),
    ...(onRefused === undefined ? {} : { onRefused }),
  } satisfies LoadSettings;
}
