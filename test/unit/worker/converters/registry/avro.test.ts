import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import avsc from 'avsc'
import fc from 'fast-check'
import { AvroOutput } from '../../../../../worker/api/avro-output.ts'
import { GrowingByteWriter } from '../../../../../worker/api/byte-writer.ts'
import {
  Decimal,
  decimalSchema,
  LogicalName,
  makeSchema,
  type Schema,
  Schemas,
  schemaEquals,
  type Value,
  valueEquals,
} from '../../../../../worker/api/data.ts'
import { kindOf } from '../../../../../worker/api/errors.ts'
import { parseConfig } from '../../../../../worker/config/config-def.ts'
import { avroConverterConfig } from '../../../../../worker/converters/registry/avro-config.ts'
import { AvroFormat } from '../../../../../worker/converters/registry/avro-format.ts'
import { TestStructView } from '../../../../conformance/converter.ts'
import { schemas, values } from '../../../../conformance/java/arbitraries.ts'
import { testSeed } from '../../../../support/seed.ts'
import { isAvro, isWellFormed, present, ValidNames } from '../../../../support/valid-names.ts'

function format(options: Readonly<Record<string, string>> = {}): AvroFormat {
  return new AvroFormat(
    parseConfig(avroConverterConfig, { 'schema.registry.url': 'http://r', 'converter.type': 'value', ...options }),
  )
}

function encode(
  schema: Schema,
  value: Value,
  options?: Readonly<Record<string, string>>,
): { text: string; bytes: Buffer } {
  const encoding = format(options).encoding(schema)
  const out = new GrowingByteWriter(16)
  encoding.write(value, out)
  return { text: encoding.text, bytes: Buffer.from(out.since(0)) }
}

const decode = (
  text: string,
  bytes: Uint8Array,
  options?: Readonly<Record<string, string>>,
  version: number | null = null,
) => format(options).decoding(text, [], version).read(bytes, 0)

/** A schema in Avro, with its data written by an independent library. */
const written = (avro: unknown, value: unknown): Buffer => avsc.Type.forSchema(avro as avsc.Schema).toBuffer(value)

