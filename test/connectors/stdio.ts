import { Writable } from 'node:stream';
import type { OpenContext } from '../../src/connectors/connector.ts';
import { stdout } from '../../src/connectors/stdio/config.ts';
import type { SinkSubject } from '../../src/testing/suites/sink-subject.ts';

/** Keeps what it is given, and takes its time about it. */
function collector(): { readonly output: Writable; text(): string } {
  const pieces: Buffer[] = [];
  const output = new Writable({
    write(piece, _encoding, done) {
      pieces.push(piece);
      setImmediate(done);
    },
  });
  return { output, text: () => Buffer.concat(pieces).toString() };
}

export const stdioSinks: readonly SinkSubject[] = [
  {
    name: 'the standard output',
    abilities: ['append'],
    open: () => {
      const { output, text } = collector();
      const context = { stdout: output } as unknown as OpenContext;
      return {
        sink: stdout.sink!.open({}, stdout.sink!.settings.parse({}), context),
        record: (n) => ({ n }),
        refused: { never: 'whatever is one line can be written' },
        held: async () =>
          text()
            .split('\n')
            .filter(Boolean)
            .map((line) => String((JSON.parse(line) as { n: number }).n)),
      };
    },
  },
];
