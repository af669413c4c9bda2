import { Command, Option } from 'commander';
import { type ProcessPort, packageVersion } from '../app/process.ts';
import { type Acts, type CommandDefinition, type ListedCommand, variableOf } from './command.ts';
import { EXIT_MEANINGS } from './exit-codes.ts';
import { wrapText } from './table.ts';
import type { View } from './view.ts';

export interface ProgramAsk {
  readonly commands: readonly ListedCommand[];
  /** The commands whose files are loaded; the others are names in the help. */
  readonly loaded: ReadonlyMap<string, CommandDefinition>;
  readonly io: ProcessPort;
  readonly view: View;
  readonly acts: Acts;
}

/** The tree of commands, as commander has it. Parsing throws CommanderErrors and ends no process. */
export function buildProgram(ask: ProgramAsk): Command {
  const program = new Command('waybill');
  prepare(program, ask);
  program
    .description('Moves records from any source to any sink, and says of every record where it is and why.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .addHelpCommand(helpCommand())
    .addHelpText('after', '\nEach command has its own help: `waybill help run`. Exit codes are listed there.');
  for (const option of globalOptions()) program.addOption(option);
  for (const listed of ask.commands) addCommand(program, listed, ask);
  applyVariables(program, ask.io.env);
  return program;
}

const helpCommand = (): Command =>
  new Command('help').argument('[command]').summary('show the help of a command').helpGroup('Set up:');

function globalOptions(): Option[] {
  return [
    new Option('-c, --config <file>', 'the flow file; else waybill.yaml here or in a folder above'),
    new Option('--ledger <path>', 'the ledger, a path or postgres://…; else .waybill/ledger.db beside the flow file'),
    new Option('-o, --output <form>', 'how results are written').choices(['text', 'json']).default('text'),
    new Option('--no-color', 'no colours (also NO_COLOR)'),
    new Option('-q, --quiet', 'no talk on stderr but errors'),
    new Option('-v, --verbose', 'more talk: the causes of errors, notices'),
    new Option('--no-input', 'never ask anything'),
  ];
}

function addCommand(program: Command, listed: ListedCommand, ask: ProgramAsk): void {
  const command = program.command(listed.name).summary(listed.summary).helpGroup(`${listed.group}:`);
  const definition = ask.loaded.get(listed.name);
  if (definition === undefined) return;
  command.description(definition.description);
  definition.configure(command, ask.acts);
  command.addHelpText('after', () => afterHelp(definition, ask.view));
  for (const each of [command, ...command.commands]) {
    prepare(each, ask);
    applyVariables(each, ask.io.env);
  }
}

/** Help in the width and colours of the screen; errors thrown, not printed: `cli.ts` renders them all in one way. */
function prepare(command: Command, ask: ProgramAsk): void {
  const { view, io } = ask;
  command
    .exitOverride()
    .configureOutput({ writeOut: (text) => void io.stdout.write(text), writeErr: () => {}, outputError: () => {} })
    .configureHelp({
      showGlobalOptions: true,
      helpWidth: Math.min(view.width, 100),
      styleTitle: (title) => view.paint.bold(title),
      optionDescription: describeOption,
      subcommandDescription: (each) => each.summary() || each.description(),
    });
}

function describeOption(option: Option): string {
  const parts = [option.description];
  if (option.argChoices !== undefined) parts.push(`(${option.argChoices.join(', ')})`);
  if (option.defaultValue !== undefined && option.defaultValue !== true) {
    parts.push(`(default: ${option.defaultValueDescription ?? String(option.defaultValue)})`);
  }
  if (hasVariable(option)) parts.push(`[${variableOf(option)}]`);
  return parts.join(' ');
}

const hasVariable = (option: Option): boolean => option.long !== '--help' && option.long !== '--version';

/**
 * Gives options the values of their environment variables, before the words are parsed, so that a word wins. Not
 * commander's own `env`: that one reads the environment of the process itself, and takes WAYBILL_QUIET=0 for a yes.
 */
function applyVariables(command: Command, env: ProcessPort['env']): void {
  for (const option of command.options) {
    const value = env[variableOf(option)];
    if (!hasVariable(option) || value === undefined || value === '') continue;
    if (option.required || option.optional) {
      checkChoice(command, option, value);
      command.setOptionValueWithSource(option.attributeName(), value, 'env');
    } else if (!/^(0|false|no|off)$/i.test(value)) {
      command.setOptionValueWithSource(option.attributeName(), !option.negate, 'env');
    }
  }
}

function checkChoice(command: Command, option: Option, value: string): void {
  if (option.argChoices === undefined || option.argChoices.includes(value)) return;
  command.error(`${variableOf(option)} is ${JSON.stringify(value)}; allowed are ${option.argChoices.join(', ')}`);
}

function afterHelp(definition: CommandDefinition, view: View): string {
  const exits = definition.exits.flatMap((code) => {
    const [first = '', ...rest] = wrapText(EXIT_MEANINGS[code] ?? '', Math.min(view.width, 100) - 7);
    return [`  ${String(code).padEnd(4)} ${first}`, ...rest.map((line) => `       ${line}`)];
  });
  const examples = definition.examples.flatMap(([command, meaning]) => [`  ${command}`, `      ${meaning}`]);
  const parts = [view.paint.bold('Exit codes:'), ...exits];
  if (examples.length > 0) parts.push('', view.paint.bold('Examples:'), ...examples);
  return `\n${parts.join('\n')}`;
}
