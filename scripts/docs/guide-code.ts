import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(fileURLToPath(new URL(path, root)), 'utf8');

/** A block of code that is taken from a file: the comment says where from, the block after it is filled in. */
const BLOCK = /<!-- code: (\S+)#(\S+) -->\n```ts\n[\s\S]*?```/g;

/** The page, with every such block as the file has it now. Throws a RangeError for a region that is not there. */
export function withCode(page: string): string {
  return read(page).replace(BLOCK, (_block, file: string, region: string) => {
    const code = regionOf(read(file), region);
    if (code === undefined) throw new RangeError(`${page} shows ${file}#${region}, which is not there`);
    return `<!-- code: ${file}#${region} -->\n\`\`\`ts\n${code}\n\`\`\``;
  });
}

function regionOf(text: string, region: string): string | undefined {
  const lines = text.split('\n');
  const from = lines.indexOf(`// #region ${region}`);
  const to = lines.indexOf('// #endregion', from);
  return from < 0 || to < 0
    ? undefined
    : lines
        .slice(from + 1, to)
        .join('\n')
        .trim();
}
