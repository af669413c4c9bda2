import type { Progress } from '../app/waybill.ts';
import type { Balance } from '../model/states.ts';
import { countOf, formatCount, formatDuration, formatRate, plainText } from './format-values.ts';
import { cutText, displayWidth } from './table.ts';
import type { Colours } from './view.ts';

/** What a person wants to know of a lane while it moves. */
export interface LaneReading {
  readonly lane: string;
  readonly balance: Balance;
  readonly decided: number;
  /** Absent while nobody knows how many records there will be. */
  readonly total?: number;
  /** Records decided a second, over the last while; absent until two readings are apart. */
  readonly perSecond?: number;
  readonly remainingMs?: number;
  /** Why its last batch has not got through. */
  readonly waits?: string;
}

export interface Reading {
  readonly stage: Progress['stage'];
  readonly read: number;
  readonly elapsedMs: number;
  readonly lanes: readonly LaneReading[];
  /** Why the source brings nothing for now. */
  readonly waits?: string;
}

/** A rate over less than this is noise; over more than the other it hides that a sink has become slow. */
const RATE_FROM_MS = 500;
const RATE_OVER_MS = 15_000;

interface Sample {
  readonly atMs: number;
  readonly decided: number;
}

/** Makes rates and the time remaining out of the figures that the engine gives; knows no clock of its own. */
export class ProgressMeter {
  readonly #samples = new Map<string, Sample[]>();

  read(progress: Progress): Reading {
    const lanes = progress.lanes.map((lane) => this.#readLane(progress, lane));
    const { stage, read, elapsedMs, waits } = progress;
    return { stage, read, elapsedMs, lanes, ...(waits === undefined ? {} : { waits }) };
  }

  #readLane(progress: Progress, { lane, balance, waits }: Progress['lanes'][number]): LaneReading {
    const decided = balance.read - balance.pending;
    const perSecond = this.#rate(lane, { atMs: progress.elapsedMs, decided });
    const total = totalOf(progress, balance);
    const left = total === undefined ? undefined : total - decided;
    const goesOn = left !== undefined && left > 0 && progress.stage !== 'DONE';
    return {
      lane,
      balance,
      decided,
      ...(total === undefined ? {} : { total }),
      ...(perSecond === undefined ? {} : { perSecond }),
      ...(goesOn && perSecond !== undefined && perSecond > 0 ? { remainingMs: (left / perSecond) * 1000 } : {}),
      ...(waits === undefined ? {} : { waits }),
    };
  }

  #rate(lane: string, now: Sample): number | undefined {
    const samples = this.#samples.get(lane) ?? [];
    this.#samples.set(lane, samples);
    samples.push(now);
    while (samples.length > 2 && samples[1]!.atMs < now.atMs - RATE_OVER_MS) samples.shift();
    const first = samples[0]!;
    const overMs = now.atMs - first.atMs;
    return overMs < RATE_FROM_MS ? undefined : ((now.decided - first.decided) * 1000) / overMs;
  }
}

/** While the source is being read only the source can say how many there will be; afterwards it is what was read. */
function totalOf(progress: Progress, balance: Balance): number | undefined {
  // A reading that failed has brought records that got into no batch: of those nobody can say how many are decided.
  if (progress.stage === 'DONE' && balance.read === 0 && progress.read > 0) return undefined;
  if (progress.stage !== 'EXTRACT') return balance.read;
  return progress.expected === undefined ? undefined : Math.max(progress.expected, balance.read);
}

const STAGES: Readonly<Record<Progress['stage'], string>> = {
  EXTRACT: 'reading',
  SETTLE: 'settling doubts',
  DELIVER: 'sending',
  PUBLISH: 'publishing',
  DONE: 'ended',
};

export interface BarsStyle {
  readonly width: number;
  readonly paint: Colours;
}

/**
 * A header and one line a lane, with another below it while the source or the lane waits. None is wider than the
 * terminal: a wrapped line could not be drawn over.
 */
export function renderBars(title: string, reading: Reading, style: BarsStyle): string[] {
  const facts = [STAGES[reading.stage], `${countOf(reading.read, 'record')} read`, formatDuration(reading.elapsedMs)];
  const head = cutText(`${plainText(title)}: ${facts.join(', ')}`, style.width);
  const nameWidth = Math.min(16, Math.max(...reading.lanes.map((lane) => displayWidth(plainText(lane.lane))), 0));
  const rows = reading.lanes.map((lane) => ({ lane, facts: laneFacts(lane) }));
  const factsWidth = Math.max(0, ...rows.map(({ facts }) => displayWidth(facts.map((fact) => fact.text).join(GAP))));
  // Bars of one width, so that lanes can be compared at a glance.
  const barWidth = Math.min(BAR_MAX, style.width - nameWidth - factsWidth - 3 * GAP.length);
  const lines = rows.flatMap((row) => [
    laneLine(row, { nameWidth, barWidth }, style),
    ...(row.lane.waits === undefined ? [] : [waitsLine(row.lane.waits, style)]),
  ]);
  return [style.paint.bold(head), ...(reading.waits === undefined ? [] : [waitsLine(reading.waits, style)]), ...lines];
}

