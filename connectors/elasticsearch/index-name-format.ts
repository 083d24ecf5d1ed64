import { DataError } from '../../worker/api/errors.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import { partText } from './record-text.ts'

/** One piece of a name: constant, or made of a record. */
type Piece = (record: SinkRecord) => string

/** A template of `index.name.format`, ready to use. */
export interface NameFormat {
  name(record: SinkRecord): string
  /** Whether a tombstone, which has no value and a time of its own, may get another name than its document. */
  readonly dependsOnValueOrTime: boolean
}

const variable = /\$\{(\w+)(?::([^}]*))?\}/g
const timeUnit = /yyyy|MM|dd|HH|mm/g

/** Characters that Elasticsearch refuses in names of indices. */
const forbidden = /[\\/*?"<>| ,#:]/

/**
 * Compiles `${topic}`, `${partition}`, `${timestamp:yyyy-MM-dd}` (UTC, of the record), `${field:a.b}`, `${header:x}`
 * and constant text.
 * @returns the problem as a text when the template is not understood
 */
export function compileNameFormat(template: string): NameFormat | string {
  const pieces: Piece[] = []
  let dependsOnValueOrTime = false
  let end = 0
  for (const match of template.matchAll(variable)) {
    const [whole, kind = '', argument] = match
    const constant = template.slice(end, match.index)
    if (constant !== '') pieces.push(() => constant)
    end = match.index + whole.length
    const piece = pieceOf(kind, argument)
    if (piece === null) {
      return `${whole} is not understood: use \${topic}, \${partition}, \${timestamp:yyyy-MM-dd}, \${field:a.b} or \${header:x}`
    }
    pieces.push(piece)
    dependsOnValueOrTime ||= kind === 'field' || kind === 'timestamp'
  }
  const rest = template.slice(end)
  if (rest !== '') pieces.push(() => rest)
  if (pieces.length === 0) return 'must not be empty'
  return { dependsOnValueOrTime, name: (record) => checked(pieces.map((piece) => piece(record)).join('')) }
}

function pieceOf(kind: string, argument: string | undefined): Piece | null {
  if (kind === 'topic' && argument === undefined) return (record) => record.topic
  if (kind === 'partition' && argument === undefined) return (record) => String(record.originalPartition)
  if (argument === undefined || argument === '') return null
  switch (kind) {
    case 'field': {
      const path = argument.split('.')
      return path.includes('') ? null : (record) => partText(record, { from: 'value', path })
    }
    case 'header':
      return (record) => partText(record, { from: 'header', name: argument })
    case 'timestamp':
      // Letters that stand for nothing would become a constant that nobody meant.
      return /[A-Za-z]/.test(argument.replaceAll(timeUnit, ''))
        ? null
        : (record) => timeText(record.timestamp, argument)
    default:
      return null
  }
}

function timeText(timestamp: number | null, pattern: string): string {
  if (timestamp === null) throw bad('The record has no timestamp, which index.name.format needs')
  const [date = '', time = ''] = new Date(timestamp).toISOString().split('T')
  const units: Readonly<Record<string, string>> = {
    yyyy: date.slice(0, -6),
    MM: date.slice(-5, -3),
    dd: date.slice(-2),
    HH: time.slice(0, 2),
    mm: time.slice(3, 5),
  }
  return pattern.replaceAll(timeUnit, (unit) => units[unit] ?? unit)
}

function checked(name: string): string {
  // The name is made of the record's content: it stays out of the message (I8).
  if (forbidden.test(name)) throw bad('The name made by index.name.format has a character that no index may have')
  return name
}

function bad(message: string): DataError {
  return new DataError('CONNECT_ES_RECORD', message)
}
