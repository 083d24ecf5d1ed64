import { ConnectError, defineErrorCodes, type ErrorCode, RetriableError, toError } from '../../worker/api/errors.ts'

/** Codes of this connector; the reference is generated from them. */
export const postgresErrorCodes = defineErrorCodes({
  CONNECT_POSTGRES_CONNECTION: {
    meaning: 'The connection to PostgreSQL was lost or could not be made.',
    remedy: 'Nothing when the server comes back; otherwise check host, port, TLS mode and pg_hba.conf.',
  },
  CONNECT_POSTGRES_AUTHENTICATION: {
    meaning: 'PostgreSQL refused the user.',
    remedy: 'Correct database.user and database.password, or the rule in pg_hba.conf.',
  },
  CONNECT_POSTGRES_PRIVILEGE: {
    meaning: 'The role lacks a privilege.',
    remedy:
      'ALTER ROLE … REPLICATION; GRANT USAGE on the schemas and SELECT on the captured tables; own the publication or ' +
      'create it before; ALTER ROLE … BYPASSRLS where row-level security would hide rows from a snapshot.',
  },
  CONNECT_POSTGRES_BUSY: {
    meaning: 'A resource of the server is in use or a statement ran out of time.',
    remedy: 'It is tried again. Find the holder in pg_replication_slots.active_pid, pg_locks or pg_stat_activity.',
  },
  CONNECT_POSTGRES_SERVER: {
    meaning: 'PostgreSQL reported an error that trying again may overcome.',
    remedy: 'It is tried again up to errors.max.retries; see the SQLSTATE in the trace.',
  },
  CONNECT_POSTGRES_SETUP: {
    meaning: 'The server or the database is not prepared for logical decoding.',
    remedy: 'Set wal_level=logical, raise max_replication_slots or max_wal_senders, or create the publication.',
  },
  CONNECT_POSTGRES_PUBLICATION: {
    meaning: 'The publication is missing or does not hold the captured tables.',
    remedy: 'Create it, or set publication.autocreate.mode to filtered or all_tables.',
  },
  CONNECT_POSTGRES_SLOT: {
    meaning: 'The replication slot is missing, belongs to another plugin or lost its log.',
    remedy: 'Drop the slot and take a new snapshot (snapshot.mode=when_needed, or remove the offset).',
  },
  CONNECT_POSTGRES_POSITION: {
    meaning: 'The stored position and the slot or server do not fit.',
    remedy: 'Take a new snapshot, or choose offset.mismatch.strategy deliberately: events may be lost otherwise.',
  },
  CONNECT_POSTGRES_SYSTEM: {
    meaning: 'The stored position belongs to another server: the system identifier has changed.',
    remedy: 'Correct database.hostname, or remove the offset to take a new snapshot.',
  },
  CONNECT_POSTGRES_SNAPSHOT: {
    meaning: 'The initial snapshot cannot be taken as configured.',
    remedy: 'See the message; snapshot.mode=initial starts it again.',
  },
  CONNECT_POSTGRES_PROTOCOL: {
    meaning: 'A replication message does not follow the pgoutput protocol.',
    remedy: 'Check the server version and that no proxy changes the stream.',
  },
  CONNECT_POSTGRES_COLUMN_NAMES: {
    meaning: 'Column names of a table differ only by case.',
    remedy: 'Rename a column or exclude the table.',
  },
  CONNECT_POSTGRES_VALUE: {
    meaning: 'A column value has no representation in its schema.',
    remedy: 'Choose another handling mode for the type.',
  },
  CONNECT_POSTGRES_VALUE_REFUSED: {
    meaning: 'A column value has no representation and event.converting.failure.handling.mode is fail.',
    remedy: 'Choose another handling mode for the type, or let such values become null (warn).',
  },
  CONNECT_POSTGRES_ENCODING: {
    meaning: 'A database without an encoding (SQL_ASCII), or of a lossy one, holds text that UTF-8 cannot express.',
    remedy: 'Take the column out of the publication (a column list), or correct the row and take a new snapshot.',
  },
  CONNECT_POSTGRES_POOLER: {
    meaning: 'The connection leads through a connection pooler.',
    remedy: 'Set database.hostname and database.port to the server itself.',
  },
  CONNECT_POSTGRES_SIGNALS: {
    meaning: 'The topic of signals cannot be read as configured.',
    remedy: 'Check signal.kafka.bootstrap.servers, signal.kafka.topic and signal.consumer.*.',
  },
  CONNECT_POSTGRES_RESUME: {
    meaning: 'The stored position was not found in its transaction; the transaction is emitted again as a whole.',
    remedy: 'Nothing: events of one transaction may repeat.',
  },
})

