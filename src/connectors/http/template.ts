import { WaybillError } from '../../model/errors.ts';

/**
 * Puts values into a path: `/jobs/{{ handle }}`. Values come from records and replies, so each stays one segment:
 * slashes and the like are spelled with percent signs, and a segment of dots, which would climb, is refused.
 */
export function fill(path: string, values: Readonly<Record<string, string>>): string {
  return path.replaceAll(/\{\{\s*([A-Za-z.]+)\s*\}\}/g, (_hole, name: string) => {
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    if (value === undefined)
      throw new WaybillError('CONFIG_INVALID', `${path}: nothing is known as {{ ${name} }} here`);
    if (!isSegment(value)) throw new WaybillError('CONFIG_INVALID', `${path}: {{ ${name} }} is no usable segment`);
    return encodeURIComponent(value);
  });
}

/** Whether a path has a place for this value. */
export const holdsName = (path: string, name: string): boolean =>
  [...path.matchAll(/\{\{\s*([A-Za-z.]+)\s*\}\}/g)].some(([, found]) => found === name);

/** Whether a value can be one segment of a path: half a character has no form there, and dots would climb. */
export const isSegment = (value: string): boolean => !/^\.{0,2}$/.test(value) && !/\p{Surrogate}/u.test(value);
