import { CommanderError } from 'commander';
import type { ProcessPort } from '../app/process.ts';
import { WaybillError } from '../model/errors.ts';
import type { Acts, CommandDefinition } from './command.ts';
import { COMMANDS } from './commands.ts';
import { Context } from './context.ts';
import { EXIT } from './exit-codes.ts';
import { buildProgram } from './program.ts';
import { renderError } from './render-error.ts';
import { type Globals, viewOf } from './view.ts';

/**
 * Carries out one command line and gives its exit code. Never throws: whatever goes wrong is rendered on stderr, in
 * one way, here.
 */
export async function run(words: readonly string[], io: ProcessPort): Promise<number> {
  const early = earlyGlobals(words, io.env);
  let context = new Context(io, early);
  try {
    const argv = withoutHelpCommand(words);
    let code: number = EXIT.ok;
    const acts: Acts =
      (act) =>
      async (...args) => {
        const command = args.at(-1) as import('commander').Command;
        context = new Context(io, command.optsWithGlobals<Globals>());
        code = await act(context, { words: command.args, options: command.opts() });
      };
    const loaded = await loadCommands(argv);
    const program = buildProgram({ commands: COMMANDS, loaded, io, view: viewOf(io, early), acts });
    if (argv.length === 0) {
      io.stderr.write(program.helpInformation());
      return EXIT.usage;
    }
    await program.parseAsync([...argv], { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok;
    return renderError(asUsage(error, words), context);
  } finally {
    await closeQuietly(context);
  }
}

/** What the command did is durable by now: a ledger that cannot be closed is worth a line, not another exit code. */
async function closeQuietly(context: Context): Promise<void> {
  try {
    await context.close();
  } catch (error) {
    renderError(error, context);
  }
}

const VALUED = new Set(['-c', '--config', '--ledger', '-o', '--output']);

/** Loads the file of the command that is asked for; of all of them where the whole tree is needed. */
async function loadCommands(words: readonly string[]): Promise<Map<string, CommandDefinition>> {
  const name = commandName(words);
  const wanted = name === 'completion' ? COMMANDS : COMMANDS.filter((listed) => listed.name === name);
  const loaded = await Promise.all(wanted.map(async (listed) => [listed.name, await listed.load()] as const));
  return new Map(loaded);
}

function commandName(words: readonly string[]): string | undefined {
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    if (VALUED.has(word)) at += 1;
    else if (!word.startsWith('-')) return word;
  }
  return undefined;
}

/** `waybill help run` is `waybill run --help`; a name that is no command is left to be complained about. */
function withoutHelpCommand(words: readonly string[]): readonly string[] {
  if (words[0] !== 'help') return words;
  const rest = words.slice(1);
  const known = rest[0] === undefined || COMMANDS.some((listed) => listed.name === rest[0]);
  return known ? [...rest, '--help'] : rest;
}

/** The options that say how an error looks, read without a parser: the error may be that parsing failed. */
function earlyGlobals(words: readonly string[], env: ProcessPort['env']): Globals {
  const at = words.findIndex((word) => word === '-o' || word === '--output');
  const joined = words.find((word) => word.startsWith('--output='))?.slice('--output='.length);
  return {
    output: joined ?? (at === -1 ? env.WAYBILL_OUTPUT : words[at + 1]),
    color: !words.includes('--no-color'),
    quiet: words.includes('-q') || words.includes('--quiet'),
    verbose: words.includes('-v') || words.includes('--verbose'),
  };
}

function asUsage(error: unknown, words: readonly string[]): unknown {
  if (!(error instanceof CommanderError)) return error;
  const [message = '', ...more] = error.message.replace(/^error: /, '').split('\n');
  const name = commandName(words);
  const known = COMMANDS.some((listed) => listed.name === name);
  const help = known ? `waybill help ${name}` : 'waybill --help';
  const suggestion = more
    .join(' ')
    .replace(/^\((.*)\)$/, '$1')
    .trim();
  return new WaybillError('USAGE', message, { hint: suggestion || `See \`${help}\`.`, ids: { command: help } });
}
