// Changes sources while they are bundled. A text that is to be replaced has to be there exactly once: a plant that a
// refactoring has made meaningless is an error, not a bug that was not found.
export function plantPlugin({ name, edits }) {
  const done = new Map(edits.map((edit) => [edit, 0]));
  return {
    plugin: {
      name: 'plant',
      transform(code, id) {
        let changed = code;
        for (const edit of edits) {
          if (!id.endsWith(`/src/${edit.file}`)) continue;
          const parts = changed.split(edit.find);
          if (parts.length !== 2)
            throw new Error(`plant "${name}": ${parts.length - 1} places in ${edit.file} instead of one`);
          changed = parts.join(edit.replace);
          done.set(edit, done.get(edit) + 1);
        }
        return changed === code ? null : { code: changed };
      },
    },
    /** Throws when a file that was to be changed is not part of the bundle. */
    checkApplied() {
      for (const [edit, times] of done) {
        if (times !== 1) throw new Error(`plant "${name}": ${edit.file} was changed ${times} times`);
      }
    },
  };
}
