import type { CsvOptions } from './copy-command.ts'

/** A row that could not be read; it becomes one row of the error views. */
export interface BadRow {
  readonly code: number
  readonly message: string
  readonly column: string | null
  readonly columnType: string | null
  readonly raw: string
}

/** One parsed line with its 1-based number: fields by position (CSV, Parquet) or by name (JSON, Avro). */
export type ParsedRow =
  | {
      readonly kind: 'fields'
      readonly line: number
      readonly raw: string
      readonly fields: readonly (string | null)[]
    }
  | {
      readonly kind: 'members'
      readonly line: number
      readonly raw: string
      readonly members: ReadonlyMap<string, JsonMember>
    }
  | {
      /** Values by position that are no texts (Parquet). */
      readonly kind: 'positions'
      readonly line: number
      readonly raw: string
      readonly values: readonly JsonMember[]
    }
  | { readonly kind: 'bad'; readonly line: number; readonly error: BadRow }

/** A JSON value: decoded text for scalars, source text for objects and arrays; null for JSON null. */
export interface JsonMember {
  readonly text: string | null
  readonly source: string
  readonly type: 'string' | 'number' | 'boolean' | 'null' | 'nested'
}

const maxRowBytes = 4 * 1024 * 1024

/** Error codes of STL_LOAD_ERRORS. */
export const loadErrorCodes = { parse: 1216, delimiter: 1214, tooManyColumns: 1202, invalidUtf8: 1220 } as const

function bad(line: number, code: number, message: string, raw: string): ParsedRow {
  return { kind: 'bad', line, error: { code, message, column: null, columnType: null, raw: raw.slice(0, 1024) } }
}

/** Index behind the JSON value that starts at `start`; objects and arrays by their depth, strings by their quotes. */
function valueEnd(text: string, start: number): number {
  let depth = 0
  for (let index = start; index < text.length; index += 1) {
    const character = text[index]
    if (character === '"') {
      index = stringEnd(text, index)
      if (depth === 0) return index + 1
    } else if (character === '{' || character === '[') depth += 1
    else if (character === '}' || character === ']') {
      depth -= 1
      if (depth === 0) return index + 1
      if (depth < 0) return index
    } else if (depth === 0 && (character === ',' || character === '\n' || character === ' ')) return index
  }
  return text.length
}

/** Index of the quote that closes the string opened at `start`. */
function stringEnd(text: string, start: number): number {
  for (let index = start + 1; index < text.length; index += 1) {
    if (text[index] === '\\') index += 1
    else if (text[index] === '"') return index
  }
  return text.length
}

function toMember(source: string): JsonMember {
  const first = source[0]
  if (first === '"') return { text: JSON.parse(source) as string, source, type: 'string' }
  if (first === '{' || first === '[') return { text: source, source, type: 'nested' }
  if (source === 'null') return { text: null, source, type: 'null' }
  if (source === 'true' || source === 'false') return { text: source, source, type: 'boolean' }
  return { text: source, source, type: 'number' }
}

function skipSpace(text: string, from: number): number {
  let index = from
  while (index < text.length && /\s/.test(text[index] as string)) index += 1
  return index
}

/** Top-level members of one JSON object; numbers keep their digits. The text is known to be valid JSON. */
export function jsonMembers(text: string): ReadonlyMap<string, JsonMember> {
  const members = new Map<string, JsonMember>()
  let index = skipSpace(text, 1)
  while (text[index] === '"') {
    const keyEnd = stringEnd(text, index)
    const key = JSON.parse(text.slice(index, keyEnd + 1)) as string
    index = skipSpace(text, skipSpace(text, keyEnd + 1) + 1)
    const end = valueEnd(text, index)
    members.set(key, toMember(text.slice(index, end).trim()))
    index = skipSpace(text, end)
    if (text[index] === ',') index = skipSpace(text, index + 1)
  }
  return members
}

