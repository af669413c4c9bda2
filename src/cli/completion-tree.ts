import type { Command, Option } from 'commander';

/** The tree of commands as a shell needs it to complete words. */
export interface CommandWords {
  /** Empty for the program itself; `batches show` is two. */
  readonly path: readonly string[];
  readonly summary: string;
  readonly options: readonly OptionWords[];
  readonly children: readonly CommandWords[];
}

export interface OptionWords {
  readonly short?: string;
  readonly long: string;
  readonly description: string;
  readonly takesValue: boolean;
  readonly choices: readonly string[];
  /** The value is the name of a file. */
  readonly file: boolean;
}

export function commandTree(command: Command, path: readonly string[] = []): CommandWords {
  return {
    path,
    summary: command.summary() || command.description(),
    options: command.options.filter((option) => !option.hidden).map(optionWords),
    children: command.commands.map((child) => commandTree(child, [...path, child.name()])),
  };
}

function optionWords(option: Option): OptionWords {
  return {
    ...(option.short === undefined ? {} : { short: option.short }),
    long: option.long ?? option.flags,
    description: option.description,
    takesValue: option.required || option.optional,
    choices: option.argChoices ?? [],
    file: /<(file|path)>/.test(option.flags),
  };
}

/** The program's own options count for every command. */
export function allCommands(tree: CommandWords): CommandWords[] {
  return tree.children.flatMap((child) => [child, ...allCommands(child)]);
}

/** Text between single quotes for a POSIX shell and for fish. */
export const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
