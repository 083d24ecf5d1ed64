import { Float64, type Schema, type Value } from '../../worker/api/data.ts'
import { ConnectError, DataError } from '../../worker/api/errors.ts'
import { headerText } from '../../worker/api/header-text.ts'
import { lastHeader, type SinkRecord } from '../../worker/api/record.ts'
import { javaClass } from '../../worker/api/values.ts'

/** Longest `_id` in UTF-8 bytes; the server refuses a longer one. */
export const maxDocumentIdBytes = 512

const idTypes: ReadonlySet<Schema['type']> = new Set(['INT8', 'INT16', 'INT32', 'INT64', 'STRING'])

/**
 * The document id that a key stands for: text, or the digits of an integer.
 * @throws DataError with Confluent's texts
 */
export function keyToId(schema: Schema | null, key: Value): string {
  if (key === null) throw bad('Key is used as document id and can not be null.')
  if (key instanceof Date) return dateId(key)
  const type = schema?.type ?? inferType(key)
  const isText = typeof key === 'string'
  const isInteger = typeof key === 'bigint' || (typeof key === 'number' && Number.isInteger(key))
  if (type === null || !idTypes.has(type) || !(isText || isInteger)) {
    throw bad(`${type ?? javaClass(key)} is not supported as the document id.`)
  }
  const id = String(key)
  if (id === '') throw bad('Key is used as document id and can not be empty.')
  return checkedId(id, 'The key')
}

/**
 * Found out here: the server refuses the bulk request as a whole, with every document in it.
 * @throws DataError for an id that is too long
 */
export function checkedId(id: string, what: string): string {
  if (Buffer.byteLength(id) <= maxDocumentIdBytes) return id
  throw bad(`${what} has more than ${maxDocumentIdBytes} bytes, the longest document id.`)
}

function inferType(key: Exclude<Value, null>): Schema['type'] | null {
  switch (typeof key) {
    case 'string':
      return 'STRING'
    case 'bigint':
      return 'INT64'
    case 'number':
      return Number.isInteger(key) ? 'INT64' : 'FLOAT64'
    case 'boolean':
      return 'BOOLEAN'
    default:
  }
  if (key instanceof Uint8Array) return 'BYTES'
  if (key instanceof Float64) return 'FLOAT64'
  return Array.isArray(key) ? 'ARRAY' : 'MAP'
}

const dayNames = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
const monthNames = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/**
 * Date, Time and Timestamp as Java prints a `Date` in UTC: indices that Confluent's sink wrote have such ids. The text
 * ends at seconds, so two times within one would meet in one document: those are refused.
 */
function dateId(date: Date): string {
  if (date.getUTCMilliseconds() !== 0) {
    throw bad('A time with fractions of a second is not supported as the document id: use a number or a text.')
  }
  const two = (n: number) => String(n).padStart(2, '0')
  const time = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()].map(two).join(':')
  const day = `${dayNames[date.getUTCDay()]} ${monthNames[date.getUTCMonth()]} ${two(date.getUTCDate())}`
  return `${day} ${time} UTC ${date.getUTCFullYear()}`
}

/** Id of a record whose key is ignored: where it was read, so that a replay meets the same document. */
export function positionId(record: SinkRecord): string {
  return `${record.originalTopic}+${record.originalPartition}+${record.offset}`
}

/**
 * External version of a document: the offset, or the number in a header.
 * @throws DataError when the header is missing
 * @throws ConnectError when it is no number; without its content (I8)
 */
export function externalVersion(record: SinkRecord, header: string): bigint {
  if (header === '') return record.offset
  const { schema = null, value = null } = lastHeader(record.headers, header) ?? {}
  if (value === null) throw bad(`The record has no external version header '${header}'`)
  // A double keeps its fraction, be it `.0`: it is no version.
  const text = value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : headerText(schema, value)
  // Digits as Java's parseLong takes them, leading zeros too; -0 is 0.
  const [, sign = '', digits = ''] = /^([+-]?)0*(\d{1,19})$/.exec(text) ?? []
  const version = digits === '' ? null : BigInt(digits)
  if (version === null || (sign === '-' && version > 0n) || BigInt.asIntN(64, version) !== version) {
    // Not the fault of one record but of what writes the header: the task fails, as Confluent's does.
    throw new ConnectError(
      'fatal',
      'CONNECT_ES_VERSION_HEADER',
      `Error converting external version header '${header}' to long for record from topic=${record.originalTopic} partition=${record.originalPartition} offset=${record.offset}`,
    )
  }
  return version
}

function bad(message: string): DataError {
  return new DataError('CONNECT_ES_RECORD', message)
}
