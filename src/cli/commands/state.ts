import type { LedgerReader, Waybill } from '../../app/waybill.ts';
import { WaybillError } from '../../model/errors.ts';
import { NO_RUN, showRun } from '../../model/ids.ts';
import { everyRow } from '../../model/pages.ts';
import type { Position } from '../../model/position.ts';
import type { SliceRow } from '../../model/slice.ts';
import { isPull } from '../../model/window.ts';
import { type CommandDefinition, flagOption, type Given, textOption } from '../command.ts';
import { confirm } from '../confirm.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { countOf, formatCount, formatTime, isoTime, plainText } from '../format-values.ts';
import type { OutputOf } from '../output-schemas.ts';
import { usage } from '../read-words.ts';

const VERBS = ['show', 'set', 'reset', 'history'] as const;

export const state: CommandDefinition = {
  description:
    'Shows where the sources of a flow stand, and how they came there; sets or forgets a position. A source reads ' +
    'what comes after its position: one that is set too far ahead leaves records out, which the history then shows.',
  exits: [0, 1, 2, 6],
  examples: [
    ['waybill state files-in show', 'where the sources stand'],
    ['waybill state files-in set --kind odf/etag --value abc', 'go on from somewhere else'],
    ['waybill state files-in set --state block.yaml', 'go on where another tool had stopped'],
    ['waybill state files-in reset', 'read from the beginning'],
  ],
  configure(command, acts) {
    command
      .argument('<flow>', 'the flow')
      .argument('[verb]', `one of ${VERBS.join(', ')}`, 'show')
      .option('--source <name>', 'the source; may be left out where the flow has one')
      .option('--kind <kind>', 'the kind of the position to set; that of the present one when not given')
      .option('--value <value>', 'the position to set')
      .option('--state <file>', 'the position to set, as a source state or a block of Open Data Fabric')
      .option('--yes', 'ask nothing')
      .action(acts(stateOf));
  },
};

type StateDocument = OutputOf<'state'>;
type StatePosition = StateDocument['positions'][number]['position'];

async function stateOf(context: Context, given: Given): Promise<number> {
  const [flow = '', word = 'show'] = given.words;
  const verb = VERBS.find((each) => each === word);
  if (verb === undefined)
    throw usage(`${JSON.stringify(word)} is nothing that can be done`, `Say ${VERBS.join(', ')}.`);
  const waybill = await context.waybill();
  if (verb === 'set' || verb === 'reset') await change(context, waybill, flow, verb, given);
  const document: StateDocument = {
    schema: 'waybill.state/1',
    flow,
    positions: (await waybill.positions(flow)).map(({ position, atMs, run }) => ({
      position: { ...position },
      at: isoTime(atMs),
      run: run === undefined ? undefined : showRun(run),
    })),
    looks: (await (await waybill.reader()).looks(flow)).map(({ sourceName, atMs, kind, why, inVain }) => ({
      source: sourceName,
      at: isoTime(atMs),
      kind,
      why,
      inVain,
    })),
    history: verb === 'history' ? await historyOf(waybill, flow) : undefined,
  };
  context.show(document, () =>
    verb === 'history' ? historyLines(context, document) : positionLines(context, document),
  );
  return EXIT.ok;
}

async function change(context: Context, waybill: Waybill, flow: string, verb: 'set' | 'reset', given: Given) {
  const sourceName = textOption(given, 'source') ?? sourceOf(waybill, flow);
  const reader = await readerOf(waybill, flow);
  const present = (await reader?.positions(flow))?.find((each) => each.position.sourceName === sourceName)?.position;
  const position = verb === 'reset' ? null : await wanted(context, given, sourceName, present);
  if (reader !== undefined) context.talk(await readAgain(reader, flow, sourceName, position));
  const question =
    position === null
      ? `Forget where ${sourceName} stands? It is read from the beginning the next time.`
      : `Set ${sourceName} to ${position.kind} ${position.value}? What lies before it is not read.`;
  if (!(await confirm(context, question, flagOption(given, 'yes')))) {
    throw usage('nothing was changed', 'Answer y, or give --yes.');
  }
  await waybill.setPosition(flow, sourceName, position);
}

/** Undefined where there is no ledger yet: a flow of the flow file may be told where to begin before it ever ran. */
async function readerOf(waybill: Waybill, flow: string): Promise<LedgerReader | undefined> {
  try {
    return await waybill.reader();
  } catch (error) {
    const known = waybill.flows().some(({ name }) => name === flow);
    if (!known || !(error instanceof WaybillError) || error.code !== 'LEDGER_MISSING') throw error;
    return undefined;
  }
}

function sourceOf(waybill: Waybill, flow: string): string {
  const info = waybill.flows().find((each) => each.name === flow);
  if (info !== undefined) return info.source.name;
  throw usage(`the flow file has no flow ${JSON.stringify(flow)}`, 'Name the source with --source.');
}

/** What a change of the position means for what was taken in already: it would come once more. */
async function readAgain(
  reader: LedgerReader,
  flow: string,
  source: string,
  position: Position | null,
): Promise<string> {
  let [after, records, slices] = [position === null, 0, 0];
  for await (const slice of everyRow(
    (page) => reader.slices({ flow, source, ...page }),
    (row) => row.id,
  )) {
    if (after) {
      records += slice.records;
      slices++;
    }
    const { kind, value } = slice.position;
    if (kind === position?.kind && value === position.value) [after, records, slices] = [true, 0, 0];
  }
  if (!after) return `${source} never stood there: nobody can say what would be read again, or left out`;
  if (slices === 0) return 'nothing that was taken in would be read again';
  return `what ${countOf(slices, 'slice')} brought would be read again: ${countOf(records, 'record')}`;
}

