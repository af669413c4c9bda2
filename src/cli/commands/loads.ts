import { showRun } from '../../model/ids.ts';
import type { LoadRow } from '../../model/load.ts';
import { type CommandDefinition, type Given, textOption } from '../command.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { formatTime, isoTime, plainText } from '../format-values.ts';
import type { OutputOf } from '../output-schemas.ts';
import type { Column } from '../table.ts';

export const loads: CommandDefinition = {
  description:
    'Lists the loads of a flow: what each window collected before anybody saw it, whether readers see it now, and ' +
    'what publishing it came to. One that was given up may have left its place in the sink; the next load removes it.',
  exits: [0, 1, 2],
  examples: [
    ['waybill loads members-weekly', 'which window left the sink as it is now'],
    ['waybill loads members-weekly --lane warehouse --output json', 'with figures and versions'],
  ],
  configure(command, acts) {
    command.argument('<flow>', 'the flow').option('--lane <name>', 'only loads of this lane').action(acts(listLoads));
  },
};

type LoadsDocument = OutputOf<'loads'>;

async function listLoads(context: Context, given: Given): Promise<number> {
  const [flow = ''] = given.words;
  const lane = textOption(given, 'lane');
  const reader = await (await context.waybill()).reader();
  const rows = await reader.loads({ flow, ...(lane === undefined ? {} : { lane }) });
  const document: LoadsDocument = { schema: 'waybill.loads/1', flow, loads: rows.map(loadDocument) };
  context.show(document, () => loadTable(context, document.loads));
  return EXIT.ok;
}

function loadDocument(load: LoadRow): LoadsDocument['loads'][number] {
  const { run, window, lane, generation, state, tries, beganAtMs, publishedAtMs, opened, published, reason } = load;
  return {
    run: showRun(run),
    window: window.name,
    lane,
    generation,
    state,
    tries,
    began: isoTime(beganAtMs),
    published: publishedAtMs === undefined ? undefined : isoTime(publishedAtMs),
    place: opened?.summary,
    outcome: published?.summary,
    facts: published?.facts === undefined ? undefined : { ...published.facts },
    reason,
  };
}

const COLUMNS: readonly Column[] = [
  { head: 'run' },
  { head: 'window' },
  { head: 'lane', shrinkTo: 8 },
  { head: 'generation', align: 'right' },
  { head: 'state' },
  { head: 'published' },
  { head: 'what it came to', shrinkTo: 16 },
];

function loadTable(context: Context, rows: LoadsDocument['loads']): string[] {
  if (rows.length === 0) return ['no loads: no lane of this flow collects before it publishes, or nothing was run yet'];
  return context.table(
    COLUMNS,
    rows.map((load) => [
      load.run,
      load.window,
      load.lane,
      load.generation,
      load.state,
      load.published === undefined ? undefined : formatTime(Date.parse(load.published)),
      plainText(load.reason ?? load.outcome ?? load.place ?? ''),
    ]),
  );
}