type Outcome = 'retriable' | 'fatal'

interface Rule {
  /** A whole SQLSTATE or its class of two characters. */
  readonly state: string
  readonly outcome: Outcome
  readonly code: ErrorCode
  readonly reason: string
  /** What to do, where more is known than the code says. */
  readonly remedy?: string
}

/** First match counts. Everything that the server says and that is not listed is retriable, as in Debezium. */
export const sqlStateRules: readonly Rule[] = [
  { state: '28', outcome: 'fatal', code: 'CONNECT_POSTGRES_AUTHENTICATION', reason: 'wrong credentials stay wrong' },
  { state: '42501', outcome: 'fatal', code: 'CONNECT_POSTGRES_PRIVILEGE', reason: 'needs a GRANT' },
  {
    state: '3D000',
    outcome: 'fatal',
    code: 'CONNECT_POSTGRES_SETUP',
    reason: 'no such database',
    remedy: 'Correct database.dbname, or create the database.',
  },
  { state: '58P01', outcome: 'fatal', code: 'CONNECT_POSTGRES_SLOT', reason: 'the log the slot needs was removed' },
  { state: '55000', outcome: 'fatal', code: 'CONNECT_POSTGRES_SLOT', reason: 'slot invalidated, or wal_level too low' },
  {
    state: '42704',
    outcome: 'fatal',
    code: 'CONNECT_POSTGRES_PUBLICATION',
    reason: 'publication or slot does not exist',
    remedy:
      'If the publication is there by now, it was made after changes that the slot has still to send, and those cannot be ' +
      'sent with it: go on with the former publication.name, or stop the connector, drop the slot, remove the offset and ' +
      'take a new snapshot. Otherwise create it, or set publication.autocreate.mode to filtered or all_tables.',
  },
  { state: '42710', outcome: 'fatal', code: 'CONNECT_POSTGRES_SLOT', reason: 'a slot of that name exists already' },
  {
    state: '53400',
    outcome: 'fatal',
    code: 'CONNECT_POSTGRES_SETUP',
    reason: 'all replication slots are in use',
    remedy:
      'Drop a slot that nobody reads (pg_replication_slots), or raise max_replication_slots and restart the server; a ' +
      'snapshot beside an existing slot takes a second one for its duration.',
  },
  {
    state: '22021',
    outcome: 'fatal',
    code: 'CONNECT_POSTGRES_ENCODING',
    reason: 'the same bytes come again, and are no text',
  },
  {
    state: '22P05',
    outcome: 'fatal',
    code: 'CONNECT_POSTGRES_ENCODING',
    reason: 'the same character comes again, and has no equivalent',
  },
  { state: '0A000', outcome: 'fatal', code: 'CONNECT_POSTGRES_SETUP', reason: 'the server lacks the feature' },
  {
    state: '42',
    outcome: 'fatal',
    code: 'CONNECT_POSTGRES_SETUP',
    reason: 'a configured statement is wrong, or what it reads has gone',
    remedy:
      'If a table or column was dropped or renamed while it was to be read, restart the task: it goes on with those that are ' +
      'there. Otherwise correct the statement that is configured, as in snapshot.select.statement.overrides.',
  },
  {
    state: '08P01',
    outcome: 'fatal',
    code: 'CONNECT_POSTGRES_POOLER',
    reason: 'what a pooler answers to a replication connection',
  },
  { state: '08', outcome: 'retriable', code: 'CONNECT_POSTGRES_CONNECTION', reason: 'connection exception' },
  {
    state: '57P',
    outcome: 'retriable',
    code: 'CONNECT_POSTGRES_CONNECTION',
    reason: 'server starts, stops or fails over',
  },
  { state: '55006', outcome: 'retriable', code: 'CONNECT_POSTGRES_BUSY', reason: 'another process holds the slot' },
  { state: '55P03', outcome: 'retriable', code: 'CONNECT_POSTGRES_BUSY', reason: 'lock not available' },
  { state: '57014', outcome: 'retriable', code: 'CONNECT_POSTGRES_BUSY', reason: 'statement timeout' },
  { state: '40', outcome: 'retriable', code: 'CONNECT_POSTGRES_BUSY', reason: 'deadlock or serialization failure' },
  {
    state: '53300',
    outcome: 'retriable',
    code: 'CONNECT_POSTGRES_BUSY',
    reason: 'no connection or walsender is left',
    remedy:
      'It is tried again. Raise max_connections, max_wal_senders or the CONNECTION LIMIT of the role or database; see ' +
      'pg_stat_activity and pg_stat_replication.',
  },
  { state: '53', outcome: 'retriable', code: 'CONNECT_POSTGRES_BUSY', reason: 'too many connections, disk or memory' },
]

