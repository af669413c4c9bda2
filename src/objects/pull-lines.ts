import type { Look, LookNotice } from '../connectors/connector.ts';
import type { FramedChunk, GrowingFramer } from '../formats/formats.ts';
import { type Chunk, endChunk } from '../model/chunk.ts';
import { WaybillError } from '../model/errors.ts';
import type { Position } from '../model/position.ts';
import { type LinePlace, LineTrail, linePlaceOf, OFFSET_POSITION, positionAt } from './line-place.ts';
import { type Marked, marked, piecesOf, type Stretch } from './line-stretch.ts';
import { looked, type PullOptions, type PullReadRange, type PullWay } from './pulls.ts';
import { nothingFound, patternOf, readError } from './reading.ts';
import { formatOf, lineFramerOf } from './record-format.ts';
import { rotatedAway } from './rotation.ts';
import type { VersionedFile } from './shelf.ts';

type LineFramer = GrowingFramer & { readonly columns?: readonly string[] | undefined };

/** What is to be read, one stretch of a file behind the other. */
interface Plan {
  readonly stretches: readonly Stretch[];
  readonly notices: readonly LookNotice[];
}

/**
 * The lines that were added to one file. The position says how many bytes were read, and holds digests of the first and
 * of the last of them: where those are others, the file was begun anew. Then the old one is looked for beside it,
 * under a name such as `app.log.1`, and read to its end first.
 */
export class LinePulls implements PullWay {
  readonly #options: PullOptions;

  constructor(options: PullOptions) {
    this.#options = options;
  }

  refuses(position: Position): string | undefined {
    if (position.kind !== OFFSET_POSITION)
      return `it goes on behind a byte (${OFFSET_POSITION}), not from ${position.kind}`;
    return linePlaceOf(position) === undefined ? `${position.value} does not say where in a file it is` : undefined;
  }

