/**
 * Errors as plain data between threads. Structured cloning drops classes, codes and causes, and the framework decides
 * by `kind`; so an error is encoded on one side and rebuilt with the same kind, code, stack and cause chain on the
 * other.
 */
import {
  AlreadyExistsError,
  BatchError,
  ConfigError,
  type ConfigProblem,
  ConnectError,
  DataError,
  type ErrorCode,
  type ErrorContext,
  type ErrorKind,
  FencedError,
  NotFoundError,
  NotLeaderError,
  RebalanceInProgressError,
  RequestError,
  RetriableError,
} from '../api/errors.ts'

/** An error that survives a structured clone. */
export interface EncodedError {
  readonly name: string
  readonly message: string
  readonly stack: string | null
  /** Null for an error that is not a `ConnectError`. */
  readonly connect: EncodedConnectError | null
  readonly cause: EncodedError | null
}

interface EncodedConnectError {
  readonly kind: ErrorKind
  readonly code: ErrorCode
  readonly context: ErrorContext
  readonly retryAfterMs: number | null
  readonly status: number | null
  readonly url: string | null
  readonly problems: readonly ConfigProblem[] | null
  readonly failures: readonly (readonly [number, EncodedError])[] | null
}

/** Causes nested deeper than this are cut: a cycle in a cause chain must not hang the worker. */
const maxCauseDepth = 16

export function encodeError(error: unknown, depth = 0): EncodedError {
  if (!(error instanceof Error)) {
    return { name: 'Error', message: String(error), stack: null, connect: null, cause: null }
  }
  const cause = error.cause === undefined || depth >= maxCauseDepth ? null : encodeError(error.cause, depth + 1)
  return {
    name: error.name,
    message: error.message,
    stack: error.stack ?? null,
    connect: error instanceof ConnectError ? encodeConnectError(error, depth) : null,
    cause,
  }
}

function encodeConnectError(error: ConnectError, depth: number): EncodedConnectError {
  return {
    kind: error.kind,
    code: error.code,
    context: { ...error.context },
    retryAfterMs: error instanceof RetriableError ? error.retryAfterMs : null,
    status: error instanceof RequestError ? error.status : null,
    url: error instanceof NotLeaderError ? error.url : null,
    problems: error instanceof ConfigError ? error.problems.map(({ option, message }) => ({ option, message })) : null,
    failures:
      error instanceof BatchError && depth < maxCauseDepth
        ? [...error.failures].map(([index, failure]) => [index, encodeError(failure, depth + 1)] as const)
        : null,
  }
}

/** The inverse of `encodeError`: an instance of the same class, with the original stack text. */
export function decodeError(encoded: EncodedError): Error {
  const error = instantiate(encoded)
  if (error.name !== encoded.name) define(error, 'name', encoded.name)
  if (encoded.stack !== null) define(error, 'stack', encoded.stack)
  return error
}

function define(error: Error, property: 'name' | 'stack', value: string): void {
  Object.defineProperty(error, property, { value, configurable: true, writable: true, enumerable: false })
}

function instantiate({ name, message, connect, cause }: EncodedError): Error {
  const options = cause === null ? {} : { cause: decodeError(cause) }
  if (connect === null) return new Error(message, options)
  const { kind, code, context } = connect
  const withContext = { ...options, context }
  switch (kind) {
    case 'retriable':
      return new RetriableError(
        code,
        message,
        connect.retryAfterMs === null ? withContext : { ...withContext, retryAfterMs: connect.retryAfterMs },
      )
    case 'record':
      return new DataError(code, message, withContext)
    case 'fenced':
      return new FencedError(code, message, withContext)
    case 'config':
      return new ConfigError(connect.problems ?? [], withContext)
    case 'batch':
      return new BatchError(
        code,
        message,
        new Map((connect.failures ?? []).map(([index, failure]) => [index, decodeError(failure)])),
        withContext,
      )
    case 'request':
      return requestError(name, message, connect, withContext)
    case 'fatal':
      return new ConnectError('fatal', code, message, withContext)
  }
}

function requestError(
  name: string,
  message: string,
  { status, url, code }: EncodedConnectError,
  options: { readonly cause?: unknown; readonly context: ErrorContext },
): RequestError {
  switch (name) {
    case 'NotFoundError':
      return new NotFoundError(message, options)
    case 'AlreadyExistsError':
      return new AlreadyExistsError(message, options)
    case 'RebalanceInProgressError':
      return new RebalanceInProgressError(message, options)
    case 'NotLeaderError':
      return new NotLeaderError(message, url, options)
    default:
      return new RequestError(status ?? 500, code, message, options)
  }
}

/**
 * The Java class that an error of this kind would be: what reads states and dead letter queues (alerts, scripts,
 * replays) matches on these names, in `trace` and in `__connect.errors.exception.class.name`.
 */
const javaErrorClass: Readonly<Partial<Record<ErrorKind, string>>> = {
  record: 'org.apache.kafka.connect.errors.DataException',
  retriable: 'org.apache.kafka.connect.errors.RetriableException',
  config: 'org.apache.kafka.common.config.ConfigException',
}

/** Java name for our own errors, the JavaScript class name for any other. */
export function errorClassName(error: Error): string {
  if (!(error instanceof ConnectError)) return error.name
  return javaErrorClass[error.kind] ?? 'org.apache.kafka.connect.errors.ConnectException'
}

/**
 * Trace text of a status, in Java's form: `ClassName: message` (the class alone without a message) on line one, stack lines after it, each with a tab, then
 * `Caused by:` per cause.
 * Values of passwords never stand in messages (I8).
 */
export function traceOf(error: unknown): string {
  const parts: string[] = []
  let current: unknown = error
  for (let depth = 0; depth <= maxCauseDepth && current !== undefined; depth++) {
    if (!(current instanceof Error)) {
      parts.push(`Error: ${String(current)}`)
      break
    }
    const { cause } = current
    // A wrapper that says the same as its cause only changes what is done about it.
    if (cause instanceof Error && cause !== current && cause.message === current.message) {
      current = cause
      continue
    }
    const name = errorClassName(current)
    const head = current.message === '' ? name : `${name}: ${current.message}`
    parts.push([head, ...stackLines(current)].join('\n'))
    current = cause
  }
  return parts.join('\nCaused by: ')
}

function stackLines(error: Error): readonly string[] {
  return (error.stack ?? '')
    .split('\n')
    .filter((line) => line.startsWith('    at '))
    .map((line) => `\t${line.trimStart()}`)
}
