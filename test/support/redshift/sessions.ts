import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import type { Databases } from './databases.ts'
import { ApiError, notFound, type Target } from './protocol.ts'
import type { Statement } from './statements.ts'

/** A database session; it ends with its statement unless the client asked to keep it. */
export interface Session {
  readonly id: string
  readonly client: pg.Client
  readonly backendPid: number
  readonly target: Target
  keepAliveMs: number
  isBusy: boolean
  expiry: NodeJS.Timeout | null
}

/** Kept sessions by id. */
export class Sessions {
  readonly #databases: Databases
  readonly #kept = new Map<string, Session>()
  /** Keep-alive asked for by statements that have not started. */
  readonly #wanted = new Map<string, { readonly sessionId: string; readonly keepAliveMs: number }>()

  constructor(databases: Databases) {
    this.#databases = databases
  }

  /** Notes at submission that the statement's session is to be kept, and gives it its id. */
  keepAfter(statement: Statement, keepAliveMs: number): void {
    const sessionId = statement.sessionId ?? randomUUID()
    statement.sessionId = sessionId
    this.#wanted.set(statement.id, { sessionId, keepAliveMs })
  }

  /** Where a kept session is. @throws ApiError when there is no such session */
  targetOf(sessionId: string): Target {
    const session = this.#kept.get(sessionId)
    if (session === undefined) throw notFound(sessionId)
    return session.target
  }

  /** Refuses at submission an id that is unknown or busy. */
  check(sessionId: string): void {
    const session = this.#kept.get(sessionId)
    if (session === undefined) throw notFound(sessionId)
    if (session.isBusy) throw new ApiError('ActiveSessionsExceededException', 'Session is not available.')
    session.isBusy = true
  }

  /** The session in which a statement runs. */
  async acquire(statement: Statement): Promise<Session> {
    const wanted = this.#wanted.get(statement.id)
    this.#wanted.delete(statement.id)
    const kept = statement.sessionId === null ? undefined : this.#kept.get(statement.sessionId)
    if (kept !== undefined) {
      if (kept.expiry !== null) clearTimeout(kept.expiry)
      kept.keepAliveMs = wanted?.keepAliveMs ?? kept.keepAliveMs
      return kept
    }
    const client = await this.#databases.connect(statement.target.database)
    const answer = await client.query<{ pid: string }>('SELECT pg_backend_pid() AS pid')
    const session: Session = {
      id: wanted?.sessionId ?? randomUUID(),
      client,
      backendPid: Number(answer.rows[0]?.pid),
      target: statement.target,
      keepAliveMs: wanted?.keepAliveMs ?? 0,
      isBusy: true,
      expiry: null,
    }
    if (session.keepAliveMs > 0) this.#kept.set(session.id, session)
    return session
  }

  /** Ends a session after its statement, or starts its idle time. */
  async release(session: Session): Promise<void> {
    session.isBusy = false
    if (session.keepAliveMs <= 0) return this.#end(session)
    session.expiry = setTimeout(() => void this.#end(session), session.keepAliveMs)
    session.expiry.unref()
  }

  /** Ends all kept sessions. */
  async close(): Promise<void> {
    await Promise.all([...this.#kept.values()].map((session) => this.#end(session)))
  }

  async #end(session: Session): Promise<void> {
    if (session.expiry !== null) clearTimeout(session.expiry)
    this.#kept.delete(session.id)
    await session.client.end().catch(() => undefined)
  }
}
