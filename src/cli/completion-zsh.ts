import { type CommandWords, type OptionWords, quoted } from './completion-tree.ts';

/** A script for zsh: put it in a folder of `fpath` as `_waybill`, or load it after `compinit`. */
export function zshScript(tree: CommandWords): string {
  return [
    '#compdef waybill',
    '# zsh completion for waybill. Load it with: source <(waybill completion zsh)',
    ...functionOf(tree, tree),
    'if [ "$funcstack[1]" = "_waybill" ]; then _waybill "$@"; else compdef _waybill waybill; fi',
    '',
  ].join('\n');
}

const nameOf = (command: CommandWords): string => ['_waybill', ...command.path].join('_');

/** One function a command; one with children hands the rest of the words to theirs. */
function functionOf(command: CommandWords, tree: CommandWords): string[] {
  const options = [...command.options, ...(command === tree ? [] : tree.options)].map(optionSpec);
  if (command.children.length === 0) {
    return [
      `${nameOf(command)}() {`,
      '  _arguments \\',
      ...options.map((spec) => `    ${spec} \\`),
      "    '*: :_files'",
      '}',
    ];
  }
  const children = command.children.map((child) => `    ${quoted(`${child.path.at(-1)}:${child.summary}`)}`);
  const cases = command.children.map((child) => `        ${child.path.at(-1)}) ${nameOf(child)} ;;`);
  return [
    ...command.children.flatMap((child) => functionOf(child, tree)),
    `${nameOf(command)}() {`,
    '  local context state state_descr line',
    '  local -a commands',
    '  typeset -A opt_args',
    '  commands=(',
    ...children,
    '  )',
    '  _arguments -C \\',
    ...options.map((spec) => `    ${spec} \\`),
    "    '1: :->command' '*:: :->rest'",
    '  case $state in',
    "    command) _describe -t commands 'command' commands ;;",
    '    rest)',
    '      case $words[1] in',
    ...cases,
    '      esac ;;',
    '  esac',
    '}',
  ];
}

function optionSpec(option: OptionWords): string {
  const text = option.description.replaceAll('[', '(').replaceAll(']', ')').replaceAll(':', '\\:');
  const value = option.file
    ? ':file:_files'
    : option.choices.length > 0
      ? `:value:(${option.choices.join(' ')})`
      : ':value:';
  const tail = quoted(`[${text}]${option.takesValue ? value : ''}`);
  if (option.short === undefined) return `${option.long}${tail}`;
  return `'(${option.short} ${option.long})'{${option.short},${option.long}}${tail}`;
}
