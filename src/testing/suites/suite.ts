/**
 * A suite is a list of cases and knows no test runner: whoever runs it loops over them. In the tests of this project
 * and in most others that is one line: `register({ describe, it }, sinkSuite(...))`.
 */
export interface Suite {
  readonly name: string;
  /** What the author says that the thing under test can do. */
  readonly claims: readonly string[];
  readonly cases: readonly SuiteCase[];
}

export interface SuiteCase {
  /** A sentence in the present tense. */
  readonly title: string;
  /** The claims that a pass is evidence for; empty where it is about all of them. */
  readonly proves: readonly string[];
  /** For those that take longer than a runner is used to wait. */
  readonly timeoutMs?: number;
  /** Rejects with what was found otherwise. Opens what it needs and closes it, so cases can run in any order. */
  run(): Promise<void>;
}

/** The two functions of a runner that a suite needs: those of vitest, Jest, Mocha and `node:test` all fit. */
export interface Runner {
  describe(name: string, body: () => void): unknown;
  it(title: string, run: () => Promise<void>, timeoutMs?: number): unknown;
}

/** Hands every case of a suite to a runner. */
export function register({ describe, it }: Runner, suite: Suite): void {
  describe(suite.name, () => {
    for (const one of suite.cases) it(one.title, () => one.run(), one.timeoutMs);
  });
}

/** What became of a case. */
export interface CaseResult {
  readonly title: string;
  readonly proves: readonly string[];
  /** Undefined: it passed. */
  readonly failure?: string;
}

/** Runs every case, one after the other, without a runner. Never rejects: a failure is part of the result. */
export async function runSuite(suite: Suite): Promise<readonly CaseResult[]> {
  const results: CaseResult[] = [];
  for (const { title, proves, run } of suite.cases) {
    try {
      await run();
      results.push({ title, proves });
    } catch (error) {
      results.push({ title, proves, failure: error instanceof Error ? error.message : String(error) });
    }
  }
  return results;
}
