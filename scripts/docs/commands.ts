import { Command } from 'commander';
import type { CommandDefinition, ListedCommand } from '../../src/cli/command.ts';

/** The page of all commands, made from the definitions that also make their help. */
export async function commandsPage(listed: readonly ListedCommand[]): Promise<string> {
  const rows = listed.map(({ name, summary }) => `| [${name}](#waybill-${name}) | ${summary} |`);
  const parts: string[] = [];
  for (const one of listed) parts.push(commandPart(one.name, await one.load()));
  return `# Commands

\`waybill help COMMAND\` shows the same. Every option has a twin in the environment: \`--empty-exit-code\` is
\`WAYBILL_EMPTY_EXIT_CODE\`. Results go to stdout, as JSON with \`--output json\`; talk goes to stderr.

| command | |
|---|---|
${rows.join('\n')}

${parts.join('\n\n')}
`;
}

function commandPart(name: string, definition: CommandDefinition): string {
  const command = new Command(name);
  definition.configure(command, () => async () => {});
  const parts = [`## waybill ${name}`, definition.description];
  const tables = [usageOf(command, 'waybill'), ...command.commands.map((one) => usageOf(one, `waybill ${name}`))];
  parts.push(...tables);
  if (definition.examples.length > 0) {
    const width = Math.max(...definition.examples.map(([line]) => line.length));
    const lines = definition.examples.map(([line, what]) => `${line.padEnd(width)}   # ${what}`);
    parts.push(`\`\`\`sh\n${lines.join('\n')}\n\`\`\``);
  }
  parts.push(`Ends with ${definition.exits.join(', ')}: see [exit codes](exit-codes.md).`);
  return parts.join('\n\n');
}

function usageOf(command: Command, above: string): string {
  const words = command.registeredArguments.map((argument) => {
    const word = argument.variadic ? `${argument.name()}...` : argument.name();
    return argument.required ? ` <${word}>` : ` [${word}]`;
  });
  const given = [
    ...command.registeredArguments.map((argument) => [argument.name(), argument.description] as const),
    ...command.options.map((option) => [option.flags, option.description] as const),
  ];
  const usage = `\`${above} ${command.name()}${words.join('')}${command.options.length > 0 ? ' [options]' : ''}\``;
  if (given.length === 0) return usage;
  const rows = given.map(([flags, text]) => `| \`${flags}\` | ${text.replaceAll('|', '\\|')} |`);
  return `${usage}\n\n| | |\n|---|---|\n${rows.join('\n')}`;
}
