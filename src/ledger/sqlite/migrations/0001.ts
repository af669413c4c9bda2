/**
 * The first schema. States and kinds are small numbers (see `codes.ts`), times are milliseconds since 1970, and the
 * last column of every table is the digest of its row. Ids of batches and members are never used again, since events,
 * idempotency keys and the key index refer to them.
 */
export const MIGRATION_0001 = `
CREATE TABLE meta (name TEXT NOT NULL PRIMARY KEY, value, chk INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE run (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  flow TEXT NOT NULL, window TEXT NOT NULL, window_start TEXT, window_end TEXT, opened_at INTEGER NOT NULL,
  state INTEGER NOT NULL, paused INTEGER NOT NULL, correlation TEXT NOT NULL, config TEXT NOT NULL,
  generation INTEGER NOT NULL, ended_at INTEGER, reason TEXT, chk INTEGER NOT NULL,
  UNIQUE (flow, window)
);

CREATE TABLE lane (
  id INTEGER PRIMARY KEY,
  run INTEGER NOT NULL, name TEXT NOT NULL,
  connector TEXT NOT NULL, strategy TEXT NOT NULL, rung TEXT NOT NULL, on_doubt TEXT NOT NULL, mapping TEXT NOT NULL,
  paused INTEGER NOT NULL, position TEXT, chk INTEGER NOT NULL,
  UNIQUE (run, name)
);

-- What the batches and unbatched records of a lane add up to, kept in step in the same transaction.
CREATE TABLE tally (
  lane INTEGER PRIMARY KEY,
  batches INTEGER NOT NULL, seq INTEGER NOT NULL, read INTEGER NOT NULL, delivered INTEGER NOT NULL,
  refused INTEGER NOT NULL, skipped INTEGER NOT NULL, in_doubt INTEGER NOT NULL, pending INTEGER NOT NULL,
  chk INTEGER NOT NULL
);

CREATE TABLE generation (
  run INTEGER NOT NULL, generation INTEGER NOT NULL,
  kind INTEGER NOT NULL, started_at INTEGER NOT NULL, reason TEXT NOT NULL,
  state INTEGER NOT NULL, closed_at INTEGER,
  source TEXT, position_kind TEXT, position_value TEXT, position_rows INTEGER NOT NULL,
  -- Where the source stood before the first seal, as JSON, so that abandoning can put it back.
  before TEXT,
  -- What was read up to the position, folded row by row; of a lane, up to the last row that it has decided.
  trail TEXT,
  chk INTEGER NOT NULL,
  PRIMARY KEY (run, generation)
) WITHOUT ROWID;

CREATE TABLE generation_lane (
  run INTEGER NOT NULL, generation INTEGER NOT NULL, lane INTEGER NOT NULL,
  read INTEGER NOT NULL, same INTEGER NOT NULL, changed INTEGER NOT NULL, duplicates INTEGER NOT NULL,
  batches INTEGER NOT NULL, sealed INTEGER NOT NULL, unbatched INTEGER NOT NULL, vanished INTEGER NOT NULL,
  trail TEXT,
  chk INTEGER NOT NULL,
  PRIMARY KEY (run, generation, lane)
) WITHOUT ROWID;

CREATE TABLE segment (
  id INTEGER PRIMARY KEY,
  run INTEGER NOT NULL, name TEXT NOT NULL, chk INTEGER NOT NULL,
  UNIQUE (run, name)
);

-- The keys of all batches of one lane that were sealed together, 16 bytes a record.
CREATE TABLE members (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  lane INTEGER NOT NULL, generation INTEGER NOT NULL, first_batch INTEGER NOT NULL, batches INTEGER NOT NULL,
  keys BLOB NOT NULL, chk INTEGER NOT NULL
);
CREATE INDEX members_lane ON members (lane);

CREATE TABLE batch (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  lane INTEGER NOT NULL, generation INTEGER NOT NULL, seq INTEGER NOT NULL, records INTEGER NOT NULL,
  bytes INTEGER NOT NULL, digest BLOB NOT NULL, members INTEGER NOT NULL, member_at INTEGER NOT NULL,
  segment INTEGER NOT NULL, staged_at INTEGER NOT NULL, staged_bytes INTEGER, trailer INTEGER NOT NULL,
  parent INTEGER, root INTEGER, picks BLOB,
  state INTEGER NOT NULL, attempts INTEGER NOT NULL, latest INTEGER NOT NULL,
  delivered INTEGER NOT NULL, refused INTEGER NOT NULL, skipped INTEGER NOT NULL, in_doubt INTEGER NOT NULL,
  pending INTEGER NOT NULL, moved INTEGER NOT NULL, reason TEXT, possibly INTEGER, chk INTEGER NOT NULL
);
-- With the id that every index carries: the order of ids is that of seq within a lane.
CREATE INDEX batch_lane ON batch (lane);
-- All that is not simply delivered, which has state 4.
CREATE INDEX batch_notable ON batch (state, lane, seq) WHERE state <> 4;
CREATE INDEX batch_parent ON batch (parent) WHERE parent IS NOT NULL;

CREATE TABLE attempt (
  id INTEGER PRIMARY KEY,
  batch INTEGER NOT NULL, attempt INTEGER NOT NULL, previous INTEGER, fence INTEGER NOT NULL,
  intended_at INTEGER NOT NULL, deadline INTEGER NOT NULL,
  notes TEXT, answered_after INTEGER, answer INTEGER,
  applied INTEGER NOT NULL, refused INTEGER NOT NULL, unknown INTEGER NOT NULL,
  summary TEXT, receipt TEXT, reason TEXT, print INTEGER, chk INTEGER NOT NULL
);

-- Records that are not simply in the state that their batch's state stands for.
CREATE TABLE exception (
  batch INTEGER NOT NULL, idx INTEGER NOT NULL,
  state INTEGER NOT NULL, code TEXT, message TEXT, child INTEGER, chk INTEGER NOT NULL,
  PRIMARY KEY (batch, idx)
) WITHOUT ROWID;

CREATE TABLE unbatched (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  lane INTEGER NOT NULL, generation INTEGER NOT NULL, row INTEGER NOT NULL, key BLOB, state INTEGER NOT NULL,
  code TEXT NOT NULL, message TEXT NOT NULL, at INTEGER NOT NULL, chk INTEGER NOT NULL
);
CREATE INDEX unbatched_lane ON unbatched (lane);
CREATE INDEX unbatched_key ON unbatched (key, lane) WHERE key IS NOT NULL;

-- Only ever added to. hash: SHA-256 of the hash before it in the same run and of this row, cut to 16 bytes.
CREATE TABLE event (
  seq INTEGER PRIMARY KEY,
  run INTEGER NOT NULL, batch INTEGER, at INTEGER NOT NULL, kind INTEGER NOT NULL, detail TEXT, hash BLOB NOT NULL
);
CREATE INDEX event_run ON event (run);

CREATE TABLE chain (
  run INTEGER PRIMARY KEY, events INTEGER NOT NULL, last INTEGER NOT NULL, head BLOB NOT NULL, chk INTEGER NOT NULL
);

-- Lane 0, shard 0: the run itself.
CREATE TABLE lease (
  run INTEGER NOT NULL, lane INTEGER NOT NULL, shard INTEGER NOT NULL,
  owner TEXT NOT NULL, fence INTEGER NOT NULL, until INTEGER NOT NULL, chk INTEGER NOT NULL,
  PRIMARY KEY (run, lane, shard)
) WITHOUT ROWID;

CREATE TABLE position (
  flow TEXT NOT NULL, source TEXT NOT NULL,
  kind TEXT NOT NULL, value TEXT NOT NULL, at INTEGER NOT NULL, run INTEGER, chk INTEGER NOT NULL,
  PRIMARY KEY (flow, source)
) WITHOUT ROWID;

CREATE TABLE emitter (name TEXT NOT NULL PRIMARY KEY, seq INTEGER NOT NULL, chk INTEGER NOT NULL) WITHOUT ROWID;

-- How far the key index of a lane has come, and its sorted parts.
CREATE TABLE key_lane (lane INTEGER PRIMARY KEY, upto INTEGER NOT NULL, chk INTEGER NOT NULL);
CREATE TABLE key_part (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  lane INTEGER NOT NULL,
  level INTEGER NOT NULL, into_part INTEGER, first_page INTEGER NOT NULL, end_page INTEGER NOT NULL,
  entries INTEGER NOT NULL, chk INTEGER NOT NULL
);
CREATE INDEX key_part_lane ON key_part (lane);
-- id: part * 2^20 + number of the page in the part. A table with rowids, since two blobs of 4,000 bytes fill a page.
-- Without rowids, each of them would take an overflow page for itself.
CREATE TABLE key_page (id INTEGER PRIMARY KEY, entries BLOB NOT NULL, chk INTEGER NOT NULL);
`;
