import type { Value } from '../../worker/api/data.ts'
import { DataError } from '../../worker/api/errors.ts'
import { lastHeader, type SinkRecord } from '../../worker/api/record.ts'
import { isStruct } from '../../worker/api/values.ts'

/** Part of a record that names an index or a shard. */
export type RecordPart =
  | { readonly from: 'key' }
  | { readonly from: 'value'; readonly path: readonly string[] }
  | { readonly from: 'header'; readonly name: string }

/**
 * The text of a scalar part of a record.
 * @throws DataError when it is missing, null or no scalar; without its content (I8)
 */
export function partText(record: SinkRecord, part: RecordPart): string {
  switch (part.from) {
    case 'key':
      return scalarText(record.key, 'The key')
    case 'header':
      return scalarText(lastHeader(record.headers, part.name)?.value ?? null, `The header '${part.name}'`)
    default:
      return scalarText(valueAt(record.value, part.path), `The field '${part.path.join('.')}'`)
  }
}

function valueAt(value: Value, path: readonly string[]): Value {
  let at = value
  for (const name of path) {
    if (at instanceof Map) at = at.get(name) ?? null
    else if (isStruct(at) && Object.hasOwn(at, name)) at = at[name] ?? null
    else return null
  }
  return at
}

function scalarText(value: Value, what: string): string {
  const isScalar = typeof value === 'string' || typeof value === 'bigint' || typeof value === 'boolean'
  if (isScalar || Number.isInteger(value)) {
    const text = String(value)
    if (text !== '') return text
  }
  if (value instanceof Uint8Array && value.length > 0) return Buffer.from(value).toString('utf8')
  throw new DataError('CONNECT_ES_RECORD', `${what} must be a text, an integer or a boolean that is not empty`)
}
