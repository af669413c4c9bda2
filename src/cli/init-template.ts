/** What `waybill init` writes: one small flow that runs as it is, and the rest of the file as comments to uncomment. */
export const FLOW_FILE_TEMPLATE = `version: 1
flows:
  members:
    source: { connection: files, path: members.csv, key: [member_id] }
    sink: { connection: files, path: out }
`;
