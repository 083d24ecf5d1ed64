import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { suite, test } from 'node:test'
import { ColumnMappers, type MappedColumn, mapperProblems } from '../../../../connectors/postgres-cdc/column-mappers.ts'
import type { PgType } from '../../../../connectors/postgres-cdc/types.ts'
import { stringCodec, valueCodec } from '../../../../connectors/postgres-cdc/values/codec.ts'
import { makeSchema, type Value } from '../../../../worker/api/data.ts'

const text: PgType = {
  oid: 25,
  name: 'varchar',
  kind: 'b',
  category: 'S',
  elementOid: 0,
  delimiter: ',',
  baseOid: 0,
  typmod: -1,
  labels: [],
}

/** The value of `public.t.c`, of varchar(n) or varchar, under these options; `null` is the column's own null. */
function mapped(options: Readonly<Record<string, string>>, value: string | null, length = -1) {
  const schema = makeSchema({ type: 'STRING', optional: true })
  const field = { column: 0, name: 'c', schema, codec: stringCodec({}, Buffer.from('<gone>')), onNull: null as Value }
  const column = {
    id: 'public.t.c',
    table: 'public.t',
    name: 'c',
    type: text,
    resolved: { base: text, typmod: length < 0 ? -1 : length + 4, isDomain: false },
    from: 'stream' as const,
    element: undefined,
    expression: null,
  }
  const result = new ColumnMappers(options).apply(field, column)
  const bytes = Buffer.from(value ?? '')
  return {
    value: value === null ? result.onNull : result.codec.read(bytes, 0, bytes.length),
    unavailable: result.codec.unavailable,
    parameters: Object.fromEntries(result.schema.parameters ?? []),
  }
}

const hash = (version: string, algorithm: string) => `column.mask.hash.${version}${algorithm}.with.salt.CzQMA0cB5K`

