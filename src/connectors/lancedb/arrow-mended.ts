import type * as Arrow from 'apache-arrow';

interface Assembler {
  visitBool(data: Arrow.Data): unknown;
}
const mended = new WeakSet<Assembler>();

/**
 * Arrow writes a column of booleans without its bytes when all of them are null, and LanceDB then refuses the batch.
 * Here such a column is written like any other. `assembler`: the prototype of what Arrow writes columns with.
 */
export function mendBooleans(assembler: Assembler): void {
  if (mended.has(assembler)) return;
  mended.add(assembler);
  const known = assembler.visitBool;
  assembler.visitBool = function visitBool(data) {
    if (data.length === 0 || data.nullCount < data.length) return known.call(this, data);
    // The true count of nulls has been written by then; this one only leads past the shortcut.
    const values = new Uint8Array(Math.ceil(data.length / 8));
    const whole = { nullCount: { value: data.length - 1 }, offset: { value: 0 }, values: { value: values } };
    return known.call(this, Object.create(data, whole) as Arrow.Data);
  };
}
