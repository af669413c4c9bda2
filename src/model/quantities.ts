/** What people write for times and sizes, in flow files and on the command line, and what it comes to. */

const TIME_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  sec: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const SIZE_UNITS: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

const written = (units: object): RegExp =>
  new RegExp(`^([0-9]{1,15}(?:\\.[0-9]{1,3})?) ?(${Object.keys(units).join('|')})$`);
/** How durations and sizes are spelled: a number, and the unit behind it. */
export const DURATION = written(TIME_UNITS);
export const SIZE = written(SIZE_UNITS);

/** `30s`, `5m`, `24h`, `1.5d` in milliseconds; undefined when the text is no duration. */
export const parseDuration = (text: string): number | undefined => measure(DURATION.exec(text.trim()), TIME_UNITS);

/** `1MB` (10^6: the smaller reading of a limit is safe), `1MiB` (2^20) in bytes; undefined when it is no size. */
export const parseSize = (text: string): number | undefined => measure(SIZE.exec(text.trim()), SIZE_UNITS);

function measure(match: RegExpExecArray | null, units: Readonly<Record<string, number>>): number | undefined {
  const unit = units[match?.[2] ?? ''];
  return match === null || unit === undefined ? undefined : Math.round(Number(match[1]) * unit);
}
