/**
 * Pulls: what each commit of one appended, the last look at its source, and what new rows are compared with.
 * `first`: the offset of the first record.
 */
export const MIGRATION_0003 = `
CREATE TABLE slice (
  id BIGINT PRIMARY KEY,
  flow TEXT NOT NULL, source TEXT NOT NULL, run BIGINT NOT NULL, generation BIGINT NOT NULL,
  first BIGINT NOT NULL, records BIGINT NOT NULL, bytes BIGINT NOT NULL, digest BYTEA NOT NULL,
  part TEXT, kind TEXT NOT NULL, value TEXT NOT NULL,
  watermark TEXT, late BIGINT NOT NULL, system_time BIGINT NOT NULL, columns TEXT, chk BIGINT NOT NULL
);
CREATE INDEX slice_flow ON slice (flow, id);

CREATE TABLE look (
  flow TEXT NOT NULL, source TEXT COLLATE "C" NOT NULL,
  kind BIGINT NOT NULL, why TEXT NOT NULL, at BIGINT NOT NULL, in_vain BIGINT NOT NULL, chk BIGINT NOT NULL,
  PRIMARY KEY (flow, source)
);

CREATE TABLE history (
  flow TEXT NOT NULL, key BYTEA NOT NULL, row BYTEA NOT NULL, chk BIGINT NOT NULL,
  PRIMARY KEY (flow, key)
);
`;