const networkCodes = new Set(
  'ECONNREFUSED ECONNRESET ECONNABORTED EPIPE ETIMEDOUT EHOSTUNREACH ENETUNREACH EHOSTDOWN ENOTFOUND EAI_AGAIN'.split(
    ' ',
  ),
)

/** What Node says of a certificate that it does not accept; trying again changes none of it. */
const certificateCodes = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REVOKED',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'INVALID_CA',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

const certificateRemedy =
  'database.sslrootcert must be the certificate of the authority that signed that of the server, and with ' +
  'database.sslmode=verify-full the certificate must have the name in database.hostname; verify-ca accepts any name.'

/** Messages of `pg` for lost connections, which it gives no code. */
const lostConnection = new Set([
  'Connection terminated',
  'Connection terminated unexpectedly',
  'Connection terminated due to connection timeout',
  'timeout expired',
  'Client has encountered a connection error and is not queryable',
  'Client was closed and is not queryable',
])

function codeOf(error: unknown): string | null {
  const code = error instanceof Error && 'code' in error ? error.code : null
  return typeof code === 'string' ? code : null
}

/** SQLSTATE of an error of the server, else null. */
export function sqlStateOf(error: unknown): string | null {
  const code = codeOf(error)
  return code !== null && /^[0-9A-Z]{5}$/.test(code) && !networkCodes.has(code) ? code : null
}

export interface Attempt {
  /** What was attempted, e.g. `read the replication stream`. */
  readonly what: string
  readonly slot?: string
  readonly publication?: string
  readonly retryAfterMs?: number
  /** What to do when the server refuses it, where more is known than its SQLSTATE says. */
  readonly remedy?: string
}

/** Any error of the driver or server as one of ours; ours pass as they are. */
export function classify(error: unknown, attempt: Attempt): ConnectError {
  if (error instanceof ConnectError) return error
  const cause = toError(error)
  const { what, retryAfterMs, remedy: better, ...context } = attempt
  const retry = retryAfterMs === undefined ? {} : { retryAfterMs }
  const state = sqlStateOf(error)
  const message = (remedy: string) => `Could not ${what}: ${cause.message}. ${remedy}`
  if (state === null) {
    const code = codeOf(error)
    if (code !== null && certificateCodes.has(code))
      return new ConnectError('fatal', 'CONNECT_POSTGRES_CONNECTION', message(certificateRemedy), { cause, context })
    if ((code === null || !networkCodes.has(code)) && !lostConnection.has(cause.message)) {
      return new ConnectError('fatal', 'CONNECT_POSTGRES_SERVER', message('See the cause.'), { cause, context })
    }
    const remedy = postgresErrorCodes.CONNECT_POSTGRES_CONNECTION.remedy
    return new RetriableError('CONNECT_POSTGRES_CONNECTION', message(remedy), { cause, context, ...retry })
  }
  const rule = sqlStateRules.find((candidate) => state.startsWith(candidate.state))
  const code: ErrorCode = rule?.code ?? 'CONNECT_POSTGRES_SERVER'
  const details = { cause, context: { ...context, sqlState: state } }
  const remedy = `SQLSTATE ${state}. ${better ?? rule?.remedy ?? remedyOf(code)}`
  return rule?.outcome === 'fatal'
    ? new ConnectError('fatal', code, message(remedy), details)
    : new RetriableError(code, message(remedy), { ...details, ...retry })
}

function remedyOf(code: ErrorCode): string {
  return Object.entries(postgresErrorCodes).find(([known]) => known === code)?.[1].remedy ?? ''
}
