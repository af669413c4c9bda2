import { describe, expect, it } from 'vitest';
import { importEffects, moduleState } from './effects.ts';
import { findCycle, importsOf } from './imports.ts';
import { functionsOf } from './lengths.ts';
import { fits } from './rooms.ts';
import { parseText, type Source } from './source.ts';
import { bannedSyntax, bannedWords, partialTests, swallowedErrors } from './words.ts';

/** The checks themselves: each must find what it is there to find, and must not cry over what is allowed. */
const source = (text: string, path = 'src/model/sample.ts'): Source => {
  const parsed = parseText(path, text);
  if (typeof parsed === 'string') throw new Error(parsed);
  return parsed;
};
const words = (text: string): string[] => bannedWords(source(text)).map((found) => found.word);

describe('bannedWords', () => {
  it.each([
    ['const now = Date.now();', 'Date.now'],
    ["const now = Date['now']();", 'Date.now'],
    ['const { now } = Date;', 'Date.now'],
    ['const at = new Date();', 'new Date()'],
    ['const at = Date();', 'new Date()'],
    ['const luck = Math.random();', 'Math.random'],
    ["import { randomUUID } from 'node:crypto';", 'randomUUID'],
    ['const id = crypto.randomUUID();', 'crypto.randomUUID'],
    ['setTimeout(go, 5);', 'setTimeout'],
    ['globalThis.setTimeout(go, 5);', 'setTimeout'],
    ["import { setTimeout as sleep } from 'node:timers/promises';", 'setTimeout'],
    ['const wait = { later: setInterval };', 'setInterval'],
    ['const signal = AbortSignal.timeout(5);', 'AbortSignal.timeout'],
    ['const home = process.env.HOME;', 'process.env'],
    ['const home = globalThis.process.env.HOME;', 'process.env'],
    ['const t = performance.now();', 'performance.now'],
  ])('finds %s', (text, word) => {
    expect(words(text)).toContain(word);
  });

  it.each([
    'const at = new Date(ms);',
    '// Date.now() is banned\nconst text = "Math.random()";',
    'const text = `setTimeout ${1}`;',
    'interface Ports { setTimeout(ms: number): void }',
    'socket.setTimeout(5);',
    'const pattern = /process.env/;',
    'import type { Date } from "./date.ts"; const ms = Date.UTC(2026, 1);',
  ])('lets %s pass', (text) => {
    expect(words(text)).toEqual([]);
  });
});

describe('functionsOf', () => {
  const measured = (text: string) => functionsOf(source(text));

  it('counts the lines of functions, methods and arrows', () => {
    const text = 'function a() {\n\n}\nclass B {\n  c() {\n    return 1;\n  }\n}\nconst d = () => ({\n});\n';
    expect(measured(text).map(({ name, lines }) => [name, lines])).toEqual([
      ['a', 3],
      ['c', 3],
      ['d', 2],
    ]);
  });

  it('is not misled by braces in strings, templates, patterns and comments', () => {
    const text = 'function a() {\n  const s = "}{" + `}${"{"}` + /[}{]/.source; // }\n  return s;\n}\n';
    expect(measured(text)).toMatchObject([{ name: 'a', lines: 4, nesting: 0 }]);
  });

  it('takes a test group for a chapter, and what stands in it for itself', () => {
    const text = "describe('x', () => {\n  it('y', () => {\n    go();\n  });\n});\n";
    expect(measured(text).map(({ name, lines }) => [name, lines])).toEqual([["callback of it('y')", 3]]);
  });

  it('counts how deep statements stand, else-if as one choice, callbacks as where they stand', () => {
    expect(measured('function a() { if (b) { for (;;) { while (c) { d(); } } } }')[0]!.nesting).toBe(3);
    expect(measured('function a() { if (b) {} else if (c) {} else if (d) {} else {} }')[0]!.nesting).toBe(1);
    expect(
      measured('function a() { if (b) { list.map((x) => { if (x) { try { y(); } finally { z(); } } }); } }')[0]!
        .nesting,
    ).toBe(3);
  });
});

