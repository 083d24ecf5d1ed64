import { identifierName, quoteIdentifier, SqlSyntaxError, type Token, tokenize, wordOf } from './sql-tokens.ts'

/** Redshift's default length of VARCHAR and its greatest one, in bytes. */
const defaultVarcharBytes = 256
const maxVarcharBytes = 65_535

const tablePropertyWords = new Set(['diststyle', 'distkey', 'sortkey', 'compound', 'interleaved', 'backup', 'encode'])

function withoutSpace(tokens: readonly Token[]): Token[] {
  return tokens.filter((token) => token.kind !== 'space')
}

/** Index behind the parenthesis that closes the one at `open`. */
function closing(tokens: readonly Token[], open: number): number {
  let depth = 0
  for (let index = open; index < tokens.length; index += 1) {
    if (tokens[index]?.text === '(') depth += 1
    if (tokens[index]?.text === ')') {
      depth -= 1
      if (depth === 0) return index + 1
    }
  }
  throw new SqlSyntaxError('syntax error at end of input')
}

function splitTopLevel(tokens: readonly Token[]): Token[][] {
  const parts: Token[][] = [[]]
  let depth = 0
  for (const token of tokens) {
    if (token.text === '(') depth += 1
    if (token.text === ')') depth -= 1
    if (token.text === ',' && depth === 0) parts.push([])
    else parts[parts.length - 1]?.push(token)
  }
  return parts
}

/** Text of tokens with single spaces; enough for definitions, where spacing carries no meaning. */
function textOf(tokens: readonly Token[]): string {
  return tokens.map((token) => token.text).join(' ')
}

interface ColumnText {
  readonly text: string
  readonly isKey: boolean
}

/** A column's type with Redshift's names and defaults turned into PostgreSQL's. */
function columnType(
  column: string,
  tokens: readonly Token[],
): { readonly text: string; readonly used: number; readonly check: string } {
  const words = tokens.map(wordOf)
  let used = 1
  while (['varying', 'precision'].includes(words[used] ?? '')) used += 1
  const name = words.slice(0, used).join(' ')
  let length: string | null = null
  if (words[used] === '(') {
    const end = closing(tokens, used)
    length = textOf(tokens.slice(used + 1, end - 1))
    used = end
  }
  if (['with', 'without'].includes(words[used] ?? '') && words[used + 1] === 'time') {
    return { text: `${name} ${words.slice(used, used + 3).join(' ')}`, used: used + 3, check: '' }
  }
  if (['varchar', 'character varying', 'nvarchar', 'text', 'bpchar'].includes(name)) {
    const bytes =
      length === null ? defaultVarcharBytes : length.toLowerCase() === 'max' ? maxVarcharBytes : Number(length)
    if (bytes > maxVarcharBytes)
      throw new SqlSyntaxError(`length for type character varying cannot exceed ${maxVarcharBytes}`)
    // PostgreSQL counts characters, Redshift bytes.
    return { text: `varchar(${bytes})`, used, check: ` CHECK (octet_length(${quoteIdentifier(column)}) <= ${bytes})` }
  }
  if (['varbyte', 'varbinary', 'binary varying'].includes(name)) return { text: 'bytea', used, check: '' }
  if (name === 'super') return { text: 'jsonb', used, check: '' }
  return { text: length === null ? name : `${name}(${length})`, used, check: '' }
}

/** One column definition; keys, encodings and distribution are taken off, a primary key still means NOT NULL. */
function columnDefinition(tokens: readonly Token[]): ColumnText {
  const first = tokens[0]
  if (first === undefined) throw new SqlSyntaxError('syntax error at or near ","')
  const name = identifierName(first)
  const type = columnType(name, tokens.slice(1))
  const rest = tokens.slice(1 + type.used)
  let text = `${quoteIdentifier(name)} ${type.text}`
  let isKey = false
  for (let index = 0; index < rest.length; ) {
    const word = wordOf(rest[index])
    if (word === 'encode') index += 2
    else if (word === 'distkey' || word === 'sortkey' || word === 'unique') index += 1
    else if (word === 'primary') {
      isKey = true
      index += 2
    } else if (word === 'references') {
      index += 2
      if (wordOf(rest[index]) === '(') index = closing(rest, index)
    } else if (word === 'identity' && wordOf(rest[index + 1]) === '(') {
      text += ' GENERATED ALWAYS AS IDENTITY'
      index = closing(rest, index + 1)
    } else {
      text += ` ${rest[index]?.text ?? ''}`
      index += 1
    }
  }
  return { text: text + type.check + (isKey ? ' NOT NULL' : ''), isKey }
}

