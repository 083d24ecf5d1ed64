import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { builtinTransforms } from '../../../transforms/index.ts'
import { Decimal, decimalSchema, Float64, makeSchema, Schemas, type Value } from '../../../worker/api/data.ts'
import { SourceRecord } from '../../../worker/api/record.ts'
import { predicate, record, shape, struct, transform } from './support.ts'

const user = struct(
  {
    id: Schemas.int64,
    name: Schemas.optionalString,
    city: makeSchema({ type: 'STRING', optional: true, defaultValue: 'Bern' }),
  },
  { name: 'User', optional: true },
)
const ada = { id: 7n, name: 'Ada', city: null }

describe('RegexRouter', () => {
  const cases: readonly (readonly [string, string, string, string])[] = [
    ['(.*)-raw', '$1', 'a-raw', 'a'],
    ['raw', 'x', 'a-raw', 'a-raw'],
    ['a|ab', 'x', 'ab', 'xb'],
    ['(?i)ABC(\\d)', 'n$1', 'abc5', 'n5'],
    ['(?<first>[a-z]+)\\.(.*)', '${first}_$2', 'db.t', 'db_t'],
    ['(.)(.)', '\\$1$20', 'ab', '$1b0'],
  ]
  for (const [regex, replacement, topic, expected] of cases) {
    it(`turns ${topic} into ${expected} by ${regex} (statement 164)`, async () => {
      const router = await transform('RegexRouter', { regex, replacement })
      const routed = router.apply(record({ topic }))
      assert.equal(routed?.topic, expected)
      assert.equal(routed?.originalTopic, topic)
    })
  }

  it('refuses a group that does not exist, and bad expressions', async () => {
    const router = await transform('RegexRouter', { regex: '(a)', replacement: '$2' })
    assert.throws(() => router.apply(record({ topic: 'a' })), /No group 2/)
    await assert.rejects(() => transform('RegexRouter', { regex: '(', replacement: '' }), { kind: 'config' })
  })

  it('leaves a view of the value undecoded', async () => {
    const router = await transform('RegexRouter', { regex: 'a', replacement: 'b' })
    const source = new SourceRecord({ sourcePartition: {}, sourceOffset: {}, topic: 'a', value: 'v' })
    assert.equal(router.apply(source)?.rawValue, source.rawValue)
  })
})

