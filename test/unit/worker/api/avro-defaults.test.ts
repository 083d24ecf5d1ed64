import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileAvro } from '../../../../worker/api/avro-schema.ts'
import { makeSchema, Schemas, type Value } from '../../../../worker/api/data.ts'
import { DataError } from '../../../../worker/api/errors.ts'

const mapDefaults = [
  { keys: 'int64', entries: [], allowed: false, connect: [], avro: [] },
  { keys: 'int64', entries: [[1n, 2]], allowed: false, connect: [[1, 2]], avro: undefined },
  { keys: 'string', entries: [['a', 2]], allowed: false, connect: { a: 2 }, avro: { a: 2 } },
  { keys: 'optionalString', entries: [], allowed: false, connect: [], avro: [] },
  { keys: 'optionalString', entries: [['a', 2]], allowed: false, connect: [['a', 2]], avro: undefined },
  { keys: 'optionalString', entries: [['a', 2]], allowed: true, connect: { a: 2 }, avro: { a: 2 } },
] as const

for (const { keys, entries, allowed, connect, avro: expected } of mapDefaults) {
  const what = `${entries.length} entries with ${keys} keys, allow.optional.map.keys=${allowed}`
  test(`a default of a map is one of what the map is in Avro: ${what}`, () => {
    const defaultValue = new Map<Value, Value>(entries)
    const map = makeSchema({ type: 'MAP', keySchema: Schemas[keys], valueSchema: Schemas.int32, defaultValue })
    const schema = makeSchema({ type: 'STRUCT', name: 'Row', fields: [{ name: 'm', schema: map }] })
    const { text } = compileAvro(schema, {
      enhanced: true,
      connectMetaData: true,
      optionalMapKeys: allowed,
      mismatch: (_, found) => new DataError('CONNECT_S3_VALUE_MISMATCH', found),
    })
    const [field] = (JSON.parse(text) as { fields: { type: { 'connect.default': unknown }; default?: unknown }[] })
      .fields
    assert.deepEqual(field?.type['connect.default'], connect)
    assert.deepEqual(field?.default, expected)
  })
}