/** JSON objects one after the other, separated by white space; each is a row. */
export function* parseJsonRows(text: string): Generator<ParsedRow> {
  let index = skipSpace(text, 0)
  let line = 1
  let counted = 0
  while (index < text.length) {
    for (; counted < index; counted += 1) if (text[counted] === '\n') line += 1
    if (text[index] !== '{') {
      const end = text.indexOf('\n', index)
      yield bad(line, loadErrorCodes.parse, 'Invalid JSON format', text.slice(index, end === -1 ? undefined : end))
      if (end === -1) return
      index = skipSpace(text, end)
      continue
    }
    const end = valueEnd(text, index)
    const raw = text.slice(index, end)
    yield jsonRow(raw, line)
    index = skipSpace(text, end)
  }
}

function jsonRow(raw: string, line: number): ParsedRow {
  if (raw.length > maxRowBytes / 4 && Buffer.byteLength(raw) > maxRowBytes) {
    return bad(line, loadErrorCodes.parse, 'Input row exceeded the limit of 4MB', raw)
  }
  try {
    JSON.parse(raw)
  } catch {
    return bad(line, loadErrorCodes.parse, 'Invalid JSON format', raw)
  }
  return { kind: 'members', line, raw, members: jsonMembers(raw) }
}

/** Value at a path of a jsonpaths file, `$.a.b[0]` or `$['a']`; undefined when there is none. */
export function memberAt(raw: string, path: string): JsonMember | undefined {
  const steps = [...path.matchAll(/\.([A-Za-z0-9_$@-]+)|\['([^']*)'\]|\["([^"]*)"\]|\[(\d+)\]/g)]
  let current = raw
  for (const step of steps) {
    const name = step[1] ?? step[2] ?? step[3]
    const member = name === undefined ? undefined : current.startsWith('{') ? jsonMembers(current).get(name) : undefined
    if (member !== undefined) current = member.source
    else if (step[4] !== undefined && current.startsWith('[')) {
      const element = (JSON.parse(current) as readonly unknown[])[Number(step[4])]
      if (element === undefined) return undefined
      current = JSON.stringify(element)
    } else return undefined
  }
  return toMember(current)
}

function csvValue(value: string, wasQuoted: boolean, options: CsvOptions): string | null {
  if (!wasQuoted && value === options.nullAs) return null
  if (options.emptyAsNull && value === '') return null
  if (options.blanksAsNull && value !== '' && value.trim() === '') return null
  return value
}

/** Reads one record from `start`; quoted fields may contain line ends. */
function csvRecord(
  text: string,
  start: number,
  options: CsvOptions,
): { fields: (string | null)[]; end: number; isClosed: boolean } {
  const fields: (string | null)[] = []
  let index = start
  for (;;) {
    let value = ''
    let wasQuoted = false
    if (options.quote !== null && text[index] === options.quote) {
      wasQuoted = true
      index += 1
      for (;;) {
        const close = text.indexOf(options.quote, index)
        if (close === -1) return { fields, end: text.length, isClosed: false }
        value += text.slice(index, close)
        index = close + 1
        if (text[index] !== options.quote) break
        value += options.quote
        index += 1
      }
    }
    let end = index
    while (end < text.length && text[end] !== options.delimiter && text[end] !== '\n') end += 1
    const rest = text.slice(index, end)
    value += text[end] === '\n' && rest.endsWith('\r') ? rest.slice(0, -1) : rest
    fields.push(csvValue(value, wasQuoted, options))
    index = end + 1
    if (end >= text.length || text[end] === '\n') return { fields, end: index, isClosed: true }
  }
}

/** Delimited text, with quotes (CSV) or without. */
export function* parseCsvRows(text: string, options: CsvOptions): Generator<ParsedRow> {
  let index = 0
  let line = 1
  while (index < text.length) {
    const record = csvRecord(text, index, options)
    const raw = text.slice(index, record.end).replace(/\r?\n$/, '')
    const isHeader = line <= options.ignoreHeader
    if (!isHeader && !record.isClosed)
      yield bad(line, loadErrorCodes.delimiter, 'Invalid quote formatting for CSV', raw)
    else if (!isHeader && raw !== '') yield { kind: 'fields', line, raw, fields: record.fields }
    line += raw.split('\n').length
    index = record.end
  }
}
