import { type Level, type LoggerOptions, pino } from 'pino'
import type { LogFields, Logger } from '../api/context.ts'
import { ConnectError } from '../api/errors.ts'

/** Levels as Connect's REST API names them (Log4j), from quietest to loudest. */
export const logLevels = ['OFF', 'FATAL', 'ERROR', 'WARN', 'INFO', 'DEBUG', 'TRACE', 'ALL'] as const
export type LogLevel = (typeof logLevels)[number]

/** A level by its name in any case; null when there is no such level. */
export function parseLogLevel(text: string): LogLevel | null {
  const upper = text.toUpperCase()
  return logLevels.find((level) => level === upper) ?? null
}

const pinoLevels: Readonly<Record<LogLevel, Level | 'silent'>> = {
  OFF: 'silent',
  FATAL: 'fatal',
  ERROR: 'error',
  WARN: 'warn',
  INFO: 'info',
  DEBUG: 'debug',
  TRACE: 'trace',
  ALL: 'trace',
}

export interface NamespaceLevel {
  /** Effective level. */
  readonly level: LogLevel
  /** Milliseconds since 1970; null as long as nobody changed it since the process started. */
  readonly lastModified: number | null
}

/** Where lines go; one complete JSON line per call. */
export interface LogDestination {
  write(line: string): void
}

export interface LoggersOptions {
  readonly level?: LogLevel
  /** Default: standard output. */
  readonly destination?: LogDestination
  /** Fields of every line. */
  readonly base?: LogFields
  readonly now?: () => number
}

/** Lines that wait for room on the disk, in characters; more are dropped. */
const maxUnwritten = 1 << 20

/**
 * Standard output, written synchronously, so that the last line before a crash is there. A descriptor that cannot take a
 * line (a full disk, a reader that is gone) costs lines and not the process: whoever tells of its work must not fail
 * because nobody can hear it.
 */
export function standardOutput(fd = 1): LogDestination {
  const output = pino.destination({ fd, sync: true, maxLength: maxUnwritten })
  output.on('error', () => undefined)
  return output
}

interface Namespace {
  level: LogLevel
  lastModified: number | null
  readonly children: Set<WeakRef<LeveledLogger>>
}

export const rootNamespace = 'root'

/**
 * The loggers of one thread: a level per namespace, changed at run time by `PUT /admin/loggers/{namespace}`.
 * Namespaces are dotted; setting one sets every namespace whose name begins with it, as Connect does (4.14), and a
 * namespace asked for later takes the level of its nearest ancestor.
 */
export class Loggers {
  readonly #namespaces = new Map<string, Namespace>()
  readonly #pino
  readonly #now: () => number