describe('importEffects', () => {
  const effects = (text: string): number => importEffects(source(text)).length;

  it.each([
    "import { readFileSync } from 'node:fs'; const text = readFileSync('a');",
    'console.log("hello");',
    'export const started = await fetch("x");',
    'process.exitCode = 1;',
    'if (process.argv.length > 2) process.exit(1);',
    'class A { static { register(); } }',
    'class A { static b = register(); }',
    'function load() { return register(); }\nexport const loaded = load();',
    'const x = (() => start())();',
    'const made = { ...start() };',
    'const all = ["a"].map((name) => register(name));',
    'const run = (go) => go(); const x = run(() => start());',
    'const made = make()(); function make() { return () => start(); }',
  ])('finds %s', (text) => {
    expect(effects(text)).toBeGreaterThan(0);
  });

  it.each([
    "import { z } from 'zod'; export const schema = z.strictObject({ a: z.string().min(1).default('x') });",
    'const entry = (a: number) => ({ a }); export const TABLE = { one: entry(1) } as const;',
    'const NAMES = new Set(["a"]); export const all = [...NAMES].map((n) => n.length);',
    'class A { #b = start(); c() { return start(); } }',
    'export function run() { return start(); }',
    'export const later = () => start();',
    'const wrap = (make) => (value) => make(value); export const made = wrap((at) => start(at));',
    "import { z } from 'zod'; const size = z.int().transform((n) => start(n)); export const all = size.optional();",
  ])('lets %s pass', (text) => {
    expect(effects(text)).toBe(0);
  });
});

describe('moduleState', () => {
  it('finds variables that change, and no constants', () => {
    const text = 'let a = 0; export var b = 1; const c = 2; declare let d: number; function f() { let e = 3; }';
    expect(moduleState(source(text)).map(({ what }) => what)).toEqual(['let a', 'let b']);
  });
});

describe('the other checks', () => {
  it('find swallowed errors, also behind a comment', () => {
    const text =
      'try { a(); } catch { /* never mind */ }\n\nb().catch(() => {});\nc().catch(() => undefined);\n' +
      'try { d(); } catch { return; }\n';
    expect(swallowedErrors(source(`function f() { ${text} }`)).length).toBe(3);
    const explained = '// Whoever asked hears of it.\nawait opening.catch(() => undefined);\n';
    expect(swallowedErrors(source(`async function f() { ${explained} }`))).toEqual([]);
  });

  it('find tests that are left out', () => {
    const text =
      'it.only("a", f); describe.skip("b", f); it.skipIf(c)("d", f); ' +
      'it.concurrent.todo("e"); cursor.skip(1); it.each([1])("g", f);';
    expect(
      partialTests(source(text))
        .map(({ word }) => word)
        .sort(),
    ).toEqual(['describe.skip', 'it.only', 'it.skipIf', 'it.todo']);
  });

  it('find banned syntax', () => {
    const text = 'enum A { B }\nconst c: any = new Error("d");\nexport * from "./e.ts";\n';
    expect(
      bannedSyntax(source(text))
        .map(({ word }) => word)
        .sort(),
    ).toEqual(['any', 'enum', 'export *', 'new Error']);
  });

  it('see every kind of import, types too', () => {
    const text =
      "import a from './a.ts';\nexport { b } from '../b.ts';\ntype C = import('./c.ts').C;\n" +
      "const d = () => import('./d.ts');\nimport type { E } from './e.ts';\n";
    expect(importsOf(source(text, 'src/x/y.ts')).map(({ target, kind }) => `${target} ${kind}`)).toEqual([
      'src/x/a.ts static',
      'src/b.ts static',
      'src/x/c.ts type',
      'src/x/d.ts lazy',
      'src/x/e.ts type',
    ]);
  });

  it('find a circle wherever it begins', () => {
    expect(
      findCycle(
        new Map([
          ['a', ['b']],
          ['b', ['c']],
          ['c', ['b']],
        ]),
      ),
    ).toEqual(['b', 'c', 'b']);
    expect(
      findCycle(
        new Map([
          ['a', ['b', 'c']],
          ['b', ['c']],
          ['c', []],
        ]),
      ),
    ).toBeUndefined();
  });

  it('understand the patterns of the table', () => {
    expect(fits('src/connectors/http/config.ts', 'src/connectors/*/config.ts')).toBe(true);
    expect(fits('src/connectors/http/sink.ts', 'src/connectors/*/config.ts')).toBe(false);
    expect(fits('src/connectors/a/b/config.ts', 'src/connectors/*/config.ts')).toBe(false);
    expect(fits('src/model/ids.ts', 'src/model/*')).toBe(true);
    expect(fits('src/modelling/ids.ts', 'src/model/*')).toBe(false);
  });
});
