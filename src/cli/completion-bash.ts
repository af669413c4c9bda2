import { allCommands, type CommandWords, type OptionWords, quoted } from './completion-tree.ts';

/** A script for bash, without need of the bash-completion package. */
export function bashScript(tree: CommandWords): string {
  const valued = [tree, ...allCommands(tree)]
    .flatMap((command) => command.options)
    .filter((option) => option.takesValue);
  return [
    '# bash completion for waybill. Load it with: source <(waybill completion bash)',
    '_waybill() {',
    '  local cur prev path="" i word skip=0',
    `  cur=${wordAt('COMP_CWORD')}`,
    `  prev=${wordAt('COMP_CWORD-1')}`,
    '  COMPREPLY=()',
    '  for ((i = 1; i < COMP_CWORD; i++)); do',
    `    word=${wordAt('i')}`,
    '    if ((skip)); then skip=0; continue; fi',
    '    case "$path|$word" in',
    ...(valued.length === 0 ? [] : [`      ${valuedPatterns(valued)}) skip=1 ;;`]),
    ...allCommands(tree).map((command) => `      ${pathPattern(command)}) path=${quoted(command.path.join(' '))} ;;`),
    '    esac',
    '  done',
    '  case "$prev" in',
    ...valueCases(valued),
    '  esac',
    '  local words=""',
    '  case "$path" in',
    ...[tree, ...allCommands(tree)].map((command) => wordsCase(command, tree)),
    '  esac',
    '  COMPREPLY=($(compgen -W "$words" -- "$cur"))',
    '}',
    'complete -o default -F _waybill waybill',
    '',
  ].join('\n');
}

const wordAt = (index: string): string => `"\${COMP_WORDS[${index}]}"`;

const spellings = (option: OptionWords): string[] =>
  option.short === undefined ? [option.long] : [option.short, option.long];

const valuedPatterns = (options: readonly OptionWords[]): string =>
  [...new Set(options.flatMap(spellings))].map((name) => `*"|${name}"`).join(' | ');

function pathPattern(command: CommandWords): string {
  return `"${command.path.slice(0, -1).join(' ')}|${command.path.at(-1)}"`;
}

/** What may follow an option that takes a value; nothing is offered for one that is free text. */
function valueCases(options: readonly OptionWords[]): string[] {
  const byLong = new Map(options.map((option) => [option.long, option]));
  return [...byLong.values()].map((option) => {
    return `    ${spellings(option).join(' | ')}) COMPREPLY=(${offers(option)}); return ;;`;
  });
}

function offers(option: OptionWords): string {
  if (option.file) return '$(compgen -f -- "$cur")';
  return option.choices.length === 0 ? '' : `$(compgen -W ${quoted(option.choices.join(' '))} -- "$cur")`;
}

function wordsCase(command: CommandWords, tree: CommandWords): string {
  const options = [...command.options, ...(command === tree ? [] : tree.options)].map((option) => option.long);
  const words = [...command.children.map((child) => child.path.at(-1)!), ...options, '--help'];
  return `    ${quoted(command.path.join(' '))}) words=${quoted([...new Set(words)].join(' '))} ;;`;
}
