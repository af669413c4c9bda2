import { at, type RejectRule, type ShapeName } from './behaviour.ts';

export interface Replied {
  readonly status: number;
  readonly body: unknown;
}

/** What became of the records of one request. */
export interface Outcome {
  readonly records: readonly unknown[];
  /** By place. */
  readonly refused: ReadonlyMap<number, RejectRule>;
  /** The number of the request: part of the ids that are given out. */
  readonly nth: number;
}

/** Shapes in which one bad record fails the request. */
export const rejectsWhole = (shape: ShapeName): boolean => shape === 'meta';

/** A reply in the documented form of the API that the shape is named after. */
export function replyOf(shape: ShapeName, outcome: Outcome): Replied {
  const { records, refused, nth } = outcome;
  const bad = [...refused].map(([index, rule]) => ({ index, rule, record: records[index] }));
  switch (shape) {
    case 'rokt':
      return {
        status: 200,
        body: { data: { unprocessedRecords: bad.map(({ rule, record }) => ({ error: words(rule), record })) } },
      };
    case 'mparticle':
      return { status: 202, body: undefined };
    case 'salesforce':
      return { status: 200, body: records.map((_, index) => salesforceResult(nth, index, refused.get(index))) };
    case 'hubspot':
      return hubspotReply(outcome);
    case 'braze': {
      const errors = bad.map(({ index, rule }) => ({ type: rule.message, input_array: 'events', index }));
      return { status: 201, body: { message: 'success', ...(errors.length > 0 ? { errors } : {}) } };
    }
    case 'meta':
      return bad[0] === undefined
        ? { status: 200, body: { events_received: records.length, fbtrace_id: `f-${nth}` } }
        : { status: 400, body: { error: { message: bad[0].rule.message, type: 'OAuthException', code: 100 } } };
    case 'counts':
      return { status: 200, body: { data: { accepted: records.length - bad.length, rejected: bad.length } } };
    case 'none':
      return { status: 204, body: undefined };
  }
}

const words = (rule: RejectRule) => ({ code: rule.code, message: rule.message });

function salesforceResult(nth: number, index: number, rule: RejectRule | undefined): unknown {
  if (rule === undefined) return { id: `001${nth}-${index}`, success: true, errors: [] };
  return { success: false, errors: [{ statusCode: rule.code, message: rule.message, fields: [] }] };
}

function hubspotReply({ records, refused, nth }: Outcome): Replied {
  const trace = (record: unknown) => at(record, 'objectWriteTraceId');
  const results = records.flatMap((record, index) =>
    refused.has(index)
      ? []
      : [{ id: `${nth}${index}`, objectWriteTraceId: trace(record), properties: at(record, 'properties') ?? {} }],
  );
  if (refused.size === 0) return { status: 201, body: { status: 'COMPLETE', results } };
  const errors = [...refused].map(([index, rule]) => ({
    status: 'error',
    category: rule.code,
    message: rule.message,
    context: { objectWriteTraceId: [trace(records[index])] },
  }));
  return { status: 207, body: { status: 'COMPLETE', results, numErrors: errors.length, errors } };
}

/** The same reply, but it does not fit what was sent: one result too few, a name or a place that nobody sent. */
export function lieOf(shape: ShapeName, outcome: Outcome): Replied {
  const honest = replyOf(shape, outcome);
  const stranger = { code: 'Strange', message: 'of another request' };
  switch (shape) {
    case 'rokt':
      return { status: 200, body: { data: { unprocessedRecords: [{ error: stranger, record: { stranger: true } }] } } };
    case 'salesforce':
      return { ...honest, body: (honest.body as unknown[]).slice(1) };
    case 'hubspot': {
      const body = honest.body as { results: unknown[] };
      return {
        ...honest,
        body: { ...body, results: [...body.results.slice(1), { id: '0', objectWriteTraceId: 'nobody' }] },
      };
    }
    case 'braze':
      return { status: 201, body: { message: 'success', errors: [{ type: 'x', input_array: 'events', index: 1e6 }] } };
    case 'meta':
      return { status: 200, body: { events_received: outcome.records.length + 1 } };
    case 'counts':
      return { status: 200, body: { data: { accepted: outcome.records.length + 1, rejected: 0 } } };
    case 'mparticle':
    case 'none':
      return honest;
  }
}
