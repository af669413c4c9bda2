/**
 * Pulls: what each commit of one appended, the last look at its source, and what new rows are compared with.
 * `first`: the offset of the first record.
 */
export const MIGRATION_0003 = `
CREATE TABLE slice (
  id INTEGER PRIMARY KEY,
  flow TEXT NOT NULL, source TEXT NOT NULL, run INTEGER NOT NULL, generation INTEGER NOT NULL,
  first INTEGER NOT NULL, records INTEGER NOT NULL, bytes INTEGER NOT NULL, digest BLOB NOT NULL,
  part TEXT, kind TEXT NOT NULL, value TEXT NOT NULL,
  watermark TEXT, late INTEGER NOT NULL, system_time INTEGER NOT NULL, columns TEXT, chk INTEGER NOT NULL
);
CREATE INDEX slice_flow ON slice (flow);

CREATE TABLE look (
  flow TEXT NOT NULL, source TEXT NOT NULL,
  kind INTEGER NOT NULL, why TEXT NOT NULL, at INTEGER NOT NULL, in_vain INTEGER NOT NULL, chk INTEGER NOT NULL,
  PRIMARY KEY (flow, source)
) WITHOUT ROWID;

CREATE TABLE history (
  flow TEXT NOT NULL, key BLOB NOT NULL, row BLOB NOT NULL, chk INTEGER NOT NULL,
  PRIMARY KEY (flow, key)
) WITHOUT ROWID;
`;
