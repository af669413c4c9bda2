import type { Source } from '../connectors/connector.ts';
import type { LaneJob } from '../engine/engine.ts';
import { WaybillError } from '../model/errors.ts';
import { NO_FACTS } from '../strategies/strategy.ts';
import type { FlowConfig } from './flow-config.ts';

interface Wired {
  readonly source: Source;
  readonly lanes: readonly LaneJob[];
}

interface Why {
  readonly message: string;
  readonly hint: string;
}

const COPIES = 'Leave `staging` out of this flow: its batches are copied then.';

/** Why batches of a flow cannot be kept as its `staging` says, and what comes nearest. */
export function whyNotKept(flow: FlowConfig, wired: Wired): Why | undefined {
  if (flow.staging === 'copy') return undefined;
  if (flow.history !== undefined) {
    return {
      message:
        `\`staging: ${flow.staging}\` does not go with \`history\`: its rows are made here, and stand in no ` +
        'source',
      hint: COPIES,
    };
  }
  return flow.staging === 'range' ? whyNoRanges(flow, wired.source) : whyNoneKept(flow, wired.lanes);
}

/** Batches are made again of what their source has: it has to have it, and the lane to make the same of it. */
function whyNoRanges(flow: FlowConfig, source: Source): Why | undefined {
  if (source.reread === undefined) {
    const { type } = flow.source.connection.connector;
    return {
      message: `\`staging: range\` does not fit this source: ${type}, as it is set up, cannot be read again in parts`,
      hint:
        `${COPIES} Ranges are for plain CSV and NDJSON of files and s3 (not packed, no JSON documents, no Parquet, ` +
        'not with `pullBy: offset`), and for streams of nats and redis.',
    };
  }
  const free = flow.lanes.find(({ mapping }) => mapping?.free === true);
  if (free === undefined) return undefined;
  return {
    message:
      `lane ${free.name}: \`staging: range\` does not go with a mapping that is a function: nobody can tell whether ` +
      'it makes the same of a record twice',
    hint: `Write the mapping as a map (\`select\`, \`rename\`, \`set\`). Or: ${COPIES}`,
  };
}

/** What is lost with a process is read again: the sink has to say what had arrived, and there has to be a window. */
function whyNoneKept(flow: FlowConfig, lanes: readonly LaneJob[]): Why | undefined {
  if (flow.window === 'pull') {
    return {
      message: '`staging: none` does not go with `window: pull`: what was pulled is not read a second time',
      hint: COPIES,
    };
  }
  if (flow.deliver !== 'while-reading') {
    return {
      message: '`staging: none` needs `deliver: while-reading`: a whole window would have to fit into memory',
      hint: `Add \`deliver: while-reading\`. Or: ${COPIES}`,
    };
  }
  const lane = lanes.find((one) => !asksForMarkers(one));
  if (lane === undefined) return undefined;
  return {
    message:
      `lane ${lane.name}: \`staging: none\` needs a sink that can be asked for the marker of a batch, and ` +
      '`strategy: ledgered-append`',
    hint: `${COPIES} Tables of postgres can be asked.`,
  };
}

function asksForMarkers({ strategy, sink, facts = NO_FACTS }: LaneJob): boolean {
  const fit = strategy.fit(sink, facts);
  const isMarked = fit.fits && fit.guarantee.rung === 'marker' && strategy.load === undefined;
  return isMarked && sink.can.marked !== undefined;
}

/** Throws PROMISE_IMPOSSIBLE before anything is begun. */
export function requireKept(flow: FlowConfig, wired: Wired): void {
  const why = whyNotKept(flow, wired);
  if (why === undefined) return;
  throw new WaybillError('PROMISE_IMPOSSIBLE', `flow ${flow.name}, ${why.message}`, {
    hint: why.hint,
    ids: { flow: flow.name },
  });
}
