/** How a statement is told where to run: in a kept session, or in a new one of the place. */
export type SessionChoice = { readonly kind: 'new' } | { readonly kind: 'kept'; readonly id: string }

/**
 * Database sessions that the Data API keeps open between statements (`session.keepalive.seconds`), so that a load does
 * not begin with a connection. One statement runs in a session at a time.
 */
export class KeptSessions {
  readonly #free: string[] = []
  readonly #byStatement = new Map<string, string>()
  /** Choices of submissions whose outcome is not known: the same token must come with the same request. */
  readonly #byToken = new Map<string, SessionChoice>()

  choose(token: string): SessionChoice {
    const known = this.#byToken.get(token)
    if (known !== undefined) return known
    const id = this.#free.pop()
    const choice: SessionChoice = id === undefined ? { kind: 'new' } : { kind: 'kept', id }
    this.#byToken.set(token, choice)
    return choice
  }

  /** The service has taken the statement. */
  submitted(token: string, statement: string, session: string | undefined): void {
    this.#byToken.delete(token)
    if (session !== undefined) this.#byStatement.set(statement, session)
  }

  /** The service refuses the session: it has expired, or somebody else uses it. The next choice is another. */
  refused(token: string): void {
    this.#byToken.delete(token)
  }

  /** The statement has ended. A session whose statement was aborted is left to expire: nobody knows what it does. */
  ended(statement: string, status: 'FINISHED' | 'FAILED' | 'ABORTED'): void {
    const session = this.#byStatement.get(statement)
    this.#byStatement.delete(statement)
    if (session !== undefined && status !== 'ABORTED') this.#free.push(session)
  }
}