describe('Avro converter', () => {
  it('writes what an independent library reads and writes back the same, and reads it itself (I6)', () => {
    const data = schemas({ javaVersion: 25 }).chain((schema) =>
      values(schema, { javaVersion: 25 }).map((value) => [schema, value] as const),
    )
    const seed = testSeed
    let structs = 0
    fc.assert(
      fc.property(data, ([from, original]) => {
        const schema = new ValidNames().schema(from)
        const value = ValidNames.value(from, original)
        if (!isAvro(schema) || !isWellFormed(value)) return
        // The library has no longs beyond 2^53; Avro's own is asked about those in another test.
        if (holdsLong(schema)) return
        const { text, bytes } = encode(schema, value)
        const type = avsc.Type.forSchema(JSON.parse(text) as avsc.Schema)
        const again = type.toBuffer(type.fromBuffer(bytes))
        const read = decode(text, bytes)
        // Its maps are plain objects, in which a key such as "0" comes first.
        assert.equal(again.length, bytes.length, text)
        assert.ok(again.equals(bytes) || valueEquals(decode(text, again).value, read.value), text)
        assert.ok(valueEquals(read.value, present(schema, value)), `seed ${seed}: ${text}`)
        assert.ok(schemaEquals(read.schema, schema), `seed ${seed}: ${text}`)
        if (schema.type !== 'STRUCT' || value === null) return
        structs++
        const out = new GrowingByteWriter(16)
        format()
          .encoding(schema)
          .write(new TestStructView(schema, value as { readonly [f: string]: Value }), out)
        assert.deepEqual(Buffer.from(out.since(0)), bytes)
      }),
      { numRuns: 1500, seed },
    )
    assert.ok(structs > 50)
  })

  it('refuses bytes that were changed, or gives data that it writes just so', () => {
    const schema = makeSchema({
      type: 'STRUCT',
      name: 'R',
      fields: [
        { name: 'i', schema: Schemas.int8 },
        { name: 'l', schema: Schemas.optionalInt64 },
        { name: 's', schema: Schemas.string },
        { name: 'a', schema: makeSchema({ type: 'ARRAY', valueSchema: Schemas.boolean }) },
        { name: 't', schema: makeSchema({ type: 'INT64', name: LogicalName.timestamp, version: 1 }) },
      ],
    })
    const { text, bytes } = encode(schema, { i: 1, l: 2n ** 62n, s: 'text é', a: [true, false], t: new Date(5) })
    const decoding = format().decoding(text, [], null)
    for (let at = 0; at < bytes.length; at++) {
      for (const change of [0x01, 0x80, 0xff]) {
        const changed = Buffer.from(bytes)
        changed[at] = (changed[at] as number) ^ change
        try {
          decoding.read(changed, 0)
        } catch (error) {
          assert.equal(kindOf(error), 'record')
        }
      }
      assert.throws(() => decoding.read(bytes.subarray(0, at), 0), { kind: 'record' })
    }
    assert.throws(() => decoding.read(Buffer.concat([bytes, Buffer.of(0)]), 0), /left over/)
  })

  it('keeps names, versions, docs, parameters and defaults of Connect in the schema', () => {
    const schema = makeSchema({
      type: 'STRUCT',
      name: 'com.example.Order',
      version: 4,
      doc: 'an order',
      parameters: { p: 'q' },
      fields: [
        { name: 'n', schema: makeSchema({ type: 'INT16', defaultValue: 7 }) },
        { name: 'd', schema: decimalSchema(2, { optional: true, defaultValue: new Decimal(150n, 2) }) },
        { name: 'o', schema: makeSchema({ type: 'STRING', optional: true, name: 'N', doc: 'x' }) },
        { name: 'm', schema: makeSchema({ type: 'MAP', keySchema: Schemas.int32, valueSchema: Schemas.string }) },
      ],
    })
    const { text, bytes } = encode(schema, { n: null, d: null, o: 'x', m: new Map([[1, 'one']]) })
    assert.deepEqual(JSON.parse(text), {
      type: 'record',
      name: 'Order',
      namespace: 'com.example',
      fields: [
        { name: 'n', type: { type: 'int', 'connect.default': 7, 'connect.type': 'int16' }, default: 7 },
        {
          name: 'd',
          type: [
            {
              type: 'bytes',
              scale: 2,
              precision: 64,
              logicalType: 'decimal',
              'connect.version': 1,
              'connect.parameters': { scale: '2' },
              'connect.default': '\u0000\u0096',
              'connect.name': LogicalName.decimal,
            },
            'null',
          ],
          default: '\u0000\u0096',
        },
        { name: 'o', type: ['null', { type: 'string', 'connect.doc': 'x', 'connect.name': 'N' }], default: null },
        {
          name: 'm',
          type: {
            type: 'array',
            items: {
              type: 'record',
              name: 'MapEntry',
              namespace: 'io.confluent.connect.avro',
              fields: [
                { name: 'key', type: 'int' },
                { name: 'value', type: 'string' },
              ],
            },
          },
        },
      ],
      'connect.doc': 'an order',
      'connect.version': 4,
      'connect.parameters': { p: 'q' },
      'connect.name': 'com.example.Order',
    })
    const read = decode(text, bytes)
    assert.ok(schemaEquals(read.schema, schema))
    assert.deepEqual(read.value, { n: 7, d: new Decimal(150n, 2), o: 'x', m: new Map([[1, 'one']]) })
  })

  it('reads Avro that Connect never wrote: enums, fixed, unions, docs, references, the version of the subject', () => {
    const avro = {
      type: 'record',
      name: 'com.example.Bill',
      doc: 'a bill',
      fields: [
        { name: 'state', type: { type: 'enum', name: 'State', symbols: ['NEW', 'PAID'] }, doc: 'where it stands' },
        { name: 'hash', type: { type: 'fixed', name: 'Hash', size: 2 } },
        { name: 'sum', type: ['null', 'int', 'string', 'State'], default: null },
        { name: 'amount', type: { type: 'bytes', logicalType: 'decimal', precision: 9, scale: 2 } },
        { name: 'count', type: 'int', default: 3 },
        { name: 'at', type: { type: 'long', logicalType: 'timestamp-micros' } },
      ],
    }
    const bytes = written(avro, {
      state: 'PAID',
      hash: Buffer.of(1, 2),
      sum: { 'com.example.State': 'NEW' },
      amount: Buffer.of(0x64),
      count: 5,
      at: 1_700_000_000_000_001,
    })
    const { schema, value } = decode(JSON.stringify(avro), bytes, {}, 12)
    assert.deepEqual(value, {
      state: 'PAID',
      hash: Uint8Array.of(1, 2),
      sum: { int: null, string: null, State: 'NEW' },
      amount: new Decimal(100n, 2),
      count: 5,
      at: 1_700_000_000_000_001n,
    })
    assert.equal(schema?.name, 'com.example.Bill')
    assert.equal(schema.version, 12)
    assert.equal(schema.parameters?.get('io.confluent.connect.avro.field.doc.state'), 'where it stands')
    assert.equal(schema.fields[0]?.schema.parameters?.get('io.confluent.connect.avro.Enum'), 'com.example.State')
    assert.equal(schema.fields[3]?.schema.parameters?.get('connect.decimal.precision'), '9')
    assert.equal(schema.fields[4]?.schema.defaultValue, 3)
    // What was read is written back as it came, where enumerations are kept.
    const back = encode(schema, value, { 'enhanced.avro.schema.support': 'true' })
    assert.deepEqual(back.bytes, bytes)
  })

  it('resolves names of referenced schemas, and refuses a schema that contains itself', () => {
    const inner = JSON.stringify({ type: 'record', name: 'a.Inner', fields: [{ name: 'x', type: 'int' }] })
    const outer = JSON.stringify({ type: 'record', name: 'a.Outer', fields: [{ name: 'i', type: 'Inner' }] })
    const decoding = format().decoding(outer, [{ name: 'a.Inner', text: inner }], null)
    assert.deepEqual(decoding.read(Buffer.of(8), 0).value, { i: { x: 4 } })
    const list = { type: 'record', name: 'L', fields: [{ name: 'next', type: ['null', 'L'] }] }
    assert.throws(() => format().decoding(JSON.stringify(list), [], null), {
      kind: 'record',
      message: /contains itself/,
    })
  })

  it('replaces what Avro does not allow in names, on request', () => {
    const schema = makeSchema({ type: 'STRUCT', name: 'a-b.c', fields: [{ name: '1 x', schema: Schemas.int32 }] })
    const { text, bytes } = encode(schema, { '1 x': 3 }, { 'scrub.invalid.names': 'true' })
    assert.equal((JSON.parse(text) as { fields: { name: string }[] }).fields[0]?.name, 'x1_x')
    assert.deepEqual(decode(text, bytes).value, { x1_x: 3 })
  })
})

