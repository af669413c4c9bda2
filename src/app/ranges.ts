import type { Source } from '../connectors/connector.ts';
import { WaybillError } from '../model/errors.ts';
import type { FlowConfig } from './flow-config.ts';

const COPIES = 'Leave `staging` out of this flow: its batches are copied then.';

/** Why batches of a flow that asks for ranges could not be made again from them, and what comes nearest. */
export function whyNoRanges(flow: FlowConfig, source: Source): { message: string; hint: string } | undefined {
  if (flow.staging === 'copy') return undefined;
  if (flow.history !== undefined) {
    return {
      message: '`staging: range` does not go with `history`: its rows are made here, and stand in no source',
      hint: COPIES,
    };
  }
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

/** Throws PROMISE_IMPOSSIBLE before anything is begun. */
export function requireRanges(flow: FlowConfig, source: Source): void {
  const why = whyNoRanges(flow, source);
  if (why === undefined) return;
  throw new WaybillError('PROMISE_IMPOSSIBLE', `flow ${flow.name}, ${why.message}`, {
    hint: why.hint,
    ids: { flow: flow.name },
  });
}
