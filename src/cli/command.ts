import type { Command, Option } from 'commander';
import type { Context } from './context.ts';

/**
 * One command of the command line. Its file under `commands/` is loaded when the command is asked for, so that
 * `waybill --help` loads none; `configure` only declares, and imports nothing that is slow to load.
 */
export interface CommandDefinition {
  /** Whole sentences for the command's own help, below its usage. */
  readonly description: string;
  /** The exit codes that it can end with, for its help. */
  readonly exits: readonly number[];
  /** Commands that can be copied, each with what it does. */
  readonly examples: readonly (readonly [command: string, meaning: string])[];
  /** Declares arguments, options and subcommands; binds each action with `acts`. */
  configure(command: Command, acts: Acts): void;
}

/** Makes an action out of a function that takes the context and gives the exit code. */
export type Acts = (act: (context: Context, given: Given) => Promise<number>) => (...args: unknown[]) => Promise<void>;

/** What was given on the command line, by name; unknown until it is read with one of the functions below. */
export interface Given {
  readonly words: readonly string[];
  readonly options: Readonly<Record<string, unknown>>;
}

export interface ListedCommand {
  readonly name: string;
  /** One line for `waybill --help`. */
  readonly summary: string;
  readonly group: 'Move' | 'Look' | 'Decide' | 'Set up';
  load(): Promise<CommandDefinition>;
}

export const textOption = (given: Given, name: string): string | undefined => {
  const value = given.options[name];
  return typeof value === 'string' ? value : undefined;
};
/** Of an option that may be given more words than one. */
export const textsOption = (given: Given, name: string): readonly string[] | undefined => {
  const value = given.options[name];
  return Array.isArray(value) ? value.map(String) : undefined;
};
export const numberOption = (given: Given, name: string): number | undefined => {
  const value = given.options[name];
  return typeof value === 'number' ? value : undefined;
};
export const flagOption = (given: Given, name: string): boolean => given.options[name] === true;

/** The environment variable that stands in for an option: `--empty-exit-code` is `WAYBILL_EMPTY_EXIT_CODE`. */
export function variableOf(option: Option): string {
  const name = option.long ?? option.flags;
  return `WAYBILL_${name.replace(/^--/, '').replaceAll('-', '_').toUpperCase()}`;
}
