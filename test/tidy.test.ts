import { describe, expect, it } from 'vitest';
import { importEffects, moduleState } from './tidy/effects.ts';
import { EXCEPTIONS, type Exception } from './tidy/exceptions.ts';
import { computedImports, findCycle, type Import, importsOf, packageOf } from './tidy/imports.ts';
import { functionsOf } from './tidy/lengths.ts';
import { DRIVERS, fits, ROOMS, type Room, TEST_MAY } from './tidy/rooms.ts';
import { parseFile, parseProblem } from './tidy/source.ts';
import { isAssembly, isCode, isTest, isText, projectFiles, readText } from './tidy/tree.ts';
import { bannedSyntax, bannedWords, defaultExports, type Found, partialTests, swallowedErrors } from './tidy/words.ts';

const files = projectFiles();
const broken = files.filter(isCode).filter((path) => parseProblem(path) !== undefined);
const code = files.filter(isCode).filter((path) => !broken.includes(path));
/** Lengths of lines and files are asked of every language. */
const written = [...code, ...files.filter(isAssembly)];
const rooms = code.filter((path) => path.startsWith('src/') && path.endsWith('.ts'));
const shipped = rooms.filter((path) => !isTest(path));

/** Fails with every finding on a line of its own, and why the rule is there. */
function expectNone(findings: readonly string[], why: string): void {
  expect(findings, `${findings.length} findings. Why: ${why}\n  ${findings.join('\n  ')}\n`).toEqual([]);
}
const at = (path: string, found: readonly Found[]): string[] =>
  found.map(({ line, word }) => `${path}:${line} ${word}`);

describe('files', () => {
  it('every file of code can be parsed', () => {
    expectNone(
      broken.map((path) => parseProblem(path)!),
      'a file that cannot be read cannot be checked; the other checks leave it out',
    );
  });
});

describe('rooms', () => {
  const roomOf = (path: string): Room | undefined => ROOMS.find((room) => room.files.test(path));

  it('every file in src stands in a room that the table knows', () => {
    expectNone(
      rooms.filter((path) => roomOf(path) === undefined),
      'a new room says in test/tidy/rooms.ts what it may import, and why',
    );
  });

  it('files import only what the table allows to their room, types included', () => {
    const findings: string[] = [];
    for (const path of rooms) {
      const room = roomOf(path);
      for (const one of room === undefined ? [] : importsOf(parseFile(path))) {
        if (!mayImport(path, room!, one))
          findings.push(`${path}:${one.line} imports ${one.specifier} (${room!.name}: ${room!.why})`);
      }
    }
    expectNone(findings, 'arrows point to model; outside a room only its front file is known (test/tidy/rooms.ts)');
  });

  it('optional drivers are loaded at the moment of use', () => {
    const findings = shipped.flatMap((path) =>
      importsOf(parseFile(path))
        .filter((one) => DRIVERS[packageOf(one.specifier)]?.lazy === true && one.kind === 'static')
        .map((one) => `${path}:${one.line} imports ${one.specifier}`),
    );
    expectNone(
      findings,
      'who does not use a connector need not install its driver: `import()` it, and `import type` for its types',
    );
  });

  it('imports whose name is computed stand in the app only', () => {
    const findings = shipped
      .filter((path) => !path.startsWith('src/app/'))
      .flatMap((path) => computedImports(parseFile(path)).map((line) => `${path}:${line}`));
    expectNone(findings, 'the table cannot be checked against a name that is only known when it runs');
  });

  it('every import of a file leads to a file', () => {
    const known = new Set(files);
    const findings = code.flatMap((path) =>
      importsOf(parseFile(path))
        .filter((one) => one.target !== undefined && !known.has(one.target) && !one.target.startsWith('build/'))
        .map((one) => `${path}:${one.line} ${one.specifier}`),
    );
    expectNone(findings, 'relative imports name the file with its ending');
  });

  it('files do not import one another in circles', () => {
    const graph = new Map(rooms.map((path) => [path, importsOf(parseFile(path)).flatMap((one) => one.target ?? [])]));
    const cycle = findCycle(graph);
    expectNone(
      cycle === undefined ? [] : [cycle.join(' -> ')],
      'two files that need one another are one file, or a third is missing; types count',
    );
  });

  it('nothing that is shipped imports the rooms for testing', () => {
    const findings = shipped
      .filter((path) => !path.startsWith('src/testing/'))
      .flatMap((path) =>
        importsOf(parseFile(path))
          .filter((one) => one.target?.startsWith('src/testing/'))
          .map((one) => `${path}:${one.line} ${one.specifier}`),
      );
    expectNone(findings, 'testing drives the product, never the reverse');
  });
});

