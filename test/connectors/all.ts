import type { SinkSubject } from '../../src/testing/suites/sink-subject.ts';
import type { SourceSubject } from '../../src/testing/suites/source-subject.ts';
import { filesSinks, filesSources } from './files.ts';
import { httpSinks, httpSources } from './http.ts';
import { lancedbSinks } from './lancedb.ts';
import { memorySinks, memorySources } from './memory.ts';
import { parquetSinks, parquetSources } from './parquet.ts';
import { sqliteSinks, sqliteSources } from './sqlite.ts';
import { stdioSinks } from './stdio.ts';

interface Subjects {
  readonly sources: readonly SourceSubject[];
  readonly sinks: readonly SinkSubject[];
  /** What the suites are not run on here, and where they are or why they cannot be. */
  readonly elsewhere?: string;
}

/** By type of connector, what the suites are run on: in the tests, and for the page that says what they found. */
export const SUBJECTS: Readonly<Record<string, Subjects>> = {
  http: { sources: httpSources, sinks: httpSinks },
  files: { sources: [...filesSources, ...parquetSources], sinks: [...filesSinks, ...parquetSinks] },
  sqlite: { sources: sqliteSources, sinks: sqliteSinks },
  lancedb: {
    sources: [],
    sinks: lancedbSinks,
    elsewhere: 'How it takes loads is tested in `test/lancedb/`.',
  },
  postgres: {
    sources: [],
    sinks: [],
    elsewhere: 'It needs a server: its cases run in `test/postgres-source.test.ts` and `test/postgres-sink.test.ts`.',
  },
  mysql: {
    sources: [],
    sinks: [],
    elsewhere: 'It needs a server: its cases run in `test/mysql-source.test.ts`.',
  },
  redis: {
    sources: [],
    sinks: [],
    elsewhere: 'It needs a server: its cases run in `test/redis-suites.test.ts` and `test/redis-source.test.ts`.',
  },
  nats: {
    sources: [],
    sinks: [],
    elsewhere: 'It needs a server: its cases run in `test/nats-suites.test.ts` and `test/nats-source.test.ts`.',
  },
  s3: {
    sources: [],
    sinks: [],
    elsewhere: 'It needs a server: its cases run in `test/real/s3.test.ts`, on a real object gateway of Ceph.',
  },
  singer: {
    sources: [],
    sinks: [],
    elsewhere: 'It needs Python, which the tap of its tests is written in: `test/singer/singer-source.test.ts`.',
  },
  stdin: {
    sources: [],
    sinks: [],
    elsewhere: 'A pipe can be read only once, so the suite, which reads again and again, cannot be run on it.',
  },
  stdout: { sources: [], sinks: stdioSinks },
  memory: { sources: memorySources, sinks: memorySinks },
};
