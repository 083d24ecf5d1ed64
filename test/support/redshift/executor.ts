import { setTimeout as sleep } from 'node:timers/promises'
import type { S3Client } from '@aws-sdk/client-s3'
import type pg from 'pg'
import { reportLoad } from './catalog.ts'
import { parseCopy } from './copy-command.ts'
import { executeCopy, LoadFailedError } from './copy-loader.ts'
import type { Databases } from './databases.ts'
import type { Faults } from './faults.ts'
import { resultColumns } from './results.ts'
import type { Session, Sessions } from './sessions.ts'
import { type RewrittenStatement, rewriteStatement } from './sql-rewrite.ts'
import type { SqlRun, Statement, StatementStore } from './statements.ts'

/** How long a statement stays in each early state, in ms, and how many run at once. */
export interface ExecutionSettings {
  readonly submittedMs: number
  readonly pickedMs: number
  readonly concurrency: number
}

/** What the executor works with. */
export interface ExecutorParts {
  readonly store: StatementStore
  readonly databases: Databases
  readonly sessions: Sessions
  readonly s3: S3Client
  readonly faults: Faults
  readonly settings: ExecutionSettings
}

const serializableText = (table: string): string =>
  `ERROR: 1023 DETAIL: Serializable isolation violation on table in Redshift - ${table}`

/** Error text as DescribeStatement shows it. */
function errorText(error: unknown): string {
  const { code, message, detail } = error as {
    readonly code?: string
    readonly message?: string
    readonly detail?: string
  }
  if (code === '40001' || code === '40P01') return serializableText(detail ?? message ?? '')
  const text = message ?? String(error)
  if (/^(ERROR|FATAL): /.test(text)) return text
  return `ERROR: ${text}${detail === undefined ? '' : `\n  Detail: ${detail}`}`
}

/** Runs submitted statements, a bounded number at a time, each in its session. */
export class Executor {
  readonly #parts: ExecutorParts
  readonly #waiting: Statement[] = []
  readonly #running = new Set<Promise<void>>()
  #isClosed = false

  constructor(parts: ExecutorParts) {
    this.#parts = parts
  }

  /** Takes a new statement; returns at once. */
  enqueue(statement: Statement): void {
    this.#waiting.push(statement)
    this.#fill()
  }

  /** Cancels a statement that has not ended. */
  async cancel(statement: Statement): Promise<void> {
    statement.isCancelled = true
    if (statement.status === 'STARTED' && statement.backendPid !== 0)
      await this.#parts.databases.cancel(statement.backendPid)
  }