async function wanted(
  context: Context,
  given: Given,
  sourceName: string,
  present: Position | undefined,
): Promise<Position> {
  const file = textOption(given, 'state');
  if (file !== undefined)
    return (await import('../../app/state-file.ts')).readStateFile(file, context.io.cwd, sourceName);
  const kind = textOption(given, 'kind') ?? present?.kind;
  const value = textOption(given, 'value');
  if (value === undefined) throw usage('the position to set is missing', 'Give it with --value.');
  if (kind === undefined)
    throw usage('the source has no position yet, so its kind is not known', 'Give it with --kind.');
  return { sourceName, kind, value };
}

/** Where each run left the sources, and each time that a person set them, oldest first. */
async function historyOf(waybill: Waybill, flow: string): Promise<NonNullable<StateDocument['history']>> {
  const reader = await waybill.reader();
  const history: NonNullable<StateDocument['history']> = [];
  for (const slice of await lastSlices(reader, flow)) {
    history.push({
      at: isoTime(slice.systemTimeMs),
      what: slice.records === 0 ? 'no records' : `records ${slice.offset} to ${slice.offset + slice.records - 1}`,
      run: showRun(slice.run),
      position: { ...slice.position },
      detail: sliceDetail(slice),
    });
  }
  for (const run of await reader.runs({ flow, newestFirst: true, limit: 200 })) {
    for (const { startedAtMs, closedAtMs, kind, position } of await reader.generations(run.id)) {
      const at = isoTime(closedAtMs ?? startedAtMs);
      // A pull has told of itself slice by slice.
      if (position !== undefined && !isPull(run.window.name)) {
        history.push({
          at,
          what: `read (${kind})`,
          run: showRun(run.id),
          window: run.window.name,
          position: { ...position },
        });
      }
    }
  }
  history.push(...(await changesOf(reader, flow)));
  return history.sort((a, b) => a.at.localeCompare(b.at));
}

/** Each time that a person has set or forgotten where a source stands. */
async function changesOf(reader: LedgerReader, flow: string): Promise<NonNullable<StateDocument['history']>> {
  const changes: NonNullable<StateDocument['history']> = [];
  const events = everyRow(
    (page) => reader.events({ run: NO_RUN, ...page }),
    (event) => event.seq,
  );
  for await (const { kind, atMs, detail } of events) {
    if (kind !== 'position-set' || detail.flow !== flow) continue;
    const sourceName = String(detail.source);
    const stateOf = (value: unknown, ofKind: unknown) =>
      value === undefined ? undefined : { sourceName, kind: String(ofKind), value: String(value) };
    const position = stateOf(detail.position, detail.kind);
    const who = String(detail.who);
    changes.push({
      at: isoTime(atMs),
      what: `${position === undefined ? 'reset' : 'set'} by ${who}`,
      position,
      detail: { source: sourceName, who, before: stateOf(detail.before, detail.beforeKind) },
    });
  }
  return changes;
}

/** Of a long history the latest part: it is read from its end, and a year of pulls fills no screen. */
async function lastSlices(reader: LedgerReader, flow: string): Promise<readonly SliceRow[]> {
  const last = await reader.lastSlice(flow);
  return last === undefined
    ? []
    : await reader.slices({ flow, after: Math.max(0, last.id - HISTORY_SHOWN), limit: HISTORY_SHOWN });
}
const HISTORY_SHOWN = 200;

const sliceDetail = ({ part, watermark, late, records, bytes }: SliceRow): Record<string, unknown> => ({
  records,
  bytes,
  ...(part === undefined ? {} : { part }),
  ...(watermark === undefined ? {} : { watermark }),
  ...(late === 0 ? {} : { late }),
});

function lookLine({ source, at, kind, why, inVain }: StateDocument['looks'][number]): string {
  const often = inVain > 1 ? ` (${formatCount(inVain)} times)` : '';
  return `${source}: looked at ${formatTime(Date.parse(at))}: ${kind}, ${plainText(why)}${often}`;
}

function positionLines(context: Context, document: StateDocument): string[] {
  const looks = document.looks.map(lookLine);
  if (document.positions.length === 0)
    return [`${document.flow} has no position: it is read from the beginning`, ...looks];
  const table = context.table(
    [
      { head: 'source', shrinkTo: 8 },
      { head: 'kind', shrinkTo: 8 },
      { head: 'value', shrinkTo: 20 },
      { head: 'since' },
      { head: 'run' },
    ],
    document.positions.map(({ position, at, run }) => [
      position.sourceName,
      position.kind,
      position.value,
      formatTime(Date.parse(at)),
      run,
    ]),
  );
  return [...table, ...looks];
}

function historyLines(context: Context, document: StateDocument): string[] {
  const history = document.history ?? [];
  if (history.length === 0) return [`${document.flow} has no history of positions`];
  return context.table(
    [
      { head: 'when' },
      { head: 'run' },
      { head: 'what' },
      { head: 'source', shrinkTo: 8 },
      { head: 'position', shrinkTo: 20 },
      { head: 'before', shrinkTo: 12 },
    ],
    history.map(({ at, run, what, position, detail }) => [
      formatTime(Date.parse(at)),
      run,
      what,
      position?.sourceName ?? (detail?.source as string | undefined),
      placeOf(position),
      detail?.who === undefined ? undefined : placeOf(detail.before as StatePosition | undefined),
    ]),
  );
}

const placeOf = (position: StatePosition | undefined): string =>
  position === undefined ? 'none' : `${position.kind} ${position.value}`;
