/** Loads: what a generation brings to a lane that collects and publishes. Receipts are JSON. */
export const MIGRATION_0002 = `
CREATE TABLE load (
  lane INTEGER NOT NULL, generation INTEGER NOT NULL, began_at INTEGER NOT NULL,
  state INTEGER NOT NULL, tries INTEGER NOT NULL, published_at INTEGER, opened TEXT, published TEXT, reason TEXT,
  chk INTEGER NOT NULL,
  PRIMARY KEY (lane, generation)
) WITHOUT ROWID;
`;