/** The parenthesised list of a CREATE TABLE. */
function tableElements(tokens: readonly Token[]): string {
  const elements = splitTopLevel(tokens).map((part) => ({ part, words: part.map(wordOf) }))
  const keys = new Set<string>()
  for (const { part, words } of elements) {
    const primary = words.indexOf('primary')
    if (primary !== -1 && words[primary + 1] === 'key' && words[primary + 2] === '(') {
      for (const token of part.slice(primary + 3, closing(part, primary + 2) - 1)) {
        if (token.text !== ',') keys.add(identifierName(token))
      }
    }
  }
  const texts = elements.flatMap(({ part, words }) => {
    const isConstraint = words[0] === 'constraint' || ['primary', 'unique', 'foreign'].includes(words[0] ?? '')
    if (isConstraint) return []
    // LIKE copies columns and NOT NULL, not the keys; that is PostgreSQL's default as well.
    if (words[0] === 'like') return [textOf(part)]
    const column = columnDefinition(part)
    const name = part[0] === undefined ? '' : identifierName(part[0])
    return [column.text + (keys.has(name) && !column.isKey ? ' NOT NULL' : '')]
  })
  return texts.join(', ')
}

/** What follows the list or stands before AS: distribution and sort properties are dropped. */
function withoutTableProperties(tokens: readonly Token[]): Token[] {
  const kept: Token[] = []
  for (let index = 0; index < tokens.length; ) {
    const word = wordOf(tokens[index])
    if (word === 'as') return [...kept, ...tokens.slice(index)]
    if (tablePropertyWords.has(word)) {
      index += 1
      if (tokens[index]?.text === '(') index = closing(tokens, index)
      else if (['diststyle', 'backup', 'encode'].includes(word)) index += 1
    } else {
      const token = tokens[index]
      if (token !== undefined) kept.push(token)
      index += 1
    }
  }
  return kept
}

/** CREATE TABLE and ALTER TABLE … ADD COLUMN with Redshift's definitions → PostgreSQL's; anything else unchanged. */
export function rewriteTableDefinition(tokens: readonly Token[]): readonly Token[] {
  const dense = withoutSpace(tokens)
  const words = dense.map(wordOf)
  if (words[0] === 'alter' && words[1] === 'table') {
    const type = words.indexOf('type')
    if (words[type - 3] === 'alter' && words[type - 2] === 'column') return widening(dense, type)
    const add = words.indexOf('add')
    if (add === -1 || words[add + 1] === 'constraint') return tokens
    const start = words[add + 1] === 'column' ? add + 2 : add + 1
    return tokenize(`${textOf(dense.slice(0, add))} ADD COLUMN ${columnDefinition(dense.slice(start)).text}`)
  }
  const table = words.indexOf('table')
  if (words[0] !== 'create' || table === -1 || table > 3) return tokens
  const open = words.findIndex((word, index) => index > table && (word === '(' || word === 'as'))
  if (open === -1) return tokens
  const head = textOf(withoutTableProperties(dense.slice(0, words[open] === 'as' ? open : 0)))
  if (words[open] === 'as') return tokenize(`${head} ${asQuery(tokens)}`)
  const end = closing(dense, open)
  const rest = withoutTableProperties(dense.slice(end))
  const before = textOf(dense.slice(0, open))
  if (wordOf(rest[0]) === 'as') return tokenize(`${before} ${textOf(dense.slice(open, end))} ${asQuery(tokens)}`)
  return tokenize(`${before} (${tableElements(dense.slice(open + 1, end - 1))}) ${textOf(rest)}`)
}

/** `ALTER COLUMN … TYPE VARCHAR(n)`, the only change of a type that Redshift knows; the check of its bytes goes along. */
function widening(tokens: readonly Token[], type: number): readonly Token[] {
  const [table, column] = [tokens[type - 4], tokens[type - 1]]
  if (table === undefined || column === undefined) return tokens
  const name = identifierName(column)
  const { text, check } = columnType(name, tokens.slice(type + 1))
  if (check === '') throw new SqlSyntaxError('ALTER COLUMN TYPE is supported for columns of type VARCHAR only')
  // As PostgreSQL names it when the table is made.
  const constraint = quoteIdentifier(`${identifierName(table)}_${name}_check`)
  return tokenize(
    `${textOf(tokens.slice(0, type - 3))} DROP CONSTRAINT IF EXISTS ${constraint}, ` +
      `ALTER COLUMN ${quoteIdentifier(name)} TYPE ${text}, ADD CONSTRAINT ${constraint}${check}`,
  )
}

/** The query of CREATE TABLE … AS with its own spacing. */
function asQuery(tokens: readonly Token[]): string {
  const at = tokens.findIndex((token) => wordOf(token) === 'as')
  return tokens
    .slice(at)
    .map((token) => token.text)
    .join('')
}