  async look(range: PullReadRange, signal: AbortSignal): Promise<Look> {
    const file = await this.#file(range, signal);
    if (file === undefined) return looked('unchanged', 'no file is there');
    const place = linePlaceOf(range.from);
    if (place !== undefined && place.tag === file.version.tag)
      return looked('unchanged', `nothing was added to ${file.name}`);
    const { stretches, notices } = await this.#plan(file, place, signal);
    let unended = 0;
    for (const stretch of stretches) {
      const found = await this.#unended(stretch, signal);
      unended = found ?? 0;
      if (found !== undefined) continue;
      const bytes = stretches.reduce((sum, { file: one, from }) => sum + one.version.bytes - from.offset, 0);
      return {
        kind: 'new',
        ...(bytes > 0 ? { estimate: { bytes } } : {}),
        ...(notices.length === 0 ? {} : { notices }),
      };
    }
    const more = unended > (this.#options.recordBytesMax ?? Number.POSITIVE_INFINITY) ? [tooLong(file, unended)] : [];
    return looked('unchanged', `no whole line was added to ${file.name}`, [...notices, ...more]);
  }

  async *read(range: PullReadRange, signal: AbortSignal): AsyncGenerator<Chunk> {
    const file = await this.#file(range, signal);
    const place = linePlaceOf(range.from);
    if (file === undefined || (place !== undefined && place.tag === file.version.tag)) return;
    const { stretches } = await this.#plan(file, place, signal);
    for (const stretch of stretches) {
      try {
        yield* this.#lines(stretch, file.name, signal);
      } catch (error) {
        throw readError(error, stretch.file);
      }
    }
  }

  async #file(range: PullReadRange, signal: AbortSignal): Promise<VersionedFile | undefined> {
    const name = patternOf(this.#options, range);
    const format = formatOf(name, this.#options);
    if ((format !== 'csv' && format !== 'ndjson') || /\.gz$/i.test(name)) {
      throw new WaybillError('SOURCE_INVALID', `nobody adds lines to ${name}`, {
        hint: '`pullBy: offset` is for plain CSV and NDJSON; `version` reads a whole file when it changes.',
        ids: { path: name },
      });
    }
    const file = await this.#options.shelf.find(name, signal);
    if (file === undefined) nothingFound(this.#options, name);
    return file;
  }

  async #plan(file: VersionedFile, place: LinePlace | undefined, signal: AbortSignal): Promise<Plan> {
    if (place === undefined) return { stretches: [{ file, from: TOP, ended: false }], notices: [] };
    const found = await marked(this.#options.shelf, file, place, signal);
    if (found !== undefined) return { stretches: [{ file, from: goOn(place, found), ended: false }], notices: [] };
    const stretches = await rotatedAway(this.#options.shelf, { file, place }, signal);
    if (stretches === undefined) throw lost(file, place);
    const names = stretches.map((stretch) => stretch.file.name).join(', ');
    const message = `${file.name} was begun anew; what was read before goes on in ${names}`;
    return {
      stretches: [...stretches, { file, from: TOP, ended: false }],
      notices: [{ kind: 'file-rotated', message }],
    };
  }

  /** Bytes of a line that has no end yet; undefined where there is an end of a line, or there will never be one. */
  async #unended(stretch: Stretch, signal: AbortSignal): Promise<number | undefined> {
    let held = 0;
    for await (const bytes of piecesOf(this.#options.shelf, stretch, signal)) {
      if (stretch.ended ? bytes.length > 0 : bytes.includes(LF)) return undefined;
      held += bytes.length;
    }
    return held;
  }

  async *#lines(stretch: Stretch, name: string, signal: AbortSignal): AsyncGenerator<Chunk> {
    const { file, from, ended } = stretch;
    const framer: LineFramer = lineFramerOf(name, this.#options, from);
    const trail = new LineTrail(from);
    let [row, done] = [from.row, from.offset];
    // Where a line begins that is too long, and of which no byte is kept.
    let dropping: ReturnType<LineTrail['at']> | undefined;
    const placed = (chunk: FramedChunk): Chunk => {
      const { endOffset, startOffset: _, ...rest } = this.#shown(chunk, file);
      [row, done] = [chunk.firstRow + chunk.count + (chunk.rejects?.length ?? 0), endOffset];
      return { ...rest, end: this.#position(name, { ...trail.at(endOffset), row, columns: framer.columns }) };
    };
    for await (const bytes of piecesOf(this.#options.shelf, stretch, signal)) {
      signal.throwIfAborted();
      trail.add(bytes);
      for (const chunk of framer.push(bytes)) {
        yield placed(chunk);
        signal.throwIfAborted();
      }
      if (framer.offset === framer.settled) dropping = undefined;
      else if (dropping?.offset !== framer.offset) dropping = trail.at(framer.offset);
      trail.pass(framer.settled);
    }
    for (const chunk of ended ? framer.end() : framer.whole()) {
      yield placed(chunk);
      signal.throwIfAborted();
    }
    // Behind the last record may stand blank lines or nothing but a header; and that all of it was seen is known now.
    const tag = ended || framer.offset < file.version.bytes ? undefined : file.version.tag;
    const stands = !ended && dropping?.offset === framer.offset ? dropping : trail.at(framer.offset);
    const end = { ...stands, row, columns: framer.columns, tag };
    if (end.offset > done || tag !== undefined) yield endChunk(this.#position(name, end), { firstRow: row });
  }

  #shown(framed: FramedChunk, file: VersionedFile): FramedChunk {
    const { where, rejects } = framed;
    return {
      ...framed,
      where: (place) => ({ ...where?.(place), file: file.name }),
      ...(rejects === undefined
        ? {}
        : { rejects: rejects.map((reject) => ({ ...reject, message: `${file.name}: ${reject.message}` })) }),
    };
  }

  #position(file: string, place: Omit<LinePlace, 'file'>): Position {
    const { columns, tag, ...rest } = place;
    const more = { ...(columns === undefined ? {} : { columns }), ...(tag === undefined ? {} : { tag }) };
    return positionAt(this.#options.pattern, { file, ...rest, ...more });
  }
}

const LF = 0x0a;
const NOTHING = new Uint8Array(0);
const TOP: Stretch['from'] = { offset: 0, row: 1, line: 1, head: NOTHING, tail: NOTHING };

const goOn = ({ offset, row, line, columns }: LinePlace, { head, tail }: Marked): Stretch['from'] => ({
  offset,
  row,
  line,
  head,
  tail,
  columns,
});

const tooLong = (file: VersionedFile, bytes: number): LookNotice => ({
  kind: 'line-too-long',
  message:
    `the last line of ${file.name} has no end, and ${bytes} bytes already: that is more than \`recordBytesMax\` of ` +
    'the source allows, and the whole line is going to be left out',
});

function lost(file: VersionedFile, { offset, line }: LinePlace): WaybillError {
  const how =
    file.version.bytes < offset
      ? `holds ${file.version.bytes} bytes, and ${offset} of it were read`
      : `no longer has what was read of it before byte ${offset}`;
  const message =
    `${file.name} ${how}, and no file beside it does: what was added behind byte ${offset} (line ${line}) before it ` +
    'was begun anew is lost';
  return new WaybillError('SOURCE_TRIMMED', message, {
    hint:
      `Put the old file beside it as ${file.name}.1 and pull again; or read what is there now from its beginning: ` +
      '`waybill state FLOW reset`.',
    ids: { path: file.name },
  });
}
