/**
 * Errors that cross the plugin boundary. The framework decides by `kind`, never by message text or `instanceof`:
 * an error that came from another thread is plain data with the same `kind` and `code`.
 */
export type ErrorKind = 'retriable' | 'record' | 'batch' | 'config' | 'request' | 'fenced' | 'fatal'

/** Stable identifier of one error; listed with its remedy in the generated reference. */
export type ErrorCode = `CONNECT_${string}`

/**
 * Plain data about what was attempted; never holds a secret or a record's content (I8). Entries whose name has a dot
 * (`kc.redshift.file`) are meant for whoever reads a dead letter, too: they are headers of it.
 */
export type ErrorContext = Readonly<Record<string, string | number | bigint | boolean | null | undefined>>

export interface ErrorOptions {
  readonly cause?: unknown
  readonly context?: ErrorContext
}

export class ConnectError extends Error {
  override readonly name: string = 'ConnectError'
  readonly kind: ErrorKind
  readonly code: ErrorCode
  readonly context: ErrorContext

  constructor(kind: ErrorKind, code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.kind = kind
    this.code = code
    this.context = options.context ?? {}
  }
}

/** The same call may succeed later; the framework repeats it with capped exponential back-off and jitter. */
export class RetriableError extends ConnectError {
  override readonly name = 'RetriableError'
  /** Earliest useful repeat, in ms from now; null leaves it to the framework. */
  readonly retryAfterMs: number | null

  constructor(code: ErrorCode, message: string, options: ErrorOptions & { readonly retryAfterMs?: number } = {}) {
    super('retriable', code, message, options)
    this.retryAfterMs = options.retryAfterMs ?? null
  }
}

/** One record cannot be processed; `errors.tolerance` decides what follows (KIP-298). */
export class DataError extends ConnectError {
  override readonly name = 'DataError'

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super('record', code, message, options)
  }
}

/**
 * Thrown by `put`: the records at the given indices of the batch failed, each by the kind of its own error; the
 * others count as written.
 */
export class BatchError extends ConnectError {
  override readonly name = 'BatchError'
  readonly failures: ReadonlyMap<number, Error>

  constructor(code: ErrorCode, message: string, failures: ReadonlyMap<number, Error>, options: ErrorOptions = {}) {
    super('batch', code, message, options)
    this.failures = failures
  }
}

/** One thing wrong with one option; `option` is the full key as the user wrote it. */
export interface ConfigProblem {
  readonly option: string
  readonly message: string
}

/** All problems of one configuration at once: 400 on REST, FAILED at start. */
export class ConfigError extends ConnectError {
  override readonly name = 'ConfigError'
  readonly problems: readonly ConfigProblem[]

  constructor(problems: readonly ConfigProblem[], options: ErrorOptions = {}) {
    super('config', 'CONNECT_CONFIG_INVALID', problems.map((p) => `${p.option}: ${p.message}`).join('\n'), options)
    this.problems = problems
  }
}

/** A REST request that cannot be carried out; `status` is the HTTP status of the answer. */
export class RequestError extends ConnectError {
  override readonly name: string = 'RequestError'
  readonly status: number

  constructor(status: number, code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super('request', code, message, options)
    this.status = status
  }
}

export class NotFoundError extends RequestError {
  override readonly name = 'NotFoundError'

  constructor(message: string, options: ErrorOptions = {}) {
    super(404, 'CONNECT_NOT_FOUND', message, options)
  }
}

export class AlreadyExistsError extends RequestError {
  override readonly name = 'AlreadyExistsError'

  constructor(message: string, options: ErrorOptions = {}) {
    super(409, 'CONNECT_ALREADY_EXISTS', message, options)
  }
}

export class RebalanceInProgressError extends RequestError {
  override readonly name = 'RebalanceInProgressError'

  constructor(message: string, options: ErrorOptions = {}) {
    super(409, 'CONNECT_REBALANCE_IN_PROGRESS', message, options)
  }
}

/** Only the leader (or the owner, for restarts) may do this; `url` is where to forward to, null when unknown. */
export class NotLeaderError extends RequestError {
  override readonly name = 'NotLeaderError'
  readonly url: string | null

  constructor(message: string, url: string | null, options: ErrorOptions = {}) {
    super(409, 'CONNECT_NOT_LEADER', message, options)
    this.url = url
  }
}

/** Another owner exists; stop quietly (I7). */
export class FencedError extends ConnectError {
  override readonly name = 'FencedError'

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super('fenced', code, message, options)
  }
}

/** Kind of any caught value; what is not a `ConnectError` is fatal, never retriable by default. */
export function kindOf(error: unknown): ErrorKind {
  return error instanceof ConnectError ? error.kind : 'fatal'
}

/** Any caught value as an Error, so that a thrown string does not lose its text. */
export function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}

/** Codes of one area with what each means and what to do about it; the reference is generated from these. */
export type ErrorCodes = Readonly<Record<ErrorCode, { readonly meaning: string; readonly remedy: string }>>

export function defineErrorCodes<const C extends ErrorCodes>(codes: C): C {
  return codes
}
