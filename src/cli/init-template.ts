/** What `waybill init` writes: one small flow that runs as it is, and the usual next ones as comments. */
export const FLOW_FILE_TEMPLATE = `# Flows of Waybill.
# \`waybill check\` reads this file and says what each flow can promise; \`waybill plan FLOW\` shows what a run would
# do, and sends nothing; \`waybill run FLOW\` moves the records.
# Every key: \`waybill schema\`. Places that records come from and go to: \`waybill connectors\`.
version: 1

# Where records come from and go to. The process's own streams (stdin, stdout) and files need no entry here.
# Secrets are references: a variable of the environment, read when it is used and never written anywhere.
connections: {}
#  warehouse: { type: postgres, url: "\${WAREHOUSE_URL}" }
#  crm: { type: http, url: "https://api.example.com", auth: { bearer: "\${CRM_TOKEN}" } }

flows:
  # Rows of a CSV file, to a file of JSON lines. The key tells a record from all others; without one, its content does.
  members:
    source: { connection: files, path: members.csv, key: [member_id] }
    sink: { connection: files, path: members.ndjson }

#  # Each day's changes, from a warehouse to an API that takes 100 records a request and keeps all that it is sent.
#  crm-daily:
#    source:
#      connection: warehouse
#      query: select * from members where updated_on = :date
#      key: [member_id]
#    sink: { connection: crm, path: /v1/members, batch: { maxRecords: 100 } }
#    strategy: ledgered-append
#    window: day
#    timezone: Europe/Berlin
#    schedule: "0 6 * * *"
#    # A lost answer leaves a batch in doubt: hold it until somebody settles it (or resend, or skip).
#    onDoubt: hold
`;
