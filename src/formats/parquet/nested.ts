import type { SchemaTree } from 'hyparquet';
import type { ColumnType } from '../../model/columns.ts';
import { unfit } from '../columns/unfit.ts';
import { jsonOf } from '../columns/values.ts';
import { type Cell, plainOfCell } from './cells.ts';
import { columnTypeOf } from './schema.ts';

/** The node whose values are the items of a list; undefined for what is none. */
function itemOf(node: SchemaTree): SchemaTree | undefined {
  const { converted_type: converted, logical_type: logical } = node.element;
  if (converted !== 'LIST' && logical?.type !== 'LIST') return undefined;
  const repeated = node.children[0];
  // Older writers leave out the group around the item.
  return repeated?.children.length === 1 ? repeated.children[0] : repeated;
}

/** The values of a map; its keys are texts. */
function valueOfMap(node: SchemaTree): SchemaTree | undefined {
  const { converted_type: converted, logical_type: logical } = node.element;
  const isMap = converted === 'MAP' || converted === 'MAP_KEY_VALUE' || logical?.type === 'MAP';
  return isMap ? node.children[0]?.children[1] : undefined;
}

/** The type of a column that may be a group: a list of values is an array, everything else that is nested is JSON. */
export function nestedType(node: SchemaTree): ColumnType {
  if (node.children.length === 0 && node.element.repetition_type !== 'REPEATED') return columnTypeOf(node.element);
  const item = node.children.length === 0 ? node : itemOf(node);
  if (item === undefined || item.children.length > 0) return { kind: 'json' };
  return { ...columnTypeOf(item.element), array: true };
}

/** The JSON of a nested value as the reader puts it together. Throws VALUE_UNFIT. */
export function nestedJson(node: SchemaTree, value: unknown, single = false): string {
  if (value === null || value === undefined) return 'null';
  const item = itemOf(node);
  if (item !== undefined && !single) return list(value, (one) => nestedJson(item, one));
  if (node.element.repetition_type === 'REPEATED' && !single) return list(value, (one) => nestedJson(node, one, true));
  if (node.children.length === 0) {
    const type = columnTypeOf(node.element);
    return jsonOf(type, plainOfCell(type, node.element, value as Cell));
  }
  const members = value as Readonly<Record<string, unknown>>;
  const ofMap = valueOfMap(node);
  const texts = Object.keys(members).map((name) => {
    const child = ofMap ?? node.children.find(({ element }) => element.name === name);
    if (child === undefined) throw unfit('has a member that the schema does not name');
    return `${JSON.stringify(name)}:${nestedJson(child, members[name])}`;
  });
  return `{${texts.join(',')}}`;
}

function list(value: unknown, json: (item: unknown) => string): string {
  if (!Array.isArray(value)) throw unfit('is no list');
  return `[${value.map(json).join(',')}]`;
}
