import { allCommands, type CommandWords, type OptionWords } from './completion-tree.ts';

/** A script for fish: `waybill completion fish > ~/.config/fish/completions/waybill.fish`. */
export function fishScript(tree: CommandWords): string {
  const lines = ['# fish completion for waybill', 'complete -c waybill -f'];
  for (const option of tree.options) lines.push(optionLine(option, ''));
  for (const command of allCommands(tree)) {
    const [name, when] = [command.path.at(-1), seen(command.path.slice(0, -1), command)];
    lines.push(`complete -c waybill -n ${when} -a ${name} -d ${fishQuoted(command.summary)}`);
    const inside = command.path.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ');
    for (const option of command.options) lines.push(optionLine(option, ` -n ${fishQuoted(inside)}`));
  }
  return `${lines.join('\n')}\n`;
}

function seen(parents: readonly string[], command: CommandWords): string {
  if (parents.length === 0) return fishQuoted('__fish_use_subcommand');
  const inside = parents.map((word) => `__fish_seen_subcommand_from ${word}`);
  return fishQuoted([...inside, `not __fish_seen_subcommand_from ${command.path.at(-1)}`].join('; and '));
}

function optionLine(option: OptionWords, condition: string): string {
  const short = option.short === undefined ? '' : ` -s ${option.short.replace(/^-/, '')}`;
  // `-r` wants a value, `-F` lets files be one, `-a` names those that there are.
  const value = option.takesValue ? ` -r${option.file ? ' -F' : ''}` : '';
  const choices = option.choices.length === 0 ? '' : ` -a ${fishQuoted(option.choices.join(' '))}`;
  const long = ` -l ${option.long.replace(/^--/, '')}`;
  return `complete -c waybill${condition}${short}${long}${value}${choices} -d ${fishQuoted(option.description)}`;
}

/** Fish knows two escapes within single quotes. */
const fishQuoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
