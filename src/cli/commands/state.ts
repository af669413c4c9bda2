import type { Waybill } from '../../app/waybill.ts';
import { showRun } from '../../model/ids.ts';
import type { Position } from '../../model/position.ts';
import { type CommandDefinition, flagOption, type Given, textOption } from '../command.ts';
import { confirm } from '../confirm.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { formatTime, isoTime } from '../format-values.ts';
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
    ['waybill state files-in reset', 'read from the beginning'],
  ],
  configure(command, acts) {
    command
      .argument('<flow>', 'the flow')
      .argument('[verb]', `one of ${VERBS.join(', ')}`, 'show')
      .option('--source <name>', 'the source; may be left out where the flow has one')
      .option('--kind <kind>', 'the kind of the position to set; that of the present one when not given')
      .option('--value <value>', 'the position to set')
      .option('--yes', 'ask nothing')
      .action(acts(stateOf));
  },
};

type StateDocument = OutputOf<'state'>;

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
    history: verb === 'history' ? await historyOf(waybill, flow) : undefined,
  };
  context.show(document, () =>
    verb === 'history' ? historyLines(context, document) : positionLines(context, document),
  );
  return EXIT.ok;
}

async function change(context: Context, waybill: Waybill, flow: string, verb: 'set' | 'reset', given: Given) {
  const sourceName = textOption(given, 'source') ?? sourceOf(waybill, flow);
  const present = (await waybill.positions(flow)).find((each) => each.position.sourceName === sourceName)?.position;
  const position = verb === 'reset' ? null : wanted(given, sourceName, present);
  const question =
    position === null
      ? `Forget where ${sourceName} stands? It is read from the beginning the next time.`
      : `Set ${sourceName} to ${position.kind} ${position.value}? What lies before it is not read.`;
  if (!(await confirm(context, question, flagOption(given, 'yes')))) {
    throw usage('nothing was changed', 'Answer y, or give --yes.');
  }
  await waybill.setPosition(flow, sourceName, position);
}

function sourceOf(waybill: Waybill, flow: string): string {
  const info = waybill.flows().find((each) => each.name === flow);
  if (info !== undefined) return info.source.name;
  throw usage(`the flow file has no flow ${JSON.stringify(flow)}`, 'Name the source with --source.');
}

function wanted(given: Given, sourceName: string, present: Position | undefined): Position {
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
  for (const run of await reader.runs({ flow, newestFirst: true, limit: 200 })) {
    for (const { startedAtMs, closedAtMs, kind, position } of await reader.generations(run.id)) {
      const at = isoTime(closedAtMs ?? startedAtMs);
      if (position !== undefined) {
        history.push({
          at,
          what: `read (${kind})`,
          run: showRun(run.id),
          window: run.window.name,
          position: { ...position },
        });
      }
    }
    for (const event of await reader.events({ run: run.id })) {
      if (event.kind !== 'position-set') continue;
      history.push({
        at: isoTime(event.atMs),
        what: 'set by a person',
        run: showRun(run.id),
        detail: { ...event.detail },
      });
    }
  }
  return history.sort((a, b) => a.at.localeCompare(b.at));
}

function positionLines(context: Context, document: StateDocument): string[] {
  if (document.positions.length === 0) return [`${document.flow} has no position: it is read from the beginning`];
  return context.table(
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
    ],
    history.map(({ at, run, what, position, detail }) => [
      formatTime(Date.parse(at)),
      run,
      what,
      position?.sourceName,
      position === undefined ? JSON.stringify(detail ?? {}) : `${position.kind} ${position.value}`,
    ]),
  );
}
