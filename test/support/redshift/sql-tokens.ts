/** Kinds of SQL tokens; `space` includes comments, so that joined token texts give back the statement. */
export type TokenKind = 'space' | 'word' | 'quoted' | 'string' | 'number' | 'parameter' | 'symbol'

/** One token with its text exactly as written. */
export interface Token {
  readonly kind: TokenKind
  readonly text: string
}

/** A syntax error of the emulator's own parsers, reported like one of the database. */
export class SqlSyntaxError extends Error {}

const patterns: readonly (readonly [TokenKind, RegExp])[] = [
  ['space', /(?:\s+|--[^\n]*|\/\*[\s\S]*?\*\/)/y],
  ['string', /\$([A-Za-z_]*)\$[\s\S]*?\$\1\$/y],
  // Redshift reads backslashes in plain literals as escapes.
  ['string', /'(?:[^'\\]|\\[\s\S]|'')*'/y],
  ['quoted', /"(?:[^"]|"")*"/y],
  ['symbol', /::/y],
  ['parameter', /:[A-Za-z_][A-Za-z0-9_]*/y],
  ['number', /(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?/y],
  ['word', /[A-Za-z_\u0080-\uffff][A-Za-z0-9_$\u0080-\uffff]*/y],
  ['symbol', /[\s\S]/y],
]

/** Splits a statement into tokens. */
export function tokenize(sql: string): Token[] {
  const tokens: Token[] = []
  let position = 0
  while (position < sql.length) {
    let matched = false
    for (const [kind, pattern] of patterns) {
      pattern.lastIndex = position
      const match = pattern.exec(sql)
      if (match === null) continue
      const text = match[0]
      if (kind === 'symbol' && (text === "'" || text === '"'))
        throw new SqlSyntaxError(`unterminated quoted string at or near "${sql.slice(position, position + 20)}"`)
      tokens.push({ kind, text })
      position += text.length
      matched = true
      break
    }
    if (!matched) throw new SqlSyntaxError(`syntax error at or near "${sql.slice(position, position + 20)}"`)
  }
  return tokens
}

/** Lower-case text of a word, else the text itself. */
export function wordOf(token: Token | undefined): string {
  if (token === undefined) return ''
  return token.kind === 'word' ? token.text.toLowerCase() : token.text
}

const escapes: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }

/** The value of a string literal token: doubled quotes and backslash escapes undone. */
export function literalValue(token: Token): string {
  if (token.text.startsWith('$')) return token.text.replace(/^\$[A-Za-z_]*\$/, '').replace(/\$[A-Za-z_]*\$$/, '')
  return token.text
    .slice(1, -1)
    .replace(/''|\\([\s\S])/g, (_, escaped: string | undefined) =>
      escaped === undefined ? "'" : (escapes[escaped] ?? escaped),
    )
}

/** The name that an identifier token stands for; Redshift folds quoted identifiers to lower case too. */
export function identifierName(token: Token): string {
  if (token.kind === 'quoted') return token.text.slice(1, -1).replaceAll('""', '"').toLowerCase()
  if (token.kind === 'word') return token.text.toLowerCase()
  throw new SqlSyntaxError(`syntax error at or near "${token.text}"`)
}

/** An identifier in double quotes, for text sent to PostgreSQL. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** Reads tokens one after the other, skipping space. */
export class TokenReader {
  readonly #tokens: readonly Token[]
  #position = 0

  constructor(sql: string) {
    this.#tokens = tokenize(sql).filter((token) => token.kind !== 'space')
  }

  /** The token `ahead` places on, without taking it. */
  peek(ahead = 0): Token | undefined {
    return this.#tokens[this.#position + ahead]
  }

  /** Takes the next token. */
  next(): Token {
    const token = this.#tokens[this.#position]
    if (token === undefined) throw new SqlSyntaxError('syntax error at end of input')
    this.#position += 1
    return token
  }

  /** Takes the next token when it is this word or symbol. */
  accept(text: string): boolean {
    if (wordOf(this.peek()) !== text) return false
    this.#position += 1
    return true
  }

  /** Takes the next token, which must be this word or symbol. */
  expect(text: string): void {
    if (!this.accept(text)) throw new SqlSyntaxError(`syntax error at or near "${this.peek()?.text ?? 'end of input'}"`)
  }

  /** Takes a string literal and gives its value. */
  string(): string {
    const token = this.next()
    if (token.kind !== 'string') throw new SqlSyntaxError(`syntax error at or near "${token.text}"`)
    return literalValue(token)
  }

  /** Takes a whole number. */
  integer(): number {
    const token = this.next()
    if (token.kind !== 'number') throw new SqlSyntaxError(`syntax error at or near "${token.text}"`)
    return Number(token.text)
  }

  /** Takes `name` or `schema.name`. */
  qualifiedName(): { readonly schema: string | null; readonly name: string } {
    const first = identifierName(this.next())
    if (!this.accept('.')) return { schema: null, name: first }
    return { schema: first, name: identifierName(this.next()) }
  }
}
