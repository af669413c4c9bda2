import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { run } from './cli.ts';
import { COMMANDS } from './commands.ts';
import { type RecordedOptions, RecordedProcess } from './recorded-process.ts';

async function waybill(words: readonly string[], options: RecordedOptions = {}) {
  const io = new RecordedProcess(options);
  const code = await run(words, io);
  return { code, out: io.stdout.text, err: io.stderr.text, io };
}

describe('help', () => {
  it('lists every command with its summary', async () => {
    const { code, out } = await waybill(['--help']);
    expect(code).toBe(0);
    for (const { name } of COMMANDS) expect(out).toMatch(new RegExp(`^ {2}${name} +\\S`, 'm'));
  });

  it('fits 80 columns in a pipe', async () => {
    for (const { name } of COMMANDS) {
      const { out } = await waybill(['help', name]);
      const long = out.split('\n').filter((line) => line.length > 80 && !/^ {2}(source|waybill) /.test(line));
      expect(long, name).toEqual([]);
    }
  });

  it('names exit codes, an example and a variable for every option of every command', async () => {
    for (const { name } of COMMANDS) {
      const { code, out } = await waybill(['help', name]);
      expect(code).toBe(0);
      expect(out).toContain('Exit codes:\n  0 ');
      expect(out).toContain('Examples:\n');
      const options = [...out.matchAll(/^ {2}(?:-\w, )?--([a-z-]+)/gm)].map(([, option]) => option!);
      for (const option of options.filter((each) => each !== 'help' && each !== 'version')) {
        expect(out, `${name} --${option}`).toContain(`[WAYBILL_${option.replaceAll('-', '_').toUpperCase()}]`);
      }
    }
  });

  it('is the same by `help run` and by `run --help`', async () => {
    expect((await waybill(['help', 'run'])).out).toBe((await waybill(['run', '--help'])).out);
  });

  it('goes to stderr with exit code 2 when no command is given', async () => {
    const { code, out, err } = await waybill([]);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain('Usage: waybill');
  });

  it('prints the version of the package', async () => {
    expect((await waybill(['--version'])).out).toMatch(/^\d+\.\d+\.\d+/);
  });
});

describe('the command line', () => {
  it('suggests the command that was meant', async () => {
    const { code, err } = await waybill(['statsu']);
    expect(code).toBe(2);
    expect(err).toContain("unknown command 'statsu'");
    expect(err).toContain('Did you mean status?');
  });

  it('suggests the option that was meant', async () => {
    const { code, err } = await waybill(['run', 'x', '--refersh']);
    expect(code).toBe(2);
    expect(err).toContain('Did you mean --refresh?');
  });

  it('refuses a value that an option does not know', async () => {
    const { code, err } = await waybill(['check', '--output', 'yaml']);
    expect(code).toBe(2);
    expect(err).toContain('Allowed choices are text, json');
  });

  it('refuses words that are too many', async () => {
    expect((await waybill(['cancel', 'r1', 'r2'])).code).toBe(2);
  });

  it('takes an option from its environment variable, and a word before the variable', async () => {
    const json = await waybill(['completion', 'bash'], { env: { WAYBILL_OUTPUT: 'json' } });
    expect(JSON.parse(json.out).schema).toBe('waybill.completion/1');
    const text = await waybill(['completion', 'bash', '-o', 'text'], { env: { WAYBILL_OUTPUT: 'json' } });
    expect(text.out).toMatch(/^# bash completion/);
  });

  it('takes 0 and false in a variable for a no, and complains of a value that is not allowed', async () => {
    const quiet = await waybill(['nonsense'], { env: { WAYBILL_VERBOSE: '0' } });
    expect(quiet.err).not.toContain('cause');
    const wrong = await waybill(['completion', 'bash'], { env: { WAYBILL_OUTPUT: 'xml' } });
    expect(wrong.code).toBe(2);
    expect(wrong.err).toContain('WAYBILL_OUTPUT is "xml"');
  });

  it('knows the command behind a global option and its value', async () => {
    expect((await waybill(['--config', 'run', 'completion', 'bash'])).code).toBe(0);
  });
});

describe('completion', () => {
  const complete = (script: string, line: string): string[] => {
    const words = line.split(' ');
    const set = `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}`;
    const text = execFileSync('bash', ['-c', `${script}\n${set}; _waybill; printf '%s\\n' "\${COMPREPLY[@]}"`]);
    return text
      .toString()
      .split('\n')
      .filter((word) => word !== '');
  };

  it('completes commands, subcommands, options and values in bash', async () => {
    const { out } = await waybill(['completion', 'bash']);
    expect(complete(out, 'waybill re')).toEqual(['records', 'retry', 'resume']);
    expect(complete(out, 'waybill batches sh')).toEqual(['show']);
    expect(complete(out, 'waybill batches show --pay')).toEqual(['--payload', '--payload-to']);
    expect(complete(out, 'waybill run x --ref')).toEqual(['--refresh']);
    expect(complete(out, 'waybill --output j')).toEqual(['json']);
    expect(complete(out, 'waybill --config run stat')).toEqual(['status', 'state']);
  });

  it('names every command in the scripts for zsh and fish', async () => {
    for (const shell of ['zsh', 'fish']) {
      const { out } = await waybill(['completion', shell]);
      for (const { name } of COMMANDS) expect(out).toContain(name);
      expect(out).toContain('payload-to');
    }
  });

  it('refuses a shell that it does not know', async () => {
    expect((await waybill(['completion', 'tcsh'])).code).toBe(2);
  });
});