suite('column mappers', () => {
  test('hashes of version 1 are of the Java serialisation, of version 2 of UTF-8', () => {
    const v1 = mapped({ [hash('', 'SHA-256')]: 'public.t.c' }, 'John')
    assert.equal(v1.value, '514de9372ecb97316d239827344dc19a97cb5147c1e3c0a0ad90193698f91d9d')
    assert.deepEqual(v1.parameters, { masked: 'true' })
    const v2 = mapped({ [hash('v2.', 'SHA-256')]: 'public.t.c' }, 'John')
    assert.equal(v2.value, '2ae873f1e464d93207b3a9352de55bac613494a7a7e9494218315ecd62ebc1f4')
  })

  test("Java's names of algorithms; others are refused by the option's name", () => {
    const java = {
      MD5: 'md5',
      'SHA-1': 'sha1',
      'SHA-384': 'sha384',
      'SHA-512': 'sha512',
      'SHA-512/256': 'sha512-256',
      'SHA3-256': 'sha3-256',
    }
    for (const [algorithm, node] of Object.entries(java)) {
      const expected = createHash(node).update('CzQMA0cB5K').update('žluť').digest('hex')
      assert.equal(mapped({ [hash('v2.', algorithm)]: 'public.t.c' }, 'žluť').value, expected, algorithm)
      assert.deepEqual(mapperProblems({ [hash('', algorithm)]: 'x' }), [])
    }
    assert.deepEqual(
      mapperProblems({ [hash('', 'SHA-1000')]: 'x' }).map(({ option }) => option),
      [hash('', 'SHA-1000')],
    )
  })

  test('a hash is cut to the length of its column, and null stays null', () => {
    const options = { [hash('v2.', 'SHA-256')]: 'public.t.c' }
    assert.equal(mapped(options, 'John', 10).value, '2ae873f1e4')
    assert.equal(mapped(options, null).value, null)
  })

  test('a mask covers null and the placeholder, too; length 0 is the empty string', () => {
    const masked = mapped({ 'column.mask.with.5.chars': 'public\\.t\\..*' }, 'secret')
    assert.deepEqual([masked.value, masked.unavailable], ['*****', '*****'])
    assert.equal(mapped({ 'column.mask.with.5.chars': 'public.t.c' }, null).value, '*****')
    assert.equal(mapped({ 'column.mask.with.0.chars': 'public.t.c' }, 'secret').value, '')
  })

  test('truncation counts UTF-16 units and tells its length', () => {
    const cut = mapped({ 'column.truncate.to.3.chars': 'public.t.c' }, 'a𝄞bc')
    assert.deepEqual([cut.value, cut.parameters], ['a𝄞', { truncateLength: '3' }])
    assert.equal(mapped({ 'column.truncate.to.3.chars': 'public.t.c' }, 'ab').value, 'ab')
  })

  test('of several mappers the first that names the column counts; other columns stay', () => {
    const options = { 'column.truncate.to.2.chars': 'public.t.c', 'column.mask.with.1.chars': 'public.t.c' }
    assert.equal(mapped(options, 'abc').value, 'ab')
    assert.deepEqual(mapped({ 'column.mask.with.1.chars': 'public.t.other' }, 'abc').parameters, {})
  })

  /** Parameters of a column of this type; `from` decides what JDBC's metadata is like. */
  function parametersOf(options: Readonly<Record<string, string>>, type: PgType, column: Partial<MappedColumn> = {}) {
    const schema = makeSchema({ type: 'STRING', optional: true })
    const field = { column: 0, name: 'c', schema, codec: stringCodec({}, Buffer.from('')), onNull: null }
    const resolved = { base: type, typmod: -1, isDomain: false }
    const mappedColumn: MappedColumn = {
      id: 'public.t.c',
      table: 'public.t',
      name: 'c',
      type,
      from: 'stream',
      resolved,
      element: undefined,
      expression: null,
      ...column,
    }
    const result = new ColumnMappers(options).apply(field, mappedColumn)
    const value = result.codec.read(Buffer.from('value'), 0, 5)
    return { value, parameters: Object.fromEntries(result.schema.parameters ?? []) }
  }

  test('mappers are asked by their kind, wherever they stand', () => {
    const sha = { [hash('', 'MD5')]: 'public.t.c' }
    const types = { 'datatype.propagate.source.type': 'public.t.varchar' }
    const stars = { 'column.mask.with.2.chars': 'public.t.c' }
    assert.equal(parametersOf({ ...sha, ...stars }, text).value, '**')
    assert.deepEqual(Object.keys(parametersOf({ ...sha, ...types }, text).parameters), [
      '__debezium.source.column.type',
      '__debezium.source.column.length',
      '__debezium.source.column.scale',
      '__debezium.source.column.name',
    ])
    const later = { [hash('v2.', 'MD5')]: 'public.t.c' }
    const md5 = parametersOf({ ...later, ...sha }, text).value
    assert.equal(md5, parametersOf(sha, text).value)
    assert.notEqual(md5, parametersOf(later, text).value)
  })

  test('bytes are cut, the bits of a column never: they only carry the length', () => {
    const cut = new ColumnMappers({ 'column.truncate.to.3.chars': 'public.t.c' })
    const column = (name: string): MappedColumn => ({
      id: 'public.t.c',
      table: 'public.t',
      name: 'c',
      type: { ...text, name },
      resolved: { base: { ...text, name }, typmod: -1, isDomain: false },
      from: 'snapshot',
      element: undefined,
      expression: null,
    })
    const lengthOf = (schemaName: string | null, typeName: string) => {
      const schema = makeSchema({ type: 'BYTES', ...(schemaName === null ? {} : { name: schemaName }) })
      const codec = valueCodec({ spec: { type: 'BYTES' }, fallback: new Uint8Array(0) }, (bytes, start, end) =>
        bytes.subarray(start, end),
      )
      const { codec: result, schema: changed } = cut.apply(
        { column: 0, name: 'c', schema, codec, onNull: null },
        column(typeName),
      )
      assert.equal(changed.parameters?.get('truncateLength'), '3')
      return (result.read(Buffer.from('abcde'), 0, 5) as Uint8Array).length
    }
    assert.equal(lengthOf(null, 'bytea'), 3)
    assert.equal(lengthOf('io.debezium.data.Bits', 'varbit'), 5)
  })

  test('what cannot be longer is not truncated', () => {
    const cut = { 'column.truncate.to.3.chars': 'public.t.c' }
    const single: PgType = { ...text, name: 'bool' }
    assert.deepEqual(parametersOf(cut, single).parameters, {})
    assert.deepEqual(parametersOf(cut, { ...text, name: 'int4' }).parameters, { truncateLength: '3' })
    const elements = { ...text, name: '_bool', category: 'A' }
    assert.deepEqual(parametersOf(cut, elements, { element: single }).parameters, {})
  })

  test('labels of enums are masked like texts, citext is not', () => {
    const stars = { 'column.mask.with.2.chars': 'public.t.c' }
    assert.equal(parametersOf(stars, { ...text, name: 'own', kind: 'e' }).value, '**')
    const citext = parametersOf(stars, { ...text, name: 'citext' })
    assert.deepEqual([citext.value, citext.parameters], ['value', { masked: 'true' }])
  })

  test('a snapshot knows no size of an unbounded number, the stream does', () => {
    const all = { 'column.propagate.source.type': '.*' }
    const size = (from: 'snapshot' | 'stream') => {
      const { parameters } = parametersOf(all, { ...text, name: 'numeric' }, { from })
      return [parameters['__debezium.source.column.length'], parameters['__debezium.source.column.scale']]
    }
    assert.deepEqual(size('snapshot'), ['0', undefined])
    assert.deepEqual(size('stream'), ['131089', '0'])
  })
})
