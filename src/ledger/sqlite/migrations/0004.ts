/** What became of columns is found without walking through all events of a run. 19 and 20: kinds, see `codes.ts`. */
export const MIGRATION_0004 = `
CREATE INDEX event_schema_kept ON event (run) WHERE kind = 19;
CREATE INDEX event_columns_left_out ON event (run) WHERE kind = 20;
`;
