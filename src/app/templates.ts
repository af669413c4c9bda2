import type { Parameter, Window } from '../model/window.ts';
import { dayOf, dayText } from './calendar.ts';
import type { ParameterSetting } from './flow-file.ts';
import type { Cut } from './windows.ts';

/**
 * Parameters of a source that the flow file names: plain values, or a template with one filter
 * (`"{{ window.start | date }}"`). A template picks a value and a type for it; it is no expression language, so a flow
 * file can never compute with what it is given.
 */
export interface TemplateContext {
  readonly cut: Cut;
  readonly window: Window;
  readonly flow: string;
}

export type ParameterMaker = (context: TemplateContext) => Parameter;

const TEMPLATE = /^\s*\{\{\s*([a-z_.]+)\s*(?:\|\s*([a-z_]+)\s*)?\}\}\s*$/;

const PICKS: Readonly<Record<string, (context: TemplateContext) => string | undefined>> = {
  'window.start': ({ window }) => window.start,
  'window.end': ({ window }) => window.end,
  'window.name': ({ window }) => window.name,
  'flow.name': ({ flow }) => flow,
};

type Filter = (value: string, cut: Cut) => Parameter['value'];
const ofTime =
  (make: (atMs: number, cut: Cut) => Parameter['value']): Filter =>
  (value, cut) =>
    make(Date.parse(value), cut);

const FILTERS: Readonly<
  Record<string, { readonly type: Parameter['type']; readonly times: boolean; readonly make: Filter }>
> = {
  date: { type: 'date', times: true, make: ofTime((at, cut) => dayText(dayOf(cut.timezone, at))) },
  timestamp: { type: 'timestamp', times: true, make: (value) => value },
  epoch: { type: 'integer', times: true, make: ofTime((at) => Math.floor(at / 1000)) },
  epoch_ms: { type: 'integer', times: true, make: ofTime((at) => at) },
  year: { type: 'integer', times: true, make: ofTime((at, cut) => dayOf(cut.timezone, at).year) },
  month: { type: 'integer', times: true, make: ofTime((at, cut) => dayOf(cut.timezone, at).month) },
  day: { type: 'integer', times: true, make: ofTime((at, cut) => dayOf(cut.timezone, at).day) },
  text: { type: 'text', times: false, make: (value) => value },
};

/** Makes the parameter of each window, or says what is wrong with the setting. */
export function parameterMaker(setting: ParameterSetting): ParameterMaker | { readonly wrong: string } {
  if (typeof setting === 'object') {
    const { type } = setting;
    const value = spelled(type, setting.value);
    const wrong = misfit(type, value);
    return wrong === undefined ? () => ({ type, value }) : { wrong };
  }
  if (typeof setting === 'boolean') return () => ({ type: 'boolean', value: setting });
  if (typeof setting === 'number')
    return () => ({ type: Number.isSafeInteger(setting) ? 'integer' : 'number', value: setting });
  return setting.includes('{{') ? templateMaker(setting) : () => ({ type: 'text', value: setting });
}

function templateMaker(text: string): ParameterMaker | { readonly wrong: string } {
  const [, path, named] = TEMPLATE.exec(text) ?? [];
  if (/\{\{\s*env\b/.test(text)) return { wrong: 'templates do not see the environment; write ${NAME} instead' };
  if (path === undefined) return { wrong: 'a template is the whole value and looks like "{{ window.start | date }}"' };
  const pick = PICKS[path];
  if (pick === undefined) return { wrong: `a template can pick ${Object.keys(PICKS).join(', ')}; not ${path}` };
  const isTime = path === 'window.start' || path === 'window.end';
  const filter = FILTERS[named ?? (isTime ? 'timestamp' : 'text')];
  if (filter === undefined) return { wrong: `a template can end in ${Object.keys(FILTERS).join(', ')}; not ${named}` };
  if (filter.times && !isTime) return { wrong: `${path} is text, and ${named} is for times` };
  return (context) => {
    const value = pick(context);
    return { type: filter.type, value: value === undefined ? null : filter.make(value, context.cut) };
  };
}

/** What comes out of the environment is text: where the type is said, it is what the text spells. */
function spelled(type: Parameter['type'], value: string | number | boolean): string | number | boolean {
  if (typeof value !== 'string') return value;
  const text = value.trim();
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  const pattern = { integer: /^-?\d+$/, number: /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i }[type as string];
  return pattern?.test(text) === true ? Number(text) : value;
}

function misfit(type: Parameter['type'], value: string | number | boolean): string | undefined {
  const fits: Readonly<Record<Parameter['type'], boolean>> = {
    date: typeof value === 'string' && /^\d{4}-\d\d-\d\d$/.test(value) && !Number.isNaN(Date.parse(value)),
    timestamp: typeof value === 'string' && /^\d{4}-\d\d-\d\dT/.test(value) && !Number.isNaN(Date.parse(value)),
    text: typeof value === 'string',
    integer: Number.isSafeInteger(value),
    number: typeof value === 'number' && Number.isFinite(value),
    boolean: typeof value === 'boolean',
  };
  return fits[type] ? undefined : `${JSON.stringify(value)} is not of the type ${type}`;
}