function mayImport(path: string, room: Room, one: Import): boolean {
  const test = isTest(path);
  if (one.target !== undefined) {
    const own = /^src\/([^/]+\/){0,2}/.exec(path)![0];
    const mine = room.alone !== true && sameRoom(path, room, one.target);
    return (
      mine ||
      room.may.some((pattern) => fits(one.target!, pattern)) ||
      (test && (one.target.startsWith(own) || TEST_MAY.some((pattern) => fits(one.target!, pattern))))
    );
  }
  if (one.specifier.startsWith('node:')) {
    return test || room.node?.includes('*') === true || room.node?.includes(one.specifier.slice(5)) === true;
  }
  const name = packageOf(one.specifier);
  return test || room.packages?.includes(name) === true || DRIVERS[name]?.in.test(path) === true;
}

/** The same folder, as far as the row of the table reaches: `connectors/http` and `connectors/s3` are two rooms. */
function sameRoom(path: string, room: Room, target: string): boolean {
  const here = room.files.exec(path)!;
  const there = room.files.exec(target);
  return there !== null && here[1] === there[1];
}

describe('lengths', () => {
  const used = new Set<Exception>();
  const excused = (rule: Exception['rule'], file: string, name: string | undefined, figure: number): boolean => {
    const entry = EXCEPTIONS.find((one) => one.rule === rule && one.file === file && one.name === name);
    if (entry?.limit !== figure) return false;
    used.add(entry);
    return true;
  };

  it('functions have at most 70 lines', () => {
    const findings = code.flatMap((path) =>
      functionsOf(parseFile(path))
        .filter((one) => one.lines > 70 && !excused('function', path, one.name, one.lines))
        .map((one) => `${path}:${one.line} ${one.name} has ${one.lines} lines`),
    );
    expectNone(findings, 'a function is read on one screen; aim for 20');
  });

  it('statements in a function stand at most three deep', () => {
    const findings = code.flatMap((path) =>
      functionsOf(parseFile(path))
        .filter((one) => one.nesting > 3 && !excused('nesting', path, one.name, one.nesting))
        .map((one) => `${path}:${one.line} ${one.name} is ${one.nesting} deep`),
    );
    expectNone(findings, 'parent functions hold the branches, leaves are pure');
  });

  it('files have at most 500 lines', () => {
    const long = written
      .map((path) => ({ path, lines: readText(path).split('\n').length - 1 }))
      .filter(({ lines }) => lines > 300);
    for (const { path, lines } of long.filter((one) => one.lines <= 500))
      console.warn(`tidy: ${path} has ${lines} lines; 300 is the aim`);
    const findings = long.filter(({ path, lines }) => lines > 500 && !excused('file', path, undefined, lines));
    expectNone(
      findings.map(({ path, lines }) => `${path} has ${lines} lines`),
      'a file is one thing',
    );
  });

  it('lines have at most 120 characters', () => {
    const findings = written.flatMap((path) =>
      readText(path)
        .split('\n')
        .flatMap((line, nth) =>
          [...line].length > 120 ? [`${path}:${nth + 1} has ${[...line].length} characters`] : [],
        ),
    );
    expectNone(findings, 'two files fit side by side; `npm run format` breaks lines, texts are broken by hand');
  });

  it('the list of exceptions holds nothing that is not needed', () => {
    const findings = EXCEPTIONS.filter((entry) => !used.has(entry)).map(
      (one) => `${one.rule} ${one.file} ${one.name ?? ''} (limit ${one.limit})`,
    );
    expectNone(
      findings,
      'the list may only lose entries: take it out, or lower its figure to what it is (test/tidy/exceptions.ts)',
    );
  });
});

/** A banned word that a file may use, and why. */
const WORDS_ALLOWED: Readonly<Record<string, string>> = {
  // The secret seed of a new ledger: chance that could be foretold would not be secret.
  'src/ledger/sqlite/ledger-file.ts': 'randomBytes',
  'src/ledger/postgres/home.ts': 'randomBytes',
};

