import type { Schema } from '../../../worker/api/data.ts'
import { DataError } from '../../../worker/api/errors.ts'

/** A value that does not fit its schema; `found` says what it is, without its content (I8). */
export function mismatch(schema: Schema, found: string): DataError {
  const name = schema.name === null ? '' : ` (${schema.name})`
  return new DataError('CONNECT_S3_VALUE_MISMATCH', `A ${schema.type}${name} is expected, the record has ${found}`)
}
