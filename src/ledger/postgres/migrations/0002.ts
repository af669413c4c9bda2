/** Loads: what a generation brings to a lane that collects and publishes. Receipts are JSON. */
export const MIGRATION_0002 = `
CREATE TABLE load (
  lane BIGINT NOT NULL, generation BIGINT NOT NULL, began_at BIGINT NOT NULL,
  state BIGINT NOT NULL, tries BIGINT NOT NULL, published_at BIGINT, opened TEXT, published TEXT, reason TEXT,
  chk BIGINT NOT NULL,
  PRIMARY KEY (lane, generation)
);
`;
