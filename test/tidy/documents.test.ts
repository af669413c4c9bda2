import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { GENERATED_FOLDERS, generatedPages } from '../../scripts/docs/pages.ts';
import { EXIT_MEANINGS } from '../../src/cli/exit-codes.ts';
import { importsOf, packageOf } from './imports.ts';
import { fits } from './rooms.ts';
import { parseFile } from './source.ts';
import { isCode, isTest, projectFiles, readText } from './tree.ts';

const files = projectFiles();
const pages = files.filter((path) => path.endsWith('.md'));

interface PackageJson {
  readonly exports: Readonly<Record<string, { readonly default: string }>>;
  readonly bin: { readonly waybill: string };
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional: boolean }>>;
  readonly allowScripts: Readonly<Record<string, boolean>>;
}
const manifest = JSON.parse(readText('package.json')) as PackageJson;

/** What connectors can do is found by running every suite that they have to pass. */
const ALL_SUITES_MS = 120_000;

describe('pages that are made', () => {
  it(
    'are what `npm run docs` makes',
    async () => {
      const stale = [...(await generatedPages())].filter(
        ([path, text]) => !files.includes(path) || readText(path) !== text,
      );
      expect(
        stale.map(([path]) => path),
        'run `npm run docs`: errors, exit codes and glossary have one source',
      ).toEqual([]);
    },
    ALL_SUITES_MS,
  );

  it('stand alone in their folders', async () => {
    const made = await generatedPages();
    const extra = files.filter((path) => GENERATED_FOLDERS.some((f) => path.startsWith(`${f}/`)) && !made.has(path));
    expect(extra, 'a page that nothing makes any more describes something that is gone').toEqual([]);
  });
});

describe('the package', () => {
  it('exports only what is built from a source that is there', () => {
    const missing = Object.entries(manifest.exports).flatMap(([name, target]) => {
      const source = target.default.replace('./dist/', 'src/').replace(/\.js$/, '.ts');
      return files.some((path) => fits(path, source)) ? [] : [`${name}: ${source}`];
    });
    expect(missing).toEqual([]);
  });

  it('has its entry point where the command is said to be', () => {
    expect(files).toContain(manifest.bin.waybill.replace('dist/', 'src/').replace(/\.js$/, '.ts'));
  });
});