function holdsLong(schema: Schema): boolean {
  if (schema.type === 'INT64') return true
  return [...schema.fields.map((f) => f.schema), schema.keySchema, schema.valueSchema].some(
    (part) => part !== null && holdsLong(part),
  )
}

describe('AvroOutput', () => {
  const writer = new GrowingByteWriter()
  const output = new AvroOutput()
  const written = (write: () => void): string => {
    writer.reset()
    output.to(writer)
    write()
    return Buffer.from(writer.since(0)).toString('hex')
  }
  /** Zigzag code in groups of seven bits, as the specification of Avro has it. */
  const coded = (value: bigint): string => {
    const bytes: number[] = []
    let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n))
    for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128)
    return Buffer.from([...bytes, Number(rest)]).toString('hex')
  }

  it('writes each 64-bit integer alike from a bigint, a number and text', () => {
    const edges = [0n, -1n, 2n ** 31n, 2n ** 52n, -(2n ** 52n), 2n ** 53n, 10n ** 15n, 2n ** 63n - 1n, -(2n ** 63n)]
    const int64 = fc
      .integer({ min: 1, max: 64 })
      .chain((bits) => fc.bigInt({ min: -(2n ** BigInt(bits - 1)), max: 2n ** BigInt(bits - 1) - 1n }))
    fc.assert(
      fc.property(fc.oneof(int64, fc.constantFrom(...edges)), (value) => {
        const text = Buffer.from(`x${value}`)
        assert.equal(
          written(() => output.long(value)),
          coded(value),
        )
        assert.equal(
          written(() => output.integerText(text, 1, text.length)),
          coded(value),
        )
        if (Number.isSafeInteger(Number(value)))
          assert.equal(
            written(() => output.integer(Number(value))),
            coded(value),
          )
      }),
      { numRuns: 2000, examples: edges.map((edge) => [edge]) },
    )
  })
})