describe('ExtractField', () => {
  it('takes a field with its schema, and null from null', async () => {
    const extract = await transform('ExtractField$Value', { field: 'city' })
    const out = extract.apply(record({ valueSchema: user, value: ada }))
    assert.equal(out?.value, 'Bern')
    assert.equal(out?.valueSchema, user.fieldsByName.get('city')?.schema)
    assert.equal(extract.apply(record({ valueSchema: user }))?.value, null)
    assert.equal(extract.apply(record())?.value, null)
    assert.equal(extract.apply(record({ value: { city: 'Rom' } }))?.value, 'Rom')
    assert.equal(extract.apply(record({ value: {} }))?.value, null)
  })

  it('keeps nulls when told to', async () => {
    const extract = await transform('ExtractField$Value', { field: 'city', 'replace.null.with.default': 'false' })
    assert.equal(extract.apply(record({ valueSchema: user, value: ada }))?.value, null)
  })

  it('names an unknown field', async () => {
    const extract = await transform('ExtractField$Key', { field: 'no' })
    assert.throws(() => extract.apply(record({ keySchema: user, key: ada })), { message: 'Unknown field: no' })
    assert.throws(() => extract.apply(record({ key: 'text' })), {
      message: 'Only Map objects supported in absence of schema for [field extraction], found: java.lang.String',
    })
    assert.throws(() => extract.apply(record({ keySchema: Schemas.string, key: 'text' })), {
      message: 'Only Struct objects supported for [field extraction], found: java.lang.String',
    })
  })

  const paths: readonly (readonly [string, Value])[] = [
    ['a.b', 1],
    ['a.c.d', null],
    ['`x.y`.z', 2],
    ['`p`q`.r', 3],
    ['`s\\`.t`', 4],
    ['no.where', null],
  ]
  for (const [path, expected] of paths) {
    it(`follows ${path} (statement 165)`, async () => {
      const extract = await transform('ExtractField$Value', { field: path, 'field.syntax.version': 'V2' })
      const value = { a: { b: 1 }, 'x.y': { z: 2 }, 'p`q': { r: 3 }, 's`.t': 4 }
      assert.equal(extract.apply(record({ value }))?.value, expected)
    })
  }

  it('refuses an unmatched backtick', async () => {
    await assert.rejects(
      () => transform('ExtractField$Value', { field: 'a.`b', 'field.syntax.version': 'V2' }),
      /Incomplete backtick pair in path: \[a\.`b\], consider adding a backslash before backtick at position 2/,
    )
  })
})

describe('ReplaceField', () => {
  it('drops, keeps and renames, with one schema per input schema (statement 160)', async () => {
    const replace = await transform('ReplaceField$Value', {
      include: 'id,name,city',
      exclude: 'city',
      renames: 'id:user_id',
    })
    const first = replace.apply(record({ valueSchema: user, value: ada }))
    const second = replace.apply(record({ valueSchema: user, value: ada }))
    assert.deepEqual(first?.value, { user_id: 7n, name: 'Ada' })
    assert.deepEqual(shape(first?.valueSchema ?? null), { user_id: 'INT64', name: 'STRING?' })
    assert.equal(first?.valueSchema?.name, 'User')
    assert.equal(first?.valueSchema?.optional, false)
    assert.equal(first?.valueSchema, second?.valueSchema)
    assert.deepEqual(replace.apply(record({ value: { id: 1, x: 2, ['__proto__']: 3 } }))?.value, { user_id: 1 })
    const tombstone = record()
    assert.equal(replace.apply(tombstone), tombstone)
  })

  it('refuses a bad rename', async () => {
    await assert.rejects(() => transform('ReplaceField$Value', { renames: 'a' }), /Invalid rename mapping: a/)
  })
})

describe('MaskField', () => {
  const all = struct({
    b: Schemas.boolean,
    i: Schemas.int32,
    l: Schemas.int64,
    f: Schemas.float64,
    s: Schemas.string,
    d: decimalSchema(2),
    n: Schemas.optionalString,
  })
  const value = { b: true, i: 5, l: 6n, f: 1.5, s: 'x', d: new Decimal(100n, 2), n: null }

  it('puts the zero of each type (statement 162)', async () => {
    const mask = await transform('MaskField$Value', { fields: 'b,i,l,f,s,d,n' })
    const out = mask.apply(record({ valueSchema: all, value }))
    assert.deepEqual(out?.value, { b: false, i: 0, l: 0n, f: 0, s: '', d: new Decimal(0n, 2), n: null })
    assert.equal(out?.valueSchema, all)
    assert.deepEqual(mask.apply(record({ value: { i: 3, f: new Float64(2), o: 1 } }))?.value, {
      b: null,
      i: 0,
      l: null,
      f: new Float64(0),
      s: null,
      d: null,
      n: null,
      o: 1,
    })
  })

  it('puts a replacement of the right type', async () => {
    const mask = await transform('MaskField$Value', { fields: 'i,l,f,s,d', replacement: '42' })
    assert.deepEqual(mask.apply(record({ valueSchema: all, value }))?.value, {
      ...value,
      i: 42,
      l: 42n,
      f: 42,
      s: '42',
      d: new Decimal(4200n, 2),
    })
  })

  it('keeps a double without a schema a double (I6)', async () => {
    const smt = await transform('org.apache.kafka.connect.transforms.MaskField$Value', { fields: 'a,b,c' })
    const masked = smt.apply(record({ value: { a: 1.5, b: new Float64(2), c: 3 } }))?.value
    assert.deepEqual(masked, { a: new Float64(0), b: new Float64(0), c: 0 })
  })

  it('refuses what it cannot mask', async () => {
    const bytes = record({ value: { b: Uint8Array.of(1) } })
    assert.throws(() => void maskB.apply(bytes), { message: 'Cannot mask value of type: class [B' })
    const custom = await transform('MaskField$Value', { fields: 'b,i', replacement: 'x' })
    assert.throws(() => custom.apply(record({ value: { b: true } })), {
      message: 'Cannot mask value of type class java.lang.Boolean with custom replacement.',
    })
    assert.throws(() => custom.apply(record({ value: { i: 1 } })), {
      message: 'Unable to convert x (class java.lang.String) to number',
    })
    assert.throws(() => custom.apply(record()), { kind: 'record' })
    await assert.rejects(() => transform('MaskField$Value', { fields: '' }), { kind: 'config' })
  })
})
const maskB = await transform('MaskField$Value', { fields: 'b' })

describe('InsertField', () => {
  it('adds coordinates with and without a schema (statement 161)', async () => {
    const insert = await transform('InsertField$Value', {
      'topic.field': 'topic!',
      'partition.field': 'partition?',
      'offset.field': 'offset',
      'timestamp.field': 'ts',
      'static.field': 'origin',
      'static.value': 'eu',
    })
    const out = insert.apply(record({ valueSchema: user, value: ada }))
    assert.deepEqual(shape(out?.valueSchema ?? null), {
      id: 'INT64',
      name: 'STRING?',
      city: 'STRING?',
      topic: 'STRING',
      partition: 'INT32?',
      offset: 'INT64?',
      ts: 'INT64?',
      origin: 'STRING?',
    })
    assert.deepEqual(out?.value, {
      id: 7n,
      name: 'Ada',
      city: 'Bern',
      topic: 'topic',
      partition: 3,
      offset: 9007199254740993n,
      ts: new Date(1_700_000_000_000),
      origin: 'eu',
    })
    const map = insert.apply(record({ value: { a: 1 }, timestamp: null }))
    assert.deepEqual(map?.value, { a: 1, topic: 'topic', partition: 3, offset: 9007199254740993n, origin: 'eu' })
    const tombstone = record()
    assert.equal(insert.apply(tombstone), tombstone)
  })

  it('has an offset only in sinks, and refuses a name twice', async () => {
    const insert = await transform('InsertField$Value', { 'offset.field': 'o' })
    const source = new SourceRecord({ sourcePartition: {}, sourceOffset: {}, topic: 't', value: { a: 1 } })
    assert.throws(() => insert.apply(source), /Only SinkRecord supported for \[field insertion\]/)
    const twice = await transform('InsertField$Value', { 'topic.field': 'id' })
    assert.throws(() => twice.apply(record({ valueSchema: user, value: ada })), /name duplication/)
    await assert.rejects(() => transform('InsertField$Value'), /No field insertion configured/)
    await assert.rejects(
      () => transform('InsertField$Value', { 'static.field': 'x' }),
      /No value specified for static field: x/,
    )
  })
})

describe('ValueToKey', () => {
  it('copies fields (statement 166)', async () => {
    const toKey = await transform('ValueToKey', { fields: 'name,id' })
    const out = toKey.apply(record({ valueSchema: user, value: ada }))
    assert.deepEqual(out?.key, { name: 'Ada', id: 7n })
    assert.deepEqual(shape(out?.keySchema ?? null), { name: 'STRING?', id: 'INT64' })
    assert.deepEqual(toKey.apply(record({ value: { id: 1 } }))?.key, { name: null, id: 1 })
    const unknown = await transform('ValueToKey', { fields: 'no' })
    assert.throws(() => unknown.apply(record({ valueSchema: user, value: ada })), {
      message: 'Field does not exist: no',
    })
    assert.throws(() => toKey.apply(record()), { kind: 'record' })
  })
})

describe('HoistField, Filter and predicates', () => {
  it('wraps', async () => {
    const hoist = await transform('HoistField$Key', { field: 'k' })
    const out = hoist.apply(record({ keySchema: Schemas.int32, key: 5 }))
    assert.deepEqual(out?.key, { k: 5 })
    assert.deepEqual(shape(out?.keySchema ?? null), { k: 'INT32' })
    assert.deepEqual(hoist.apply(record())?.key, { k: null })
  })

  it('drops', async () => {
    assert.equal((await transform('Filter')).apply(record()), null)
  })

  it('tests topic, header and tombstone', async () => {
    const matches = await predicate('TopicNameMatches', { pattern: 'to.*' })
    assert.equal(matches.test(record()), true)
    assert.equal(matches.test(record({ topic: 'a-topic' })), false)
    const has = await predicate('HasHeaderKey', { name: 'h' })
    assert.equal(has.test(record({ headers: [{ key: 'h', schema: null, value: null }] })), true)
    assert.equal(has.test(record()), false)
    const tombstone = await predicate('RecordIsTombstone')
    assert.equal(tombstone.test(record()), true)
    assert.equal(tombstone.test(record({ value: false })), false)
    await assert.rejects(() => predicate('TopicNameMatches', { pattern: '' }), { kind: 'config' })
  })
})

describe('all transforms', () => {
  it('have names of their own', () => {
    const names = builtinTransforms.flatMap((p) => [p.name, ...p.aliases])
    assert.equal(new Set(names).size, names.length)
  })

  it('never change a record in place, whatever they make of it (I5)', async () => {
    const transforms = await Promise.all([
      transform('ExtractField$Value', { field: 'a.b', 'field.syntax.version': 'V2' }),
      transform('ReplaceField$Value', { exclude: 'a', renames: 'b:c' }),
      transform('MaskField$Value', { fields: 'a,b' }),
      transform('InsertField$Value', { 'topic.field': 'a', 'offset.field': 'o' }),
      transform('ValueToKey', { fields: 'a,b' }),
      transform('HoistField$Value', { field: 'a' }),
      transform('sluice.transforms.MaybeTombstone', { field: 'a' }),
      transform('Cast$Value', { spec: 'a:string,b:int32' }),
      transform('Flatten$Value', { delimiter: '_' }),
      transform('HeaderFrom$Value', { fields: 'a,b', headers: 'x,y', operation: 'move' }),
      transform('TimestampConverter$Value', { 'target.type': 'unix', field: 'a', format: 'yyyy' }),
    ])
    const json = fc.dictionary(fc.constantFrom('a', 'b', 'c', '__proto__'), fc.jsonValue({ maxDepth: 2 }))
    fc.assert(
      fc.property(json, fc.constantFrom(...transforms), (value, subject) => {
        const input = record({ value: value as Value })
        const before = JSON.stringify(input.value)
        try {
          const output = subject.apply(input)
          // Positions are those of the consumed record (KIP-793).
          assert.equal(output?.offset, input.offset)
          assert.equal(output?.originalTopic, 'topic')
        } catch (error) {
          assert.equal((error as { kind?: string }).kind, 'record')
        }
        assert.equal(JSON.stringify(input.value), before)
      }),
      { numRuns: 500 },
    )
  })
})
