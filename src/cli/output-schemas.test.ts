import { describe, expect, it } from 'vitest';
import { run } from './cli.ts';
import { COMMANDS } from './commands.ts';
import { worstOf } from './exit-codes.ts';
import { OUTPUTS, outputNames } from './output-schemas.ts';
import { RecordedProcess } from './recorded-process.ts';

describe('output schemas', () => {
  it('are there for every command, and name the command and a version', () => {
    for (const { name } of COMMANDS) expect(outputNames, name).toContain(name);
    for (const name of outputNames) {
      expect(OUTPUTS[name].shape.schema.value).toBe(`waybill.${name}/1`);
    }
  });

  it('are printed by `schema --output-of` as JSON Schema that allows no key it does not name', async () => {
    for (const name of outputNames) {
      const io = new RecordedProcess();
      expect(await run(['schema', '--output-of', name], io)).toBe(0);
      const schema = JSON.parse(io.stdout.text);
      expect(schema.$schema).toBe('https://json-schema.org/draft/2020-12/schema');
      expect(schema.additionalProperties, name).toBe(false);
      expect(schema.properties.schema.const).toBe(`waybill.${name}/1`);
    }
  });

  it('name what there is when an output is not known', async () => {
    const io = new RecordedProcess();
    expect(await run(['schema', '--output-of', 'nothing'], io)).toBe(2);
    expect(io.stderr.text).toContain('batches-show');
  });
});

describe('exit codes', () => {
  it.each([
    [[0, 3, 4], 4],
    [[3, 5], 5],
    [[4, 5], 4],
    [[0, 6, 3], 6],
    [[4, 130], 130],
    [[0, 0], 0],
    [[], 0],
    [[2, 4], 2],
  ])('of several windows %j speak as %d', (codes, worst) => expect(worstOf(codes)).toBe(worst));
});