  /** Takes nothing new and waits for what runs. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#waiting.length = 0
    await Promise.all(this.#running)
  }

  #fill(): void {
    while (!this.#isClosed && this.#running.size < this.#parts.settings.concurrency) {
      const statement = this.#waiting.shift()
      if (statement === undefined) return
      const work = this.#run(statement).finally(() => {
        this.#running.delete(work)
        this.#fill()
      })
      this.#running.add(work)
    }
  }

  async #run(statement: Statement): Promise<void> {
    const { store, settings, faults } = this.#parts
    const sql = statement.runs.map((run) => run.sql).join('\n')
    const scope = { owner: statement.target.owner, sql }
    await sleep(settings.submittedMs)
    store.transition(statement, 'PICKED')
    await sleep(settings.pickedMs + (faults.take(['slow-start'], scope)?.delayMs ?? 0))
    if (statement.isCancelled) return this.#abort(statement)
    let session: Session
    try {
      session = await this.#parts.sessions.acquire(statement)
    } catch (error) {
      return this.#fail(statement, statement.runs[0], errorText(error))
    }
    try {
      statement.backendPid = session.backendPid
      store.transition(statement, 'STARTED')
      await this.#execute(statement, session.client)
    } finally {
      await this.#parts.sessions.release(session)
    }
  }

  async #execute(statement: Statement, client: pg.Client): Promise<void> {
    const { faults, store } = this.#parts
    const scope = { owner: statement.target.owner, sql: statement.runs.map((run) => run.sql).join('\n') }
    const violation = faults.take(['serializable-violation'], scope)
    let current: SqlRun | undefined
    let inTransaction = false
    try {
      for (const run of statement.runs) {
        current = run
        run.status = 'STARTED'
        run.startedAt = Date.now()
        const rewritten = rewriteStatement(run.sql, statement.parameters)
        if (violation !== null) throw new Error(serializableText('injected by the test'))
        inTransaction = await this.#enter(client, rewritten, { isBatch: statement.isBatch, inTransaction })
        await this.#runOne(client, statement, run, rewritten)
        if (statement.isCancelled) throw new Error('Query cancelled on user request')
        run.finishedAt = Date.now()
        run.status = 'FINISHED'
      }
      if (inTransaction) {
        if (faults.take(['fail-commit'], scope) !== null) throw new Error(serializableText('commit failed'))
        await client.query('COMMIT')
        inTransaction = false
      }
    } catch (error) {
      if (inTransaction) await client.query('ROLLBACK').catch(() => undefined)
      if (statement.isCancelled) return this.#abort(statement)
      return this.#fail(statement, current, errorText(error))
    }
    if (faults.take(['abort-though-committed'], scope) !== null) return this.#abort(statement)
    store.transition(statement, 'FINISHED')
  }

  /**
   * Opens the transaction in which a statement runs. A batch is one transaction, except that TRUNCATE and VACUUM
   * commit what came before them; a single statement has its own, unless its session is inside one already.
   */
  async #enter(
    client: pg.Client,
    { kind }: RewrittenStatement,
    { isBatch, inTransaction }: { readonly isBatch: boolean; readonly inTransaction: boolean },
  ): Promise<boolean> {
    if (isBatch) {
      if (kind === 'alter-column') throw new Error('ALTER TABLE ALTER COLUMN cannot run inside a transaction block')
      if (kind === 'autocommit' && inTransaction) await client.query('COMMIT')
      if (kind === 'autocommit') return false
      if (!inTransaction) await client.query('BEGIN')
      return true
    }
    if (kind !== 'copy') return false
    const state = await client.query<{ open: string }>('SELECT (now() <> statement_timestamp())::text AS open')
    if (state.rows[0]?.open === 'true') return false
    await client.query('BEGIN')
    return true
  }

  async #runOne(client: pg.Client, statement: Statement, run: SqlRun, rewritten: RewrittenStatement): Promise<void> {
    if (rewritten.kind === 'copy') return this.#copy(client, statement, run)
    const answer = await client.query({ text: rewritten.sql, values: [...rewritten.values], rowMode: 'array' })
    const hasResult = answer.fields.length > 0
    run.rowCount = answer.rowCount ?? -1
    if (hasResult) {
      run.result = { columns: resultColumns(answer.fields), rows: answer.rows as unknown as (string | null)[][] }
    }
  }

  async #copy(client: pg.Client, statement: Statement, run: SqlRun): Promise<void> {
    const command = parseCopy(run.sql)
    const startedAt = Date.now()
    const report = { queryId: run.queryId, database: statement.target.database, command, startedAt }
    try {
      const outcome = await executeCopy(client, this.#parts.s3, command)
      await client.query(
        `SELECT set_config('redshift.last_copy_count', $1, false), set_config('redshift.last_copy_id', $2, false)`,
        [String(outcome.rowCount), String(run.queryId)],
      )
      run.rowCount = outcome.rowCount
      await this.#report({ ...report, outcome, errors: outcome.errors })
    } catch (error) {
      if (error instanceof LoadFailedError) await this.#report({ ...report, outcome: null, errors: error.errors })
      throw error
    }
  }

  async #report(report: Parameters<typeof reportLoad>[1]): Promise<void> {
    const client = await this.#parts.databases.connect(report.database)
    try {
      await reportLoad(client, report)
    } finally {
      await client.end()
    }
  }

  #abort(statement: Statement): void {
    for (const run of statement.runs) if (run.status !== 'FINISHED') run.status = 'ABORTED'
    this.#parts.store.transition(statement, 'ABORTED', 'Query was cancelled or aborted.')
  }

  #fail(statement: Statement, failed: SqlRun | undefined, text: string): void {
    let isBehind = false
    for (const run of statement.runs) {
      if (isBehind) run.status = 'ABORTED'
      if (run === failed) {
        run.status = 'FAILED'
        run.error = text
        run.finishedAt = Date.now()
        isBehind = true
      }
    }
    this.#parts.store.transition(statement, 'FAILED', text)
  }
}
