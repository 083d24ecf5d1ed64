import { defineErrorCodes } from '../../worker/api/errors.ts'
import { awsFailureOf, isTransientName, isTransientStatus } from '../common/aws-errors.ts'
import { s3ErrorCodes } from '../common/s3-errors.ts'

export const redshiftErrorCodes = defineErrorCodes({
  CONNECT_METADATA_MESSAGE_INVALID: {
    meaning: 'A record of the metadata topic is not a message of version 1; the text names the member.',
    remedy: 'Correct the producer; errors.tolerance=all sends such records to the dead letter queue.',
  },
  CONNECT_REDSHIFT_UNAVAILABLE: {
    meaning: 'The Data API does not answer, throttles, or has too many active statements.',
    remedy: 'Nothing, when it passes: the sink tries again.',
  },
  CONNECT_REDSHIFT_REJECTED: {
    meaning: 'The Data API refuses the call: names, credentials or rights are wrong.',
    remedy:
      'Check workgroup or cluster, database, secret and the rights of the principal (redshift-data:BatchExecuteStatement …).',
  },
  CONNECT_REDSHIFT_STATEMENT: {
    meaning: 'A statement fails in the warehouse for a reason that will not pass.',
    remedy: 'Read the error of the warehouse: often a missing table, column or right.',
  },
  CONNECT_REDSHIFT_BAD_DATA: {
    meaning: 'COPY refuses rows of a file, or the number of rows is not that of the message.',
    remedy:
      'See sys_load_error_detail; correct the table or the file, then produce the message again (the ledger has not seen it).',
  },
  CONNECT_REDSHIFT_FILE_MISSING: {
    meaning: 'A file of a message does not exist any more.',
    remedy: 'Restore the object, or set behavior.on.missing.file.',
  },
  CONNECT_REDSHIFT_OVERLAP: {
    meaning: 'A file holds offsets that another loaded file of its directory holds, too.',
    remedy: 'Set overlap.policy=filter (rows need __partition and __offset), skip or load.',
  },
  CONNECT_REDSHIFT_TABLE_MISSING: {
    meaning: 'The target table does not exist and cannot be created.',
    remedy: 'Create it, or set auto.create=true and let the messages carry columns (notify.include.schema=true).',
  },
  CONNECT_REDSHIFT_LOAD_FAILED: {
    meaning: 'A load failed max.retries times for reasons that may pass.',
    remedy: 'Read the last error; raise max.retries or repair the warehouse, then restart the task.',
  },
  CONNECT_REDSHIFT_FORMAT: {
    meaning:
      'A message tells of files that cannot be loaded as configured: format, compression, what rows lack, names of tables or columns, or more directories than one call of the Data API takes.',
    remedy: 'See the text; change the S3 sink, or the options of this one.',
  },
  CONNECT_REDSHIFT_UPSERT_COLUMNS: {
    meaning: 'The target table lacks columns that insert.mode=upsert works with.',
    remedy:
      'Add them, or set upsert.fence=false when __partition and __offset (with several topics __topic) are not wanted in the table.',
  },
  CONNECT_REDSHIFT_EVOLUTION: {
    meaning: 'A message has a column that the table lacks and that may not be null, so no column can be added for it.',
    remedy: 'Add the column with a default yourself, or make the field optional at the source.',
  },
  ...s3ErrorCodes,
})

/** Errors of calls to the Data API that may pass, beside those of every service. */
const transientNames: ReadonlySet<string> = new Set([
  'ActiveStatementsExceededException',
  'ActiveSessionsExceededException',
  'InternalServerException',
  'DatabaseConnectionException',
  'ExecuteStatementException',
  'BatchExecuteStatementException',
  'QueryTimeoutException',
  'ActiveWaitingRequestsExceededException',
])

/** Whether a failed call to the Data API may be repeated with the same token. */
export function isTransientCall(error: unknown): boolean {
  const { name, status } = awsFailureOf(error)
  return transientNames.has(name) || isTransientName(name) || isTransientStatus(status)
}

/** Whether the service says that it is too busy: not a failure, but a request to slow down (statement R41). */
export function isThrottled(error: unknown): boolean {
  const { name, status } = awsFailureOf(error)
  return busyNames.has(name) || status === 429
}

const busyNames: ReadonlySet<string> = new Set([
  'ThrottlingException',
  'ActiveStatementsExceededException',
  'ActiveSessionsExceededException',
])

/** What the failure of a statement calls for. */
export type StatementFailure =
  | 'transient'
  | 'guard'
  | 'data'
  | 'missing-file'
  | 'missing-table'
  | 'missing-column'
  | 'fatal'

const viewsOfErrors = /Check '(sys_load_error_detail|stl_load_errors)' system table/i

/** Whether COPY says that the views of load errors know more. */
export const refersToViews = (text: string): boolean => viewsOfErrors.test(text)

/**
 * The Data API tells of SQL errors by their text alone: no code, no state. Hence the one place of this project that
 * decides by message text; first match wins.
 */
const statementRules: readonly (readonly [RegExp, StatementFailure])[] = [
  [/divi(de|sion) by zero|\b22012\b/i, 'guard'],
  [viewsOfErrors, 'data'],
  // Rows that COPY takes into a stage, and the table does not.
  [/violates not-null constraint|Cannot insert a NULL value/i, 'data'],
  [/JSON parsing error|invalid input syntax for type json|value too long for type|out of range|overflow/i, 'data'],
  [
    /NoSuchKey|NoSuchBucket|specified key does not exist|\b404\b|Mandatory (file|url).*(not|missing)|Problem reading manifest file/i,
    'missing-file',
  ],
  [/AccessDenied|not authorized to (assume|get)|unauthorized|permission denied|PermanentRedirect/i, 'fatal'],
  // Before what may pass: names of tables and columns may hold its words ("connections", "conflict").
  [/column .* does not exist/i, 'missing-column'],
  [/relation .* does not exist|table .* (does not exist|not found)/i, 'missing-table'],
  [
    /\b1023\b|Serializable isolation|deadlock|\b1018\b|could not open relation|conflict|system requested abort/i,
    'transient',
  ],
  [/connection|Disk Full|WLM|query cancel+ed|statement timeout|being resumed|is paused/i, 'transient'],
]

/** What to look at first when the warehouse may not, or cannot, read the files; first match wins. */
const hints: readonly (readonly [RegExp, string])[] = [
  [/PermanentRedirect|different region|specified endpoint/i, 'set copy.region to the region of the bucket'],
  [/not authorized to (assume|get)|sts:AssumeRole/i, 'check copy.iam.role: its trust, and that the cluster has it'],
  [/AccessDenied|Access Denied|\b403\b/i, 'check that copy.iam.role may read the bucket and the manifests'],
  [/permission denied/i, 'grant the user of the sink INSERT, for upserts also SELECT, UPDATE and DELETE'],
]

/** The error of a statement with what to do about it, where that is known. */
export function withHint(error: string): string {
  for (const [pattern, hint] of hints) if (pattern.test(error)) return `${error} (${hint})`
  return error
}

export function classifyStatement(text: string): StatementFailure {
  for (const [pattern, failure] of statementRules) if (pattern.test(text)) return failure
  return 'fatal'
}
