/**
 * The first schema: the same tables, columns and digests as on SQLite, so that a ledger can be copied from one to the
 * other row by row. Durations need not be whole, as on SQLite, whose columns take any number. Sources are listed in
 * the order of their bytes, wherever the server stands.
 */
export const MIGRATION_0001 = `
CREATE TABLE meta (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL, chk BIGINT NOT NULL);

CREATE TABLE run (
  id BIGINT PRIMARY KEY,
  flow TEXT NOT NULL, "window" TEXT NOT NULL, window_start TEXT, window_end TEXT, opened_at BIGINT NOT NULL,
  state BIGINT NOT NULL, paused BIGINT NOT NULL, correlation TEXT NOT NULL, config TEXT NOT NULL,
  generation BIGINT NOT NULL, ended_at BIGINT, reason TEXT, chk BIGINT NOT NULL,
  UNIQUE (flow, "window")
);

CREATE TABLE lane (
  id BIGINT PRIMARY KEY,
  run BIGINT NOT NULL, name TEXT NOT NULL,
  connector TEXT NOT NULL, strategy TEXT NOT NULL, rung TEXT NOT NULL, on_doubt TEXT NOT NULL, mapping TEXT NOT NULL,
  paused BIGINT NOT NULL, position TEXT, chk BIGINT NOT NULL,
  UNIQUE (run, name)
);

-- What the batches and unbatched records of a lane add up to, kept in step in the same transaction.
CREATE TABLE tally (
  lane BIGINT PRIMARY KEY,
  batches BIGINT NOT NULL, seq BIGINT NOT NULL, read BIGINT NOT NULL, delivered BIGINT NOT NULL,
  refused BIGINT NOT NULL, skipped BIGINT NOT NULL, in_doubt BIGINT NOT NULL, pending BIGINT NOT NULL,
  chk BIGINT NOT NULL
);

CREATE TABLE generation (
  run BIGINT NOT NULL, generation BIGINT NOT NULL,
  kind BIGINT NOT NULL, started_at BIGINT NOT NULL, reason TEXT NOT NULL,
  state BIGINT NOT NULL, closed_at BIGINT,
  source TEXT, position_kind TEXT, position_value TEXT, position_rows BIGINT NOT NULL,
  -- Where the source stood before the first seal, as JSON, so that abandoning can put it back.
  before TEXT,
  -- What was read up to the position, folded row by row; of a lane, up to the last row that it has decided.
  trail TEXT,
  chk BIGINT NOT NULL,
  PRIMARY KEY (run, generation)
);

CREATE TABLE generation_lane (
  run BIGINT NOT NULL, generation BIGINT NOT NULL, lane BIGINT NOT NULL,
  read BIGINT NOT NULL, same BIGINT NOT NULL, changed BIGINT NOT NULL, duplicates BIGINT NOT NULL,
  batches BIGINT NOT NULL, sealed BIGINT NOT NULL, unbatched BIGINT NOT NULL, vanished BIGINT NOT NULL,
  trail TEXT,
  chk BIGINT NOT NULL,
  PRIMARY KEY (run, generation, lane)
);

CREATE TABLE segment (
  id BIGINT PRIMARY KEY,
  run BIGINT NOT NULL, name TEXT NOT NULL, chk BIGINT NOT NULL,
  UNIQUE (run, name)
);

-- The keys of all batches of one lane that were sealed together, 16 bytes a record.
CREATE TABLE members (
  id BIGINT PRIMARY KEY,
  lane BIGINT NOT NULL, generation BIGINT NOT NULL, first_batch BIGINT NOT NULL, batches BIGINT NOT NULL,
  keys BYTEA NOT NULL, chk BIGINT NOT NULL
);
CREATE INDEX members_lane ON members (lane);

CREATE TABLE batch (
  id BIGINT PRIMARY KEY,
  lane BIGINT NOT NULL, generation BIGINT NOT NULL, seq BIGINT NOT NULL, records BIGINT NOT NULL,
  bytes BIGINT NOT NULL, digest BYTEA NOT NULL, members BIGINT NOT NULL, member_at BIGINT NOT NULL,
  segment BIGINT NOT NULL, staged_at BIGINT NOT NULL, staged_bytes BIGINT, trailer BIGINT NOT NULL,
  parent BIGINT, root BIGINT, picks BYTEA,
  state BIGINT NOT NULL, attempts BIGINT NOT NULL, latest BIGINT NOT NULL,
  delivered BIGINT NOT NULL, refused BIGINT NOT NULL, skipped BIGINT NOT NULL, in_doubt BIGINT NOT NULL,
  pending BIGINT NOT NULL, moved BIGINT NOT NULL, reason TEXT, possibly BIGINT, chk BIGINT NOT NULL
);
-- With the id that every index carries: the order of ids is that of seq within a lane.
CREATE INDEX batch_lane ON batch (lane);
-- All that is not simply delivered, which has state 4.
CREATE INDEX batch_notable ON batch (state, lane, seq) WHERE state <> 4;
CREATE INDEX batch_parent ON batch (parent) WHERE parent IS NOT NULL;

CREATE TABLE attempt (
  id BIGINT PRIMARY KEY,
  batch BIGINT NOT NULL, attempt BIGINT NOT NULL, previous BIGINT, fence BIGINT NOT NULL,
  intended_at BIGINT NOT NULL, deadline DOUBLE PRECISION NOT NULL,
  notes TEXT, answered_after BIGINT, answer BIGINT,
  applied BIGINT NOT NULL, refused BIGINT NOT NULL, unknown BIGINT NOT NULL,
  summary TEXT, receipt TEXT, reason TEXT, print BIGINT, chk BIGINT NOT NULL
);

-- Records that are not simply in the state that their batch's state stands for.
CREATE TABLE exception (
  batch BIGINT NOT NULL, idx BIGINT NOT NULL,
  state BIGINT NOT NULL, code TEXT, message TEXT, child BIGINT, chk BIGINT NOT NULL,
  PRIMARY KEY (batch, idx)
);

CREATE TABLE unbatched (
  id BIGINT PRIMARY KEY,
  lane BIGINT NOT NULL, generation BIGINT NOT NULL, row BIGINT NOT NULL, key BYTEA, state BIGINT NOT NULL,
  code TEXT NOT NULL, message TEXT NOT NULL, at BIGINT NOT NULL, chk BIGINT NOT NULL
);
CREATE INDEX unbatched_lane ON unbatched (lane);
CREATE INDEX unbatched_key ON unbatched (key, lane) WHERE key IS NOT NULL;

-- Only ever added to. hash: SHA-256 of the hash before it in the same run and of this row, cut to 16 bytes.
CREATE TABLE event (
  seq BIGINT PRIMARY KEY,
  run BIGINT NOT NULL, batch BIGINT, at BIGINT NOT NULL, kind BIGINT NOT NULL, detail TEXT, hash BYTEA NOT NULL
);
CREATE INDEX event_run ON event (run);

CREATE TABLE chain (
  run BIGINT PRIMARY KEY, events BIGINT NOT NULL, last BIGINT NOT NULL, head BYTEA NOT NULL, chk BIGINT NOT NULL
);

-- Lane 0, shard 0: the run itself.
CREATE TABLE lease (
  run BIGINT NOT NULL, lane BIGINT NOT NULL, shard BIGINT NOT NULL,
  owner TEXT NOT NULL, fence BIGINT NOT NULL, until DOUBLE PRECISION NOT NULL, chk BIGINT NOT NULL,
  PRIMARY KEY (run, lane, shard)
);

CREATE TABLE position (
  flow TEXT NOT NULL, source TEXT COLLATE "C" NOT NULL,
  kind TEXT NOT NULL, value TEXT NOT NULL, at BIGINT NOT NULL, run BIGINT, chk BIGINT NOT NULL,
  PRIMARY KEY (flow, source)
);

CREATE TABLE emitter (name TEXT NOT NULL PRIMARY KEY, seq BIGINT NOT NULL, chk BIGINT NOT NULL);

-- How far the key index of a lane has come, and its sorted parts.
CREATE TABLE key_lane (lane BIGINT PRIMARY KEY, upto BIGINT NOT NULL, chk BIGINT NOT NULL);
CREATE TABLE key_part (
  id BIGINT PRIMARY KEY,
  lane BIGINT NOT NULL,
  level BIGINT NOT NULL, into_part BIGINT, first_page BIGINT NOT NULL, end_page BIGINT NOT NULL,
  entries BIGINT NOT NULL, chk BIGINT NOT NULL
);
CREATE INDEX key_part_lane ON key_part (lane);
-- id: part * 2^20 + number of the page in the part.
CREATE TABLE key_page (id BIGINT PRIMARY KEY, entries BYTEA NOT NULL, chk BIGINT NOT NULL);

-- The one row that every writer changes first: it lets one transaction write at a time, tells each whether anybody
-- else has written since its last, and is the lock that a process waits at which lost the answer to a COMMIT.
CREATE TABLE turn (one BIGINT PRIMARY KEY CHECK (one = 1), n BIGINT NOT NULL) WITH (fillfactor = 10);
INSERT INTO turn VALUES (1, 0);

-- The largest id that was removed from a table whose ids are given out only once.
CREATE TABLE removed (name TEXT COLLATE "C" PRIMARY KEY, id BIGINT NOT NULL);

-- Gives the transaction up when a statement did not change as many rows as it had to. The statement and the COMMIT
-- travel together, so nobody else could stop it in time.
CREATE FUNCTION must(changed BIGINT, expected BIGINT, what TEXT) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
BEGIN
  IF changed <> expected THEN
    RAISE EXCEPTION '% of % rows of % were there', changed, expected, what USING ERRCODE = 'WB001';
  END IF;
  RETURN TRUE;
END $$;
`;
