/**
 * Every code that an error of Waybill can carry: the exit code that a command ends with, what it means, and what to
 * do. The pages in `docs/reference/errors/` are generated from here.
 */
export interface ErrorCodeEntry {
  readonly exit: number;
  readonly meaning: string;
  readonly hint: string;
}

const entry = (exit: number, meaning: string, hint: string): ErrorCodeEntry => ({ exit, meaning, hint });

export const ERROR_CODES = {
  USAGE: entry(2, 'The command was given words that it does not understand.', 'See `waybill help COMMAND`.'),
  CONFIG_INVALID: entry(
    2,
    'The flow file holds what its schema does not allow: an unknown key, a missing one, a value of the wrong kind.',
    'Correct the place that is named (file:line:column), then run `waybill check`.',
  ),
  CONFIG_NOT_FOUND: entry(
    2,
    'No flow file was found.',
    'Run `waybill init` to write one, or name it with --config FILE.',
  ),
  CONFIG_VARIABLE: entry(
    2,
    'The flow file refers to an environment variable that is not set and has no default.',
    'Set the variable, or give it a default: ${NAME:default}.',
  ),
  SECRET_MISSING: entry(
    2,
    'A secret that the flow file refers to cannot be read.',
    'Set the variable or create the file that is named.',
  ),
  FLOW_UNKNOWN: entry(2, 'There is no flow of this name in the flow file.', 'Run `waybill check` to list the flows.'),
  CONNECTION_UNKNOWN: entry(
    2,
    'A flow names a connection that the flow file does not define.',
    'Define it under `connections:`, or correct the name.',
  ),
  CONNECTOR_UNKNOWN: entry(2, 'No connector has this type.', 'Run `waybill connectors` to list them.'),
  DRIVER_MISSING: entry(
    2,
    'A connector needs a package that is not installed; heavy drivers are optional.',
    'Install the package that is named, with npm.',
  ),
  WINDOW_INVALID: entry(
    2,
    'The window is not one that this flow has.',
    'Give it as the flow cuts time: 2026-11-19 for days, 2026-11-19T05 for hours.',
  ),
  MAPPING_INVALID: entry(
    2,
    'The mapping of a lane cannot be carried out.',
    'Correct the mapping; `waybill check` tries it.',
  ),
  PROMISE_IMPOSSIBLE: entry(
    2,
    'The strategy needs something that the sink cannot do, so its promise could not be kept.',
    'Choose a strategy that fits the sink: `waybill plan` shows what each lane can promise.',
  ),
  SOURCE_FAILED: entry(
    5,
    'Reading the source failed. Nothing that was not sealed has been sent.',
    'Mend the source and run the same command again.',
  ),
  SOURCE_AWAY: entry(
    5,
    'The source cannot be reached, did not answer in time, or says that it cannot answer now (429, 5xx).',
    'Nothing was lost and the position has not moved: run the same command again later.',
  ),
  SOURCE_MISSING: entry(
    5,
    'There is nothing at the address of the source (404), at least not yet.',
    'Check the path; if it is right, run the same command again when the source is there. The position has not moved.',
  ),
  SOURCE_GONE: entry(
    2,
    'What the source was read from has been taken away for good (410).',
    'Ask its owner where it has gone and correct the address, or take the flow out. The position has not moved.',
  ),
  SOURCE_DENIED: entry(
    2,
    'The source does not let Waybill in (401, 403), or gives out no token.',
    'Check the credentials under `auth` of the connection, and what they are allowed to read.',
  ),
  SOURCE_REDIRECTED: entry(
    2,
    'The source refers to an address that the flow does not let it refer to.',
    'Name the new address in the flow file, or say with `redirects` of the source where it may lead.',
  ),
  SOURCE_INVALID: entry(2, 'The source cannot be read as it is described.', 'Correct the source in the flow file.'),
  SNAPSHOT_EMPTY: entry(
    2,
    'A snapshot that holds nothing would take back everything that the history holds.',
    'See that the source is right; if it is, say `history: { allowEmpty: true }`.',
  ),
  PULL_IMPOSSIBLE: entry(
    2,
    'The source cannot tell what is new.',
    'Give it what it needs for that, such as a cursor, or use windows of time.',
  ),
  SOURCE_TRIMMED: entry(
    1,
    'What the source held after the position is gone: it was removed before it was read. The position has not moved.',
    'The message names what is lost, and how to go on behind it. Keep more in the source, or pull more often.',
  ),
  SOURCE_REPLACED: entry(
    1,
    'The source was deleted, or made anew under the same name, since it was read. The position has not moved.',
    'If that was meant to happen, `waybill state FLOW reset` reads what is there now from its beginning.',
  ),
  RECORD_INVALID: entry(
    3,
    'The source holds a record that cannot be taken in, and the flow says to stop at one (`onReject: stop`).',
    'Correct the record, or set `onReject: skip` to go on without it and have it listed.',
  ),
  JSON_INVALID: entry(
    3,
    'A record of the source is not a JSON object.',
    'Correct the line that is named; the other records go on.',
  ),
  COPY_INVALID: entry(
    3,
    'A line of the text form of COPY has more or fewer fields than there are columns.',
    'Correct the line that is named, or name the columns that the COPY has; the other records go on.',
  ),
  VALUE_UNFIT: entry(
    3,
    'A value does not fit the type of its column: out of range, too many digits, no date, a NUL in text.',
    'Correct the value at its source, or give the column a wider type; the other records go on.',
  ),
  CSV_INVALID: entry(
    3,
    'A row is not CSV as RFC 4180 has it, has more or fewer fields than the header, or a value of another type.',
    'Correct the row that is named, or describe the file in the flow (delimiter, quote, types); the other rows go on.',
  ),
  TEXT_INVALID: entry(
    3,
    'A record of the source is not UTF-8 text, or holds a NUL.',
    'Convert the file to UTF-8; the other records go on.',
  ),
  DUPLICATE_KEY: entry(
    3,
    'Two records of one extraction have the same key, and the flow says to stop at that (`onDuplicate: fail`).',
    'Correct the query or the key; or let duplicates be sent and reported, or dropped and listed.',
  ),
  RECORD_TOO_LARGE: entry(
    3,
    'A record alone is larger than the sink takes in one batch: it is listed as refused, and the others go on. Or it ' +
      'is longer than its source may read: it is not taken in.',
    'Make the record smaller with a mapping; of one that the source refused raise `recordBytesMax` of the source.',
  ),
  NOT_APPLIED: entry(
    5,
    'The sink proved that nothing was applied.',
    'Nothing needs to be done: the engine tries again.',
  ),
  REFUSED: entry(
    3,
    'The sink refused the batch, and proved that nothing of it was applied.',
    'See `waybill records --state refused`; correct the data, then `waybill retry`.',
  ),
  SINK_FAILED: entry(
    1,
    'The sink failed in a way that proves nothing: the batch is in doubt.',
    'See `waybill doubts`.',
  ),
  SINK_AWAY: entry(
    5,
    'The sink cannot be reached; the batches that were not sent stay sealed.',
    'Run the same command again when it is back.',
  ),
  PERMIT_EXPIRED: entry(
    5,
    'A send came too late for its lease and was not begun.',
    'Nothing needs to be done: the batch is tried again by whoever holds the lease.',
  ),
  LEASE_HELD: entry(
    6,
    'Another process is working on this window.',
    'Wait for it to end, or for its lease to run out; `waybill status` says who holds it.',
  ),
  PLACE_IN_DOUBT: entry(
    4,
    'A batch of another window may stand at the place where this one would be written next.',
    'Start that window again, which settles it; `waybill doubts` shows the batch.',
  ),
  FENCED: entry(
    6,
    'Another process has taken this work over; what this one still wanted to write was refused.',
    'Nothing needs to be done: the other process goes on.',
  ),
  LEDGER_MISSING: entry(2, 'There is no ledger here yet.', 'Run a flow first, or name the ledger with --ledger PATH.'),
  LEDGER_NEWER: entry(
    2,
    'The ledger was written by a newer Waybill than this one.',
    'Use that version, or a newer one.',
  ),
  LEDGER_OLDER: entry(
    1,
    'The ledger has forgotten what it once knew: an old backup was restored, or its write-ahead log was lost.',
    'Bring back the newest ledger with its -wal file. Only if there is none: find out from the sink what was sent ' +
      'since, then delete the file `ledger.mark` in the staging folder and the folders of runs that are unknown now.',
  ),
  LEDGER_CORRUPT: entry(
    1,
    'The ledger disagrees with its own digests: something changed it behind its back. Nothing is decided by it.',
    'Stop, keep a copy, and run `waybill verify`; restore the ledger from a backup if it stays broken.',
  ),
  LEDGER_AWAY: entry(
    5,
    'The PostgreSQL server that holds the ledger cannot be reached, or did not answer in time.',
    'Check that it runs and can be reached from here, then run the same command again; nothing is sent twice by that.',
  ),
  LEDGER_BUSY: entry(5, 'The ledger is held by another process for too long.', 'Try again.'),
  LEDGER_WRITE: entry(
    5,
    'The ledger could not be written: a full disk, a read-only folder, a failing device.',
    'Make room or make the folder writable, then run the same command again.',
  ),
  STAGING_WRITE: entry(
    5,
    'The staged bytes could not be written. Nothing was sealed, nothing was sent.',
    'Make room or make the folder writable, then run the same command again.',
  ),
  STAGING_CORRUPT: entry(
    1,
    'Staged bytes are missing, or are not those that were sealed. The batch is not sent.',
    'Restore the staging folder from a backup and run the same command again. Without one, add `--refresh`: what was ' +
      'not sent is read from the source again. `waybill verify` lists what is broken.',
  ),
  RANGE_LOST: entry(
    1,
    'What a batch was made of is not in its source any more, or is not what was read. The batch is not sent.',
    'Put the file or object back as it was and run the same command again. Where nobody can, add `--refresh`: what ' +
      'was not sent is read from the source again, and what is in doubt is left to `waybill settle`. A pull is ' +
      'given up with `waybill cancel`. `waybill verify` lists what is lost. With `staging: copy` batches keep copies.',
  ),
  BYTES_NOT_KEPT: entry(
    1,
    'The bytes of a batch were in the memory of a process that has ended: its flow says `staging: none`.',
    'Run the flow again: the sink is asked what became of the batch, and what is not there is read from the source ' +
      'again. Add `--refresh` for what was refused, or if the flow has another `staging` by now. With ' +
      '`staging: copy` batches keep their bytes.',
  ),
  STAGING_READ: entry(
    5,
    'Staged bytes are there but cannot be read just now: no permission, a failing device, too many open files.',
    'Mend the disk or the permissions, then run the same command again.',
  ),
  JOURNAL_READ: entry(
    5,
    'The journal is there but cannot be read just now: no permission, a failing device.',
    'Mend the disk or the permissions, then run the same command again: it may hold answers that must be carried in.',
  ),
  JOURNAL_WRITE: entry(
    5,
    'An answer of the sink could not be written to the journal beside the staging folder.',
    'Make room or make the folder writable; the answer counts as lost until the ledger has it.',
  ),
  RUN_UNKNOWN: entry(2, 'The ledger knows no such run.', 'Run `waybill runs` to list them.'),
  BATCH_UNKNOWN: entry(2, 'The ledger knows no such batch.', 'Run `waybill batches` to list them.'),
  RECORD_UNKNOWN: entry(
    2,
    'The ledger knows no record with this key.',
    'Give the key as the source spells it; several columns in order.',
  ),
  MOVE_FORBIDDEN: entry(
    2,
    'This state cannot become that one.',
    'Look at the present state with `waybill batches` or `waybill runs`.',
  ),
  PERIOD_PARTIAL: entry(
    2,
    'A window cannot be loaded again without the other windows of its period.',
    'Load the whole period again with `waybill backfill`; the first window of it empties its place.',
  ),
  VERSION_GONE: entry(
    2,
    'The sink no longer keeps the version that a window would have to go back to.',
    'Begin with the earliest window that the message names, or with a fresh table.',
  ),
  LOAD_FAILED: entry(
    5,
    'A load could not be opened or published; readers see what they saw before.',
    'The reason is in the message. Run the same command again: only that step is done once more.',
  ),
  SCHEMA_DIFFERS: entry(
    5,
    'The columns of the source and those of the sink do not go together as the flow asks for; nothing was sent.',
    'What differs is in the message. Change the source, the sink, or `schema:` of the flow, then run it again.',
  ),
  SCHEMA_FAILED: entry(
    5,
    'The columns of a sink could not be read or changed; nothing was sent.',
    'The reason is in the message. Run the same command again: a change that was made already is not made twice.',
  ),
  RUN_PAUSED: entry(5, 'The run is paused.', 'Run `waybill resume` to let it go on.'),
  VERIFY_DIFFERENCE: entry(7, 'A verification found a difference.', 'Each difference is listed; nothing was changed.'),
  INTERRUPTED: entry(
    130,
    'The command was interrupted; what was in flight has been finished and recorded.',
    'Run the same command again to go on.',
  ),
  INVARIANT_BROKEN: entry(
    1,
    'Waybill found that its own books do not add up, and stopped.',
    'This is a bug in Waybill: please report it with the message and the ledger.',
  ),
  UNEXPECTED: entry(
    1,
    'Something that nobody foresaw.',
    'Please report it, with the output of the same command and --verbose.',
  ),
} as const satisfies Record<string, ErrorCodeEntry>;

export type ErrorCode = keyof typeof ERROR_CODES;
