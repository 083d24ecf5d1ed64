import { Decimal, Float64, type Value } from '../../worker/api/data.ts'
import { DataError } from '../../worker/api/errors.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import type { ExtractorName } from './config-rules.ts'
import { FieldPath, type TypedValue } from './field-access.ts'
import { parseIsoTime } from './iso-time.ts'

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
      const path = new FieldPath(field)
      return (record) => {
        const found = path.read(record)
        const time = record.valueSchema?.type === 'STRUCT' ? ofField(found) : ofMember(found.value)
        if (!Number.isNaN(time)) return time
        throw failure(`Error extracting timestamp from record field: ${field}`)
      }
    }
  }
}

/** Of a struct, whose schema says what may be a time. NaN when it is none, as below. */
function ofField({ schema, value }: TypedValue): number {
  if (typeof value === 'number') return schema?.type === 'INT32' ? value : Number.NaN
  return value instanceof Float64 || value instanceof Decimal ? Number.NaN : ofMember(value)
}

/** Of a map or a JSON object: any number is a time in ms, what is behind its point is cut off. */
function ofMember(value: Value): number {
  if (typeof value === 'number') return Math.trunc(value)
  if (typeof value === 'bigint') return Number(value)
  if (typeof value === 'string') return ofText(value)
  if (value instanceof Date) return value.getTime()
  if (value instanceof Float64) return Math.trunc(value.value)
  return value instanceof Decimal ? Math.trunc(Number(value.toString())) : Number.NaN
}

/** Digits are ms since 1970, also before it, as long as they are an int64. */
function ofText(text: string): number {
  if (!/^-?\d{1,19}$/.test(text)) return parseIsoTime(text)
  const ms = BigInt(text)
  return BigInt.asIntN(64, ms) === ms ? Number(ms) : Number.NaN
}

function failure(message: string): DataError {
  return new DataError('CONNECT_S3_PARTITION', message)
}
