import { dataOverwrite } from './data-overwrite.ts';
import { keyed } from './keyed.ts';
import { ledgeredAppend } from './ledgered-append.ts';
import { merger } from './merger.ts';
import { metadataCleaner } from './metadata-cleaner.ts';
import { proxy } from './proxy.ts';
import { statefulMerger } from './stateful-merger.ts';
import type { Strategy } from './strategy.ts';
import { transactionalWriter } from './transactional-writer.ts';

/** Every strategy, by name; the one list that grows when one is added. */
export const strategies: Readonly<Record<string, Strategy>> = Object.fromEntries(
  [ledgeredAppend, keyed, merger, statefulMerger, dataOverwrite, metadataCleaner, transactionalWriter, proxy].map(
    (strategy) => [strategy.name, strategy],
  ),
);
