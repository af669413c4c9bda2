import pc from 'picocolors';
import type { Output, ProcessPort } from '../app/process.ts';

export type Colours = ReturnType<typeof pc.createColors>;

/** How results and talk look: decided once, from the options, the environment and what the streams are. */
export interface View {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** Questions may be asked. */
  readonly asks: boolean;
  /** Progress may be drawn over itself. */
  readonly live: boolean;
  /** Columns of the terminal that results go to, for texts; 80 in a pipe. */
  readonly width: number;
  /** The same for tables. In a pipe they are cut nowhere: whoever reads it searches for what stands at the end. */
  readonly tableWidth: number;
  /** For stdout and for stderr: one may be a pipe while the other is a terminal. */
  readonly paint: Colours;
  readonly talkPaint: Colours;
}

export interface Globals {
  readonly config?: string | undefined;
  readonly ledger?: string | undefined;
  readonly output?: string | undefined;
  /** False after `--no-color`. */
  readonly color?: boolean | undefined;
  readonly quiet?: boolean | undefined;
  readonly verbose?: boolean | undefined;
  /** False after `--no-input`. */
  readonly input?: boolean | undefined;
}

const PIPE_WIDTH = 80;
/** Below this a table is unreadable however it is cut; the terminal may as well wrap it. */
const LEAST_WIDTH = 40;

export function viewOf(io: Pick<ProcessPort, 'env' | 'stdout' | 'stderr' | 'canAsk'>, globals: Globals): View {
  const json = globals.output === 'json';
  const quiet = globals.quiet === true;
  const terminal = io.stdout.isTTY === true ? io.stdout.columns : undefined;
  return {
    json,
    quiet,
    verbose: globals.verbose === true,
    asks: io.canAsk && globals.input !== false && !json && !isSet(io.env.CI),
    live: io.stderr.isTTY === true && !quiet && !isSet(io.env.CI) && io.env.TERM !== 'dumb',
    width: Math.max(LEAST_WIDTH, terminal ?? PIPE_WIDTH),
    tableWidth: io.stdout.isTTY === true ? Math.max(LEAST_WIDTH, terminal ?? PIPE_WIDTH) : Number.POSITIVE_INFINITY,
    paint: pc.createColors(colourful(io.env, io.stdout, globals)),
    talkPaint: pc.createColors(colourful(io.env, io.stderr, globals)),
  };
}

/** NO_COLOR and --no-color win over FORCE_COLOR; without any of them, colour is for terminals. */
function colourful(env: ProcessPort['env'], stream: Output, globals: Globals): boolean {
  if (globals.color === false || isSet(env.NO_COLOR)) return false;
  if (isSet(env.FORCE_COLOR)) return env.FORCE_COLOR !== '0' && env.FORCE_COLOR !== 'false';
  return stream.isTTY === true && env.TERM !== 'dumb';
}

const isSet = (value: string | undefined): boolean => value !== undefined && value !== '';

/** The colour of a state, the same in tables, bars and sentences: in doubt is the one that stands out. */
export function stateStyle(paint: Colours, state: string): (text: string) => string {
  switch (state) {
    case 'delivered':
    case 'complete':
      return paint.green;
    case 'in-doubt':
      return (text) => paint.bold(paint.yellow(text));
    case 'refused':
    case 'failed':
    case 'complete-with-refusals':
    case 'partial':
      return paint.red;
    case 'sending':
    case 'open':
      return paint.cyan;
    default:
      return paint.dim;
  }
}