describe('words', () => {
  it('time, chance and the environment come through Ports', () => {
    // The peer is a server of our own that tests talk to over a socket: a process with a real clock, no part of the
    // engine. Tests talk to such servers and wait for them; but a test that fails must fail again, so no chance there.
    const free = /^src\/(app|testing\/peer)\//;
    const chance = /random/i;
    const findings = rooms
      .filter((path) => !free.test(path))
      .flatMap((path) =>
        bannedWords(parseFile(path))
          .filter(({ word }) => (!isTest(path) || chance.test(word)) && WORDS_ALLOWED[path] !== word)
          .map(({ line, word }) => `${path}:${line} ${word}`),
      );
    expectNone(
      findings,
      'the engine runs under a simulated clock; take them from Ports (src/model/ports.ts), made in src/app/ports.ts',
    );
  });

  it('no file is called after nothing in particular', () => {
    const findings = code.filter((path) =>
      /\/(utils?|helpers?|common|types|lib|misc|shared)(\.test)?\.[a-z]+$/.test(path),
    );
    expectNone(findings, 'a helper lives beside its one caller; at the third caller it gets a noun and a file');
  });

  it('files are named in kebab-case', () => {
    const findings = code.filter(
      (path) => !/^([a-z0-9.-]+\/)*[a-z0-9-]+(\.(test|config|generated))?\.(ts|mjs|js)$/.test(path),
    );
    expectNone(findings, 'one spelling, on every file system');
  });

  it('nothing is exported as default', () => {
    // Tools ask for one by name: vitest.config.ts, and the flow files written in TypeScript.
    const findings = code
      .filter((path) => !/(\.config\.ts|^examples\/.*waybill\.ts)$/.test(path))
      .flatMap((path) => at(path, defaultExports(parseFile(path))));
    expectNone(findings, 'a thing has one name, the same everywhere');
  });

  it('no error is swallowed', () => {
    expectNone(
      code.flatMap((path) => at(path, swallowedErrors(parseFile(path)))),
      'return or throw; where one kind of error may be ignored, test for it and let the others through',
    );
  });

  it('no test is left out', () => {
    const tests = code.filter((path) => isTest(path) || path.startsWith('src/testing/'));
    expectNone(
      tests.flatMap((path) => at(path, partialTests(parseFile(path)))),
      'a test that does not run proves nothing',
    );
  });

  it('the code uses no any, enum, namespace, parameter property, barrel or bare Error', () => {
    const findings = shipped.flatMap((path) =>
      at(path, bannedSyntax(parseFile(path))).filter(
        (finding) => !(finding.endsWith('export *') && /^src\/(testing\/)?index\.ts$/.test(path)),
      ),
    );
    expectNone(
      findings,
      'errors are WaybillErrors with code and hint; types are what a reader can evaluate by hand (tsconfig, style)',
    );
  });

  it('nothing is left for later', () => {
    const marks = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', 'HA' + 'CK'].join('|')})\\b`);
    const findings = files.filter(isText).flatMap((path) => linesWith(path, marks));
    expectNone(findings, 'what is not done is not promised; what is wrong becomes a failing test');
  });

  it('no file names the host of a registry or a path of one machine', () => {
    const hosts = [
      'registry.' + 'npmjs',
      'registry.' + 'yarnpkg',
      'deb.' + 'debian',
      'py' + 'pi.org',
      'proxy.' + 'golang',
    ];
    const paths = '(^|[\\s"\'`(=:])/(work|root|home|Users|mnt|srv|build)/[a-zA-Z.]';
    const urls = 'file:' + '///[a-zA-Z]';
    const machine = new RegExp([paths, urls, ...hosts.map((host) => host.replaceAll('.', '\\.'))].join('|'));
    const findings = files.filter(isText).flatMap((path) => linesWith(path, machine));
    expectNone(findings, 'the project is built on other machines and behind other mirrors');
  });

  it('the lock file holds no download addresses', () => {
    const findings = linesWith('package-lock.json', /"resolved":/);
    expectNone(
      findings,
      'addresses of one mirror break an install behind another (.npmrc: omit-lockfile-registry-resolved)',
    );
  });
});

const linesWith = (path: string, pattern: RegExp): string[] =>
  readText(path)
    .split('\n')
    .flatMap((line, nth) => (pattern.test(line) ? [`${path}:${nth + 1} ${line.trim().slice(0, 100)}`] : []));

describe('imports do nothing', () => {
  it('no module of src does anything when it is imported, but the entry points', () => {
    // What a process or a thread begins with; nobody imports them.
    const entry = new Set([
      'src/cli/main.ts',
      'src/testing/peer/main.ts',
      'src/testing/disk/power-cuts-main.ts',
      'src/testing/disk/bit-flips-main.ts',
      'src/ledger/sqlite/writer-thread.ts',
    ]);
    const importing = rooms.flatMap((path) =>
      importsOf(parseFile(path)).flatMap((one) => (entry.has(one.target ?? '') ? [path] : [])),
    );
    expectNone(importing, 'an entry point is started, not imported');
    const findings = shipped
      .filter((path) => !entry.has(path))
      .flatMap((path) => importEffects(parseFile(path)).map(({ line, what }) => `${path}:${line} ${what}`));
    expectNone(
      findings,
      'who imports the library must not find that it has read a file, started a timer or ended the process',
    );
  });

  it('modules hold no state, but where one of a kind is meant', () => {
    // One WebAssembly instance a thread of either module, made on first use; it holds nothing between two calls, or two
    // files. And the secrets that must not be printed: the outputs that they are hidden in belong to the process, too.
    const meant = new Set(['src/formats/kernel.ts', 'src/formats/parquet/column-kernel.ts', 'src/model/masking.ts']);
    const findings = shipped
      .filter((path) => !meant.has(path) && !/^src\/(app|cli)\//.test(path))
      .flatMap((path) => moduleState(parseFile(path)).map(({ line, what }) => `${path}:${line} ${what}`));
    expectNone(findings, 'several engines share a process, in the simulator and in programs that embed them');
  });
});
