import type { Schema, Value } from '../../worker/api/data.ts'
import { DataError } from '../../worker/api/errors.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import type { ExtractorName } from './config-rules.ts'
import { valueAt } from './field-access.ts'

/** Time of a record in ms since 1970. @throws DataError CONNECT_S3_PARTITION */
export type TimestampExtractor = (record: SinkRecord, now: number) => number

/** `field` is a dotted path, for `RecordField` only. */
export function timestampExtractor(name: ExtractorName, field: string): TimestampExtractor {
  switch (name) {
    case 'Wallclock':
      return (_, now) => now
    case 'Record':
      return (record) => {
        if (record.timestamp !== null) return record.timestamp
        throw failure("Unable to determine timestamp using timestamp.extractor 'Record': the record has none")
      }
    case 'RecordField': {
      const path = field.split('.')
      return (record) => {
        const found = valueAt(record.valueSchema, record.value, path)
        return toTimestamp(found.value, found.schema, field)
      }
    }
  }
}

function toTimestamp(value: Value, schema: Schema | null, field: string): number {
  if (value instanceof Date) return value.getTime()
  if (typeof value === 'bigint') return Number(value)
  if (typeof value === 'number' && (schema === null ? Number.isInteger(value) : schema.type === 'INT32')) return value
  if (typeof value === 'string') {
    const parsed = /^\d{1,19}$/.test(value) ? Number(value) : parseIso(value)
    if (!Number.isNaN(parsed)) return parsed
  }
  throw failure(`Error extracting timestamp from record field: ${field}`)
}

const isoShape =
  /^([+-]?\d{4,9})(?:-(\d{1,2})(?:-(\d{1,2}))?)?(?:T(\d{1,2})(?::(\d{1,2})(?::(\d{1,2})(?:[.,](\d+))?)?)?(Z|[+-]\d{2}(?::?\d{2})?)?)?$/

/** ISO 8601 date with optional time and zone; without a zone it is UTC, as in the Java connector. NaN when it is none. */
function parseIso(text: string): number {
  const match = isoShape.exec(text)
  if (match === null) return Number.NaN
  const [, year, month = '1', day = '1', hour = '0', minute = '0', second = '0', fraction = '0', zone = 'Z'] = match
  const ms = Number(fraction.slice(0, 3).padEnd(3, '0'))
  const local = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second), ms)
  const check = new Date(local)
  // Date.UTC rolls 31 February over; such a text is no date.
  if (check.getUTCMonth() !== Number(month) - 1 || check.getUTCDate() !== Number(day)) return Number.NaN
  if (zone === 'Z') return local
  const digits = zone.slice(1).replace(':', '').padEnd(4, '0')
  const offset = (Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2))) * 60_000
  return zone.startsWith('-') ? local + offset : local - offset
}

function failure(message: string): DataError {
  return new DataError('CONNECT_S3_PARTITION', message)
}