const GAP = '  ';
const BAR_MAX = 40;
const BAR_MIN = 8;

function laneLine(
  { lane, facts }: { lane: LaneReading; facts: readonly Fact[] },
  { nameWidth, barWidth }: { nameWidth: number; barWidth: number },
  { width, paint }: BarsStyle,
): string {
  const name = cutText(plainText(lane.lane), nameWidth);
  const start = `${GAP}${name}${' '.repeat(nameWidth - displayWidth(name))}${GAP}`;
  // Figures before pictures: on a narrow terminal the bar goes first, and then what does not fit of the figures.
  if (barWidth < BAR_MIN) return cutText(start + facts.map((fact) => fact.text).join(GAP), width);
  const bar = renderBar(lane.balance, lane.total, barWidth, paint);
  return `${start}${bar}${GAP}${facts.map((fact) => (fact.style ?? same)(fact.text, paint)).join(GAP)}`;
}

const waitsLine = (waits: string, { width, paint }: BarsStyle): string =>
  paint.yellow(cutText(`${GAP}${GAP}waits: ${plainText(waits)}`, width));

interface Fact {
  readonly text: string;
  readonly style?: (text: string, paint: Colours) => string;
}
const same = (text: string): string => text;

function laneFacts(lane: LaneReading): Fact[] {
  const { balance, total, decided } = lane;
  const facts: Fact[] = [];
  // Of nothing there are no parts; and nothing was read yet where a source could not be opened.
  if (total !== undefined && total > 0) facts.push({ text: `${String(percent(decided, total)).padStart(3)}%` });
  facts.push({ text: total === undefined ? formatCount(decided) : `${formatCount(decided)}/${formatCount(total)}` });
  if (lane.perSecond !== undefined) facts.push({ text: formatRate(lane.perSecond) });
  if (balance.inDoubt > 0) {
    facts.push({
      text: `${formatCount(balance.inDoubt)} in doubt`,
      style: (text, paint) => paint.bold(paint.yellow(text)),
    });
  }
  if (balance.refused > 0) {
    facts.push({ text: `${formatCount(balance.refused)} refused`, style: (text, paint) => paint.red(text) });
  }
  if (balance.skipped > 0)
    facts.push({ text: `${formatCount(balance.skipped)} skipped`, style: (text, paint) => paint.dim(text) });
  if (lane.remainingMs !== undefined) facts.push({ text: `${formatDuration(lane.remainingMs)} left` });
  return facts;
}

/** Rounded down, so that 100 stands only where everything is decided; nothing to do is all done. */
export const percent = (decided: number, total: number): number =>
  total === 0 ? 100 : Math.floor((decided / total) * 100);

/**
 * A bar whose parts have the colours of the states. A part that is not empty has at least one column: no doubt is too
 * small to be seen.
 */
export function renderBar(balance: Balance, total: number | undefined, width: number, paint: Colours): string {
  const whole = Math.max(total ?? balance.read, balance.read);
  const counts = [balance.delivered, balance.refused, balance.inDoubt, balance.skipped];
  const columns = counts.map((count) => (count === 0 ? 0 : Math.max(1, Math.floor((count / whole) * width))));
  let spare = width - columns.reduce((sum, part) => sum + part, 0);
  if (spare < 0 || (balance.pending === 0 && whole === balance.read && whole > 0)) {
    // Rounding made the parts too wide, or left a gap in a bar that is full: the widest part gives or takes it.
    const widest = columns.indexOf(Math.max(...columns));
    columns[widest] = Math.max(0, columns[widest]! + spare);
    spare = 0;
  }
  const [delivered = 0, refused = 0, inDoubt = 0, skipped = 0] = columns;
  return [
    paint.green('█'.repeat(delivered)),
    paint.red('▓'.repeat(refused)),
    paint.yellow('▒'.repeat(inDoubt)),
    paint.dim('▁'.repeat(skipped)),
    paint.dim('░'.repeat(spare)),
  ].join('');
}

/** One line that a log can keep. */
export function renderPlain(title: string, reading: Reading): string {
  const lanes = reading.lanes.map((lane) => {
    const facts = laneFacts(lane).map((fact) => fact.text.trim());
    const waits = lane.waits === undefined ? '' : `, waits: ${plainText(lane.waits)}`;
    return `${plainText(lane.lane)} ${facts.join(', ')}${waits}`;
  });
  const elapsed = formatDuration(reading.elapsedMs);
  const stage = reading.stage === 'DONE' ? `ended after ${elapsed}` : `${STAGES[reading.stage]} for ${elapsed}`;
  const start = `${plainText(title)}: ${stage}`;
  const waits = reading.waits === undefined ? '' : `, waits: ${plainText(reading.waits)}`;
  return `${start}, ${countOf(reading.read, 'record')} read${waits}; ${lanes.join('; ')}`;
}
