import type { Reporter, TestModule } from 'vitest/node';

/** Says at the end what this machine did not allow: each test that was left out, with the reason, and how many. */
export class SkipReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const lines: string[] = [];
    let passed = 0;
    for (const one of modules.flatMap((module) => [...module.children.allTests()])) {
      const result = one.result();
      if (result.state === 'passed') passed++;
      if (result.state === 'skipped') lines.push(`SKIPPED: ${one.fullName}: ${result.note ?? 'not asked for'}`);
    }
    console.info([...lines, `real: ${passed} passed, ${lines.length} SKIPPED`].join('\n'));
  }
}
