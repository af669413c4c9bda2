import type { CommandDefinition } from '../command.ts';
import { bashScript } from '../completion-bash.ts';
import { fishScript } from '../completion-fish.ts';
import { type CommandWords, commandTree } from '../completion-tree.ts';
import { zshScript } from '../completion-zsh.ts';
import { EXIT } from '../exit-codes.ts';
import type { OutputOf } from '../output-schemas.ts';
import { usage } from '../read-words.ts';

const SHELLS: Readonly<Record<string, (tree: CommandWords) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};

export const completion: CommandDefinition = {
  description:
    'Prints a script that completes commands, options and their values in a shell. It starts no process when a word ' +
    'is completed.',
  exits: [0, 2],
  examples: [
    ['source <(waybill completion bash)', 'in ~/.bashrc'],
    ['source <(waybill completion zsh)', 'in ~/.zshrc, after compinit'],
    ['waybill completion fish > ~/.config/fish/completions/waybill.fish', 'once'],
  ],
  configure(command, acts) {
    command.argument('<shell>', `one of ${Object.keys(SHELLS).join(', ')}`).action(
      acts(async (context, given) => {
        const [shell = ''] = given.words;
        const script = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined;
        if (script === undefined)
          throw usage(`no completion for ${JSON.stringify(shell)}`, 'There is bash, zsh and fish.');
        const tree = commandTree(command.parent!);
        const document: OutputOf<'completion'> = { schema: 'waybill.completion/1', shell, script: script(tree) };
        context.show(document, () => [document.script.trimEnd()]);
        return EXIT.ok;
      }),
    );
  },
};
