import { DataError } from '../../worker/api/errors.ts'
import type { SinkRecord } from '../../worker/api/record.ts'

/** Text of a record's key; `null` when it has none. @throws DataError CONNECT_S3_PARTITION for a structure */
export function keyText({ key }: SinkRecord): string {
  if (key !== null && typeof key === 'object') {
    throw new DataError('CONNECT_S3_PARTITION', 'names by key need keys that are text, numbers or boolean')
  }
  return String(key)
}

/** All but letters, digits, `.`, `_` and `-`, so that a key can neither leave its directory nor look like two. */
export function percentEncode(text: string): string {
  return text.replace(/[^A-Za-z0-9._-]+/g, (run) =>
    [...Buffer.from(run, 'utf8')].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  )
}
