import { describe, expect, it } from 'vitest';
import { ERROR_CODES, type ErrorCode } from '../model/error-codes.ts';
import { WaybillError } from '../model/errors.ts';
import { Context } from './context.ts';
import { OUTPUTS } from './output-schemas.ts';
import { RecordedProcess } from './recorded-process.ts';
import { renderError } from './render-error.ts';
import type { Globals } from './view.ts';

function render(error: unknown, globals: Globals = {}, env: Record<string, string> = {}) {
  const io = new RecordedProcess({ env });
  const code = renderError(error, new Context(io, globals));
  expect(io.stdout.text).toBe('');
  return { code, text: io.stderr.text };
}

const unknownKey = new WaybillError('CONFIG_INVALID', 'flows.roket: unknown key "recordPerBatch"', {
  hint: 'Did you mean maxRecords?',
  ids: { place: 'waybill.yaml:12:5', flow: 'roket' },
});

describe('errors', () => {
  it('say what happened, where, what to do, a command to copy, the code and its page', () => {
    expect(render(unknownKey).text).toBe(
      [
        'error: flows.roket: unknown key "recordPerBatch"',
        '  where waybill.yaml:12:5',
        '  what  flow roket',
        '  do    Did you mean maxRecords?',
        '  try   waybill check',
        '  code  CONFIG_INVALID (exit 2), docs/reference/errors/CONFIG_INVALID.md',
        '',
      ].join('\n'),
    );
  });

  it('of every code have a hint, its exit code and a page, in 80 columns', () => {
    for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
      const rendered = render(new WaybillError(code, 'something happened'));
      expect(rendered.code).toBe(ERROR_CODES[code].exit);
      expect(rendered.text.replace(/\s+/g, ' ')).toContain(ERROR_CODES[code].hint);
      expect(rendered.text).toContain(`docs/reference/errors/${code}.md`);
      expect(rendered.text.split('\n').filter((line) => line.length > 80)).toEqual([]);
    }
  });

  it('keep the flow file and the ledger in the command to copy', () => {
    const { text } = render(unknownKey, { config: 'my flows.yaml', ledger: '/var/l.db' });
    expect(text).toContain(`try   waybill check --config 'my flows.yaml' --ledger /var/l.db\n`);
  });

  it('show causes with --verbose only', () => {
    const error = new WaybillError('SINK_AWAY', 'the sink is away', { cause: new Error('ECONNREFUSED 127.0.0.1:9') });
    expect(render(error).text).not.toContain('ECONNREFUSED');
    expect(render(error, { verbose: true }).text).toContain('cause Error: ECONNREFUSED 127.0.0.1:9');
  });

  it('are one JSON object on stderr in JSON mode, valid against the published schema', () => {
    const { text } = render(unknownKey, { output: 'json' });
    expect(text.split('\n')).toHaveLength(2);
    const document = OUTPUTS.error.parse(JSON.parse(text));
    expect(document).toMatchObject({
      code: 'CONFIG_INVALID',
      exitCode: 2,
      where: 'waybill.yaml:12:5',
      command: 'waybill check',
    });
  });

  it('that nobody foresaw keep their message and end with 1', () => {
    const { code, text } = render(new TypeError('x is not a function'));
    expect(code).toBe(1);
    expect(text).toContain('x is not a function');
    expect(text).toContain('UNEXPECTED');
  });

  it('cannot steer the terminal', () => {
    const evil = new WaybillError('REFUSED', 'bad\u001b[2J\u0007 \u202egnp.exe', { ids: { key: '\u001b]0;x\u0007' } });
    const { text } = render(evil);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    expect(text).toContain('\\u001b[2J');
  });
});