describe('dependencies', () => {
  const reasons = readText('docs/dependencies.md')
    .split('\n')
    .flatMap((line) => /^\| `([^`]+)` \|.*\| (.{15,}) \|$/.exec(line)?.[1] ?? []);
  const needed = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies, ...manifest.devDependencies });

  it('each have a line of reason, and no line speaks of one that is gone', () => {
    expect([...reasons].sort(), 'docs/dependencies.md: one row for each package').toEqual([...new Set(needed)].sort());
  });

  // The suites for others' connectors need what those are developed with.
  const used = new Set(
    files
      .filter((path) => path.startsWith('src/') && !path.startsWith('src/testing/') && isCode(path) && !isTest(path))
      .flatMap((path) => importsOf(parseFile(path)).map((one) => one.specifier))
      .filter((specifier) => !specifier.startsWith('.') && !specifier.startsWith('node:'))
      .map(packageOf),
  );

  it('needed to run are imported by something that is shipped', () => {
    const idle = Object.keys(manifest.dependencies).filter((name) => !used.has(name));
    expect(idle, 'whoever installs Waybill pays for each package').toEqual([]);
  });

  it('that something shipped imports are installed with it, or bundled into it', () => {
    const bundled = JSON.parse(readText('scripts/bundled.json')) as string[];
    const there = new Set([...Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies }), ...bundled]);
    expect([...used].filter((name) => !there.has(name))).toEqual([]);
    expect(
      bundled.filter((name) => !used.has(name)),
      'bundled and not used',
    ).toEqual([]);
  });

  it('that are optional are marked so, and stand among those of development for the tests', () => {
    for (const name of Object.keys(manifest.peerDependencies)) {
      expect(manifest.peerDependenciesMeta[name], name).toEqual({ optional: true });
      expect(manifest.devDependencies[name], name).toBe(manifest.peerDependencies[name]);
    }
  });

  it('are all in the lock file, also those of other systems: without them a clean install is refused', () => {
    const lock = JSON.parse(readText('package-lock.json')) as {
      packages: Record<string, { optionalDependencies?: Record<string, string> }>;
    };
    const known = (from: string, name: string): boolean =>
      [`${from}/node_modules/${name}`, `node_modules/${name}`].some((path) => path in lock.packages);
    const missing = Object.entries(lock.packages).flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter((name) => !known(path, name)),
    );
    expect(missing).toEqual([]);
  });

  it('run install scripts only where it was looked at', () => {
    const lock = JSON.parse(readText('package-lock.json')) as {
      packages: Record<string, { hasInstallScript?: boolean; os?: string[] }>;
    };
    const here = (os: string[] | undefined): boolean => os === undefined || os.includes('linux');
    const asking = Object.entries(lock.packages).filter(([, one]) => one.hasInstallScript === true && here(one.os));
    const names = asking.map(([path]) => path.replace(/^.*node_modules\//, ''));
    const known = (name: string): boolean =>
      manifest.allowScripts[name.replace(/-(arm|ia32|ppc64)\w*$/, '-x64')] === true;
    expect(names.filter((name) => !known(name))).toEqual([]);
  });
});

describe('documents', () => {
  it('lead to files that are there', () => {
    const broken = pages.flatMap((page) =>
      [...readText(page).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
        .map((match) => match[1]!)
        .filter((link) => !/^[a-z]+:/.test(link))
        .filter((link) => !leads(page, link))
        .map((link) => `${page} -> ${link}`),
    );
    expect(broken).toEqual([]);
  });

  it('tell the exit codes that commands end with', () => {
    const table = /## Exit codes\n([\s\S]*?)\n## /.exec(readText('README.md'))![1]!;
    const told = [...table.matchAll(/^\| ([\d, ]+) \|/gm)].flatMap((match) => match[1]!.split(', ').map(Number));
    expect(told).toEqual(Object.keys(EXIT_MEANINGS).map(Number));
  });

  it('name only npm scripts that package.json has', () => {
    const unknown = pages.flatMap((page) =>
      [...readText(page).matchAll(/npm run ([a-z][\w:-]*)/g)]
        .map((match) => match[1]!)
        .filter((name) => manifest.scripts[name] === undefined)
        .map((name) => `${page}: npm run ${name}`),
    );
    expect(unknown).toEqual([]);
  });

  it('describe the architecture on at most 200 lines', () => {
    expect(readText('ARCHITECTURE.md').split('\n').length).toBeLessThanOrEqual(200);
  });

  it('of decisions are numbered without a gap', () => {
    const numbers = files.flatMap((path) => /^docs\/decisions\/(\d{4})-[a-z0-9-]+\.md$/.exec(path)?.[1] ?? []);
    expect(numbers.map(Number)).toEqual(numbers.map((_, nth) => nth + 1));
  });

  it('keep the list of acceptance lines whole', () => {
    const lines = JSON.parse(readText('test/acceptance-ids.json')) as { id: string; title: string }[];
    const counts = { U: 23, S: 19, F: 19, P: 41, X: 15, A: 3 };
    const expected = Object.entries(counts).flatMap(([letter, count]) =>
      Array.from({ length: count }, (_, nth) => `${letter}${String(nth + 1).padStart(2, '0')}`),
    );
    expect(lines.map(({ id }) => id)).toEqual(expected);
    expect(lines.filter(({ title }) => title.length < 10 || title.length > 100)).toEqual([]);
  });
});

/** A link of a page leads to a file, or to a folder that holds some. */
function leads(page: string, link: string): boolean {
  const target = posix.normalize(posix.join(posix.dirname(page), link)).replace(/\/$/, '');
  return files.includes(target) || files.some((path) => path.startsWith(`${target}/`));
}