  constructor(options: LoggersOptions = {}) {
    this.#now = options.now ?? Date.now
    const settings: LoggerOptions = {
      // Levels are decided per namespace before a line gets here.
      level: 'trace',
      base: { ...options.base },
      messageKey: 'message',
      timestamp: () => `,"time":"${new Date(this.#now()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label.toUpperCase() }) },
    }
    this.#pino = pino(settings, options.destination ?? standardOutput())
    this.#namespaces.set(rootNamespace, { level: options.level ?? 'INFO', lastModified: null, children: new Set() })
  }

  /** A logger of this namespace; `fields` (connector, task, …) are added to each of its lines. */
  logger(namespace: string, fields: LogFields = {}): Logger {
    const known = this.#namespace(namespace)
    const logger = new LeveledLogger(
      this.#pino.child({ logger: namespace, ...redact(fields) }, { level: pinoLevels[known.level] }),
    )
    known.children.add(new WeakRef(logger))
    return logger
  }

  /** Every namespace asked for or set so far, sorted, with `root` among them. */
  levels(): ReadonlyMap<string, NamespaceLevel> {
    const sorted = [...this.#namespaces].sort(([a], [b]) => (a < b ? -1 : 1))
    return new Map(sorted.map(([name, { level, lastModified }]) => [name, { level, lastModified }]))
  }

  /**
   * Sets a namespace and all below it; `root` (any case) sets everything.
   * @returns the namespaces whose level this changed, sorted; an unchanged one keeps its modification time
   */
  setLevel(namespace: string, level: LogLevel): readonly string[] {
    const isRoot = namespace.toLowerCase() === rootNamespace
    const name = isRoot ? rootNamespace : namespace
    this.#namespace(name)
    const changed: string[] = []
    for (const [candidate, state] of this.#namespaces) {
      if (!isRoot && !candidate.startsWith(name)) continue
      if (state.level === level) continue
      state.level = level
      state.lastModified = this.#now()
      changed.push(candidate)
      for (const reference of state.children) {
        const child = reference.deref()
        if (child === undefined) state.children.delete(reference)
        else child.setLevel(pinoLevels[level])
      }
    }
    return changed.sort()
  }

  #namespace(name: string): Namespace {
    const known = this.#namespaces.get(name)
    if (known !== undefined) return known
    const created: Namespace = { level: this.#inherited(name), lastModified: null, children: new Set() }
    this.#namespaces.set(name, created)
    return created
  }

  #inherited(name: string): LogLevel {
    for (let end = name.lastIndexOf('.'); end > 0; end = name.lastIndexOf('.', end - 1)) {
      const ancestor = this.#namespaces.get(name.slice(0, end))
      if (ancestor !== undefined) return ancestor.level
    }
    return this.#namespaces.get(rootNamespace)?.level ?? 'INFO'
  }
}

/** What `LeveledLogger` uses of a pino child. */
interface Sink extends Logger {
  level: string
}

class LeveledLogger implements Logger {
  readonly #sink: Sink

  constructor(sink: Sink) {
    this.#sink = sink
  }

  setLevel(level: string): void {
    this.#sink.level = level
  }

  trace(fields: LogFields, message: string): void {
    if (this.#sink.level === 'trace') this.#sink.trace(redact(fields), message)
  }

  debug(fields: LogFields, message: string): void {
    if (this.#sink.level === 'debug' || this.#sink.level === 'trace') this.#sink.debug(redact(fields), message)
  }

  info(fields: LogFields, message: string): void {
    this.#sink.info(redact(fields), message)
  }

  warn(fields: LogFields, message: string): void {
    this.#sink.warn(redact(fields), message)
  }

  error(fields: LogFields, message: string): void {
    this.#sink.error(redact(fields), message)
  }
}

const secretName = /passw(?:or)?d|secret|credential|token$|jaas|private.?key|^authorization$/i
const urlUser = /\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@:]*:[^\s/@]*@/gi
const maxDepth = 6

/** Fields as they may be printed: errors with code and causes, secrets by name or within URLs hidden (I8). */
export function redact(fields: LogFields): Record<string, unknown> {
  const printable: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(fields)) printable[name] = printableValue(name, value, 0)
  return printable
}

function printableValue(name: string, value: unknown, depth: number): unknown {
  if (value === null || value === undefined) return value
  if (secretName.test(name) && typeof value !== 'boolean') return '[hidden]'
  if (typeof value === 'string') return value.replace(urlUser, '$1[hidden]@')
  if (typeof value === 'bigint') return value.toString()
  if (typeof value !== 'object') return value
  if (value instanceof Error) return printableError(value, depth)
  if (value instanceof Date) return value.toISOString()
  if (value instanceof Uint8Array) return `[${value.length} bytes]`
  if (depth >= maxDepth) return '[…]'
  if (Array.isArray(value)) return value.map((item) => printableValue(name, item, depth + 1))
  if (value instanceof Set) return [...value].map((item) => printableValue(name, item, depth + 1))
  const entries = value instanceof Map ? value.entries() : Object.entries(value)
  if ('toJSON' in value && typeof value.toJSON === 'function') return printableValue(name, value.toJSON(), depth + 1)
  const nested: Record<string, unknown> = {}
  for (const [key, item] of entries) nested[String(key)] = printableValue(String(key), item, depth + 1)
  return nested
}

function printableError(error: Error, depth: number): unknown {
  const isConnect = error instanceof ConnectError
  return {
    type: error.name,
    message: error.message.replace(urlUser, '$1[hidden]@'),
    ...(isConnect ? { code: error.code, kind: error.kind } : {}),
    ...(isConnect ? { context: printableValue('context', error.context, depth + 1) } : {}),
    stack: error.stack?.replace(urlUser, '$1[hidden]@'),
    ...(error.cause === undefined || depth >= maxDepth
      ? {}
      : { cause: printableValue('cause', error.cause, depth + 1) }),
  }
}
