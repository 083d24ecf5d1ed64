import { createHash, randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { ApiError, notFound, type Target, validationError } from './protocol.ts'
import type { ResultTable } from './results.ts'

/** States of a statement as DescribeStatement reports them. */
export type StatementStatus = 'SUBMITTED' | 'PICKED' | 'STARTED' | 'FINISHED' | 'FAILED' | 'ABORTED'

const finalStates: ReadonlySet<StatementStatus> = new Set(['FINISHED', 'FAILED', 'ABORTED'])

/** One SQL text of a statement with its outcome. */
export interface SqlRun {
  readonly id: string
  readonly sql: string
  status: StatementStatus
  error: string | null
  startedAt: number | null
  finishedAt: number | null
  result: ResultTable | null
  /** Rows that came back or were changed; −1 when unknown. */
  rowCount: number
  queryId: number
}

/** A submitted statement or batch. */
export interface Statement {
  readonly id: string
  readonly isBatch: boolean
  readonly target: Target
  readonly name: string | null
  readonly parameters: ReadonlyMap<string, string>
  readonly createdAt: number
  readonly runs: readonly SqlRun[]
  sessionId: string | null
  status: StatementStatus
  error: string | null
  updatedAt: number
  backendPid: number
  isCancelled: boolean
}

/** True once a statement will not change any more. */
export function isFinal(status: StatementStatus): boolean {
  return finalStates.has(status)
}

/** What a submit call asks for. */
export interface Submission {
  readonly sqls: readonly string[]
  readonly isBatch: boolean
  readonly target: Target
  readonly name: string | null
  readonly parameters: ReadonlyMap<string, string>
  readonly clientToken: string | null
  readonly sessionId: string | null
}

/** Limits of the service: retention in ms, statements that may be active at once per cluster or workgroup. */
export interface StatementLimits {
  readonly retentionMs: number
  readonly tokenRetentionMs: number
  readonly maxActive: number
}

/** Limits of the real service. */
export const serviceLimits: StatementLimits = {
  retentionMs: 24 * 3_600_000,
  tokenRetentionMs: 8 * 3_600_000,
  maxActive: 500,
}

const maxSqlBytes = 100 * 1024
const maxBatchSize = 40

interface TokenEntry {
  readonly id: string
  readonly fingerprint: string
  readonly usedAt: number
}

/** All statements of the emulator, with the memory of client tokens. */
export class StatementStore {
  readonly #statements = new Map<string, Statement>()
  readonly #tokens = new Map<string, TokenEntry>()
  /** Whoever waits for the end of a statement. */
  readonly #waiting = new Map<string, PromiseWithResolvers<void>>()
  readonly #limits: StatementLimits
  readonly #now: () => number
  /** The views of load errors outlive an emulator, and several may share a server: 32-bit ids that do not begin anew. */
  #queryId = Math.floor(Date.now() / 10) % 2_000_000_000

  constructor(limits: StatementLimits = serviceLimits, now: () => number = Date.now) {
    this.#limits = limits
    this.#now = now
  }

  /**
   * Checks a submission and creates its statement, or finds the one that the same client token made before,
   * whatever became of it.
   */
  submit(submission: Submission): { readonly statement: Statement; readonly isNew: boolean } {
    this.#checkSize(submission)
    this.#forgetOld()
    const fingerprint = createHash('sha256')
      .update(JSON.stringify([submission.sqls, submission.isBatch, submission.target, [...submission.parameters]]))
      .digest('hex')
    if (submission.clientToken !== null) {
      const known = this.#tokens.get(submission.clientToken)
      const statement = known === undefined ? undefined : this.#statements.get(known.id)
      if (known !== undefined && statement !== undefined) {
        if (known.fingerprint !== fingerprint) {
          throw validationError('The client token was used before with different parameters.')
        }
        return { statement, isNew: false }
      }
    }
    this.#checkActive(submission.target.owner)
    const statement = this.#create(submission)
    this.#statements.set(statement.id, statement)
    if (submission.clientToken !== null) {
      this.#tokens.set(submission.clientToken, { id: statement.id, fingerprint, usedAt: this.#now() })
    }
    return { statement, isNew: true }
  }

  /** Statement of an id, or of `id:n`, with the numbered run in the latter case. */
  find(id: string): { readonly statement: Statement; readonly run: SqlRun | null } {
    const [whole = '', part] = id.split(':')
    const statement = this.#statements.get(whole)
    if (statement === undefined) throw notFound(id)
    if (part === undefined) return { statement, run: null }
    const run = statement.runs[Number(part) - 1]
    if (run === undefined || !statement.isBatch) throw notFound(id)
    return { statement, run }
  }

  /** Statement of an id, or of the batch of an id `id:n`; undefined when there is none. */
  get(id: string): Statement | undefined {
    return this.#statements.get(id.split(':')[0] ?? '')
  }

  /** Newest first. */
  list(): readonly Statement[] {
    return [...this.#statements.values()].reverse()
  }

  /** Waits until a statement has ended, at most `ms`. */
  async ended(statement: Statement, ms: number): Promise<void> {
    if (isFinal(statement.status) || ms <= 0) return
    const waiting = this.#waiting.get(statement.id) ?? Promise.withResolvers<void>()
    this.#waiting.set(statement.id, waiting)
    const enough = new AbortController()
    await Promise.race([waiting.promise, delay(ms, undefined, { ref: false, signal: enough.signal }).catch(() => {})])
    enough.abort()
  }

  /** Moves a statement to another state, unless it has ended. */
  transition(statement: Statement, status: StatementStatus, error: string | null = null): void {
    if (isFinal(statement.status)) return
    statement.status = status
    statement.error = error
    statement.updatedAt = this.#now()
    if (!isFinal(status)) return
    this.#waiting.get(statement.id)?.resolve()
    this.#waiting.delete(statement.id)
  }

  #checkSize({ sqls, isBatch, clientToken }: Submission): void {
    if (sqls.length === 0) throw validationError(isBatch ? 'Sqls must have at least 1 item.' : 'Sql must be given.')
    if (sqls.length > maxBatchSize) throw validationError(`Sqls must have at most ${maxBatchSize} items.`)
    const bytes = sqls.reduce((sum, sql) => sum + Buffer.byteLength(sql), 0)
    if (bytes > maxSqlBytes) throw validationError(`The SQL text has ${bytes} bytes; the maximum is ${maxSqlBytes}.`)
    if (sqls.some((sql) => sql.trim() === '')) throw validationError('A SQL text must not be empty.')
    if (clientToken !== null && (clientToken.length < 1 || clientToken.length > 64)) {
      throw validationError('ClientToken must have 1 to 64 characters.')
    }
  }

  #checkActive(owner: string): void {
    let active = 0
    for (const statement of this.#statements.values()) {
      if (statement.target.owner === owner && !isFinal(statement.status)) active += 1
    }
    if (active >= this.#limits.maxActive) throw activeStatementsExceeded()
  }

  #forgetOld(): void {
    const now = this.#now()
    for (const [id, statement] of this.#statements) {
      if (now - statement.createdAt < this.#limits.retentionMs) break
      this.#statements.delete(id)
    }
    for (const [token, entry] of this.#tokens) {
      if (now - entry.usedAt < this.#limits.tokenRetentionMs) break
      this.#tokens.delete(token)
    }
  }

  #create(submission: Submission): Statement {
    const id = randomUUID()
    const now = this.#now()
    return {
      id,
      isBatch: submission.isBatch,
      target: submission.target,
      name: submission.name,
      parameters: submission.parameters,
      createdAt: now,
      updatedAt: now,
      sessionId: submission.sessionId,
      status: 'SUBMITTED',
      error: null,
      backendPid: 0,
      isCancelled: false,
      runs: submission.sqls.map((sql, index) => ({
        id: submission.isBatch ? `${id}:${index + 1}` : id,
        sql,
        status: 'SUBMITTED',
        error: null,
        startedAt: null,
        finishedAt: null,
        result: null,
        rowCount: -1,
        queryId: ++this.#queryId,
      })),
    }
  }
}

/** HTTP 400 ActiveStatementsExceededException. */
export function activeStatementsExceeded(): ApiError {
  return new ApiError('ActiveStatementsExceededException', 'The number of active statements exceeds the limit.')
}
