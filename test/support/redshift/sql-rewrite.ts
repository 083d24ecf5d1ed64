import { identifierName, quoteIdentifier, SqlSyntaxError, type Token, tokenize, wordOf } from './sql-tokens.ts'
import { rewriteTableDefinition } from './table-definition.ts'

/** What a statement does, as far as the emulator treats it differently. */
export type StatementKind = 'copy' | 'lock' | 'begin' | 'commit' | 'rollback' | 'autocommit' | 'alter-column' | 'other'

/** A statement ready for PostgreSQL. */
export interface RewrittenStatement {
  readonly kind: StatementKind
  readonly sql: string
  readonly values: readonly string[]
}

const functionNames: Readonly<Record<string, string>> = {
  nvl: 'coalesce',
  listagg: 'string_agg',
  // In quotes: PostgreSQL has one of its own from 17 on, with a syntax of its own.
  json_serialize: '"json_serialize"',
}

function significant(tokens: readonly Token[]): Token[] {
  return tokens.filter((token) => token.kind !== 'space')
}

/** Takes off the closing semicolon; a second statement is refused, as in the Data API. */
function singleStatement(tokens: readonly Token[]): readonly Token[] {
  const at = tokens.findIndex((token) => token.text === ';')
  if (at === -1) return tokens
  if (significant(tokens.slice(at + 1)).some((token) => token.text !== ';')) {
    throw new SqlSyntaxError('cannot insert multiple commands into a prepared statement')
  }
  return tokens.slice(0, at)
}

/** Tells the statements apart that need special treatment. */
export function kindOf(tokens: readonly Token[]): StatementKind {
  const words = significant(tokens).map(wordOf)
  switch (words[0]) {
    case 'copy':
      return 'copy'
    case 'lock':
      return 'lock'
    case 'begin':
    case 'start':
      return 'begin'
    case 'commit':
    case 'end':
      return 'commit'
    case 'rollback':
    case 'abort':
      return 'rollback'
    case 'truncate':
    case 'vacuum':
      return 'autocommit'
    case 'alter':
      return words.includes('alter', 2) ? 'alter-column' : 'other'
    default:
      return 'other'
  }
}

function checkAlter(tokens: readonly Token[]): void {
  const words = significant(tokens).map(wordOf)
  if (words[0] !== 'alter' || words[1] !== 'table') return
  const adds = words.flatMap((word, index) => (word === 'add' ? [index] : []))
  if (adds.length > 1) throw new SqlSyntaxError('syntax error at or near ","')
  const add = adds[0]
  if (add === undefined) return
  const behind = words[add + 1] === 'column' ? words[add + 2] : words[add + 1]
  if (behind === 'if') throw new SqlSyntaxError('syntax error at or near "not"')
}

/** Whether a parenthesis opens behind a word. Looks at the next token alone: an INSERT of 100 KB has 40,000 of them. */
function isCalled(tokens: readonly Token[], index: number): boolean {
  let next = index + 1
  while (tokens[next]?.kind === 'space') next += 1
  return tokens[next]?.text === '('
}

/** Applies what is the same in every statement: identifiers, function names, SYSDATE, parameters, types of casts. */
function rewriteTokens(
  tokens: readonly Token[],
  parameters: ReadonlyMap<string, string>,
): { sql: string; values: string[] } {
  const values: string[] = []
  let sql = ''
  for (let index = 0; index < tokens.length; index += 1) {
    const token = tokens[index] as Token
    const word = wordOf(token)
    if (token.kind === 'quoted') sql += quoteIdentifier(identifierName(token))
    else if (token.kind === 'parameter') {
      const value = parameters.get(token.text.slice(1))
      if (value === undefined) throw new SqlSyntaxError(`parameter ${token.text} has no value`)
      values.push(value)
      sql += `$${values.length}`
    } else if (token.kind !== 'word') sql += token.text
    else if (word === 'sysdate') sql += "(statement_timestamp() at time zone 'UTC')"
    else if (word === 'super') sql += 'jsonb'
    else if (word === 'varbyte') sql += 'bytea'
    else sql += isCalled(tokens, index) ? (functionNames[word] ?? token.text) : token.text
  }
  return { sql, values }
}

/**
 * Redshift's dialect → PostgreSQL's. Constraints that Redshift only notes are left out, physical properties dropped,
 * identifiers folded. COPY is not rewritten: the emulator executes it itself.
 * @throws SqlSyntaxError for what Redshift refuses and PostgreSQL would take
 */
export function rewriteStatement(sql: string, parameters: ReadonlyMap<string, string>): RewrittenStatement {
  const tokens = singleStatement(tokenize(sql))
  const kind = kindOf(tokens)
  if (kind === 'copy') return { kind, sql, values: [] }
  checkAlter(tokens)
  const words = significant(tokens).map(wordOf)
  if (words[0] === 'vacuum') return { kind, sql: 'SELECT 1 WHERE false', values: [] }
  if (kind === 'lock' && !words.includes('in')) {
    const { sql: rewritten } = rewriteTokens(tokens, parameters)
    return { kind, sql: `${rewritten} IN ACCESS EXCLUSIVE MODE`, values: [] }
  }
  const { sql: rewritten, values } = rewriteTokens(rewriteTableDefinition(tokens), parameters)
  return { kind, sql: rewritten, values }
}
