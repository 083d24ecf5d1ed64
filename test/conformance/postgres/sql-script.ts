/** Runs the SQL files of the corpus as psql does: statement by statement, COPY data inline, `\set` at the line start. */
import pg from 'pg'

type Piece =
  | { readonly kind: 'statement'; readonly text: string }
  | { readonly kind: 'copy'; readonly text: string; readonly data: string }
  | { readonly kind: 'meta'; readonly text: string }

/** Pieces of a script: statements end at a semicolon outside quotes, dollar quotes, comments and parentheses. */
export function splitScript(script: string): readonly Piece[] {
  const pieces: Piece[] = []
  let at = 0
  let start = 0
  while (at < script.length) {
    const rest = script.slice(at)
    const skipped = /^(?:'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\$(\w*)\$[\s\S]*?\$\1\$)/.exec(rest)
    if (skipped !== null) {
      at += skipped[0].length
      continue
    }
    if (script.slice(start, at).trim() === '' && rest.startsWith('\\')) {
      const end = lineEnd(script, at)
      pieces.push({ kind: 'meta', text: script.slice(at, end).trim() })
      at = end
      start = at
      continue
    }
    if (script.charAt(at) !== ';') {
      at += 1
      continue
    }
    const text = script.slice(start, at).trim()
    at += 1
    if (/^COPY\b[\s\S]*\bFROM\s+stdin\b/i.test(text)) {
      const begin = lineEnd(script, at)
      const end = script.indexOf('\\.', begin)
      pieces.push({ kind: 'copy', text, data: script.slice(begin, end) })
      at = lineEnd(script, end)
    } else if (text !== '') pieces.push({ kind: 'statement', text })
    start = at
  }
  const last = script.slice(start).trim()
  if (last !== '') pieces.push({ kind: 'statement', text: last })
  return pieces
}

function lineEnd(script: string, at: number): number {
  const end = script.indexOf('\n', at)
  return end < 0 ? script.length : end + 1
}

interface CopyConnection {
  query(text: string): void
  sendCopyFromChunk(chunk: Buffer): void
  endCopyFrom(): void
}

/** COPY FROM STDIN with all its data at once, in `pg`'s protocol for queries of one's own. */
class CopyInQuery {
  readonly #text: string
  readonly #data: Buffer
  readonly done: Promise<void>
  #settle: { readonly resolve: () => void; readonly reject: (error: Error) => void } | null = null

  constructor(text: string, data: string) {
    this.#text = text
    this.#data = Buffer.from(data, 'utf8')
    this.done = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
  }

  submit(connection: pg.Connection): void {
    ;(connection as unknown as CopyConnection).query(this.#text)
  }

  handleCopyInResponse(connection: pg.Connection): void {
    const own = connection as unknown as CopyConnection
    own.sendCopyFromChunk(this.#data)
    own.endCopyFrom()
  }

  handleReadyForQuery(): void {
    this.#settle?.resolve()
  }

  handleError(error: Error): void {
    this.#settle?.reject(error)
  }

  handleCommandComplete(): void {}
  handleRowDescription(): void {}
  handleDataRow(): void {}
  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}
}

/** Plays a script in a session of its own. With `\set ON_ERROR_STOP off` later errors are passed over. */
export async function runScript(url: string, script: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  let stopOnError = true
  try {
    for (const piece of splitScript(script)) {
      try {
        if (piece.kind === 'meta') {
          if (piece.text.startsWith('\\set ON_ERROR_STOP off')) stopOnError = false
        } else if (piece.kind === 'copy') await client.query(new CopyInQuery(piece.text, piece.data)).done
        else await client.query(piece.text)
      } catch (error) {
        if (stopOnError) throw error
      }
    }
  } finally {
    await client.end()
  }
}
