import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { GrowingByteWriter } from '../../../../worker/api/byte-writer.ts'
import {
  makeSchema,
  RepeatedValues,
  Schemas,
  type Struct,
  StructView,
  type ValueWriter,
  writeRepeated,
} from '../../../../worker/api/data.ts'
import { quoteJson } from '../../../../worker/api/json.ts'
import { writeJsonString, writeJsonUtf8 } from '../../../../worker/api/json-text.ts'
import { JsonWriter } from '../../../../worker/api/json-writer.ts'

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.string({ unit: fc.constantFrom('a', '"', '\\', '\n', 'é', '\u007f', '\ud83d\ude00'), maxLength: 60 }),
  fc.nat(4).map((n) => 'long "text" \\ '.repeat(500 * n)),
)

function written(write: (out: GrowingByteWriter) => void): string {
  // A tiny start, so that every write has to grow the storage; something before, so that positions are not all 0.
  const out = new GrowingByteWriter(1)
  out.byte(0x5b)
  write(out)
  return Buffer.from(out.since(1)).toString('utf8')
}

suite('texts and numbers of JSON', () => {
  test('strings, from UTF-16 and from UTF-8, are what quoteJson makes', () => {
    fc.assert(
      fc.property(text, (value) => {
        const expected = Buffer.from(quoteJson(value)).toString('utf8')
        assert.equal(
          written((out) => writeJsonString(value, out)),
          expected,
        )
        if (!value.isWellFormed()) return
        const bytes = Buffer.from(`<${value}>`)
        assert.equal(
          written((out) => writeJsonUtf8(bytes, 1, bytes.length - 1, out)),
          expected,
        )
      }),
    )
  })

  test('decimal writes any number as String does', () => {
    const number = fc.oneof(
      fc.maxSafeInteger(),
      fc.integer(),
      fc.double(),
      fc.nat(16).chain((n) => fc.constantFrom(10 ** n, 10 ** n - 1, 10 ** n + 1)),
      fc.constantFrom(0, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 2 ** 53, 1e21),
    )
    fc.assert(
      fc.property(number, (value) =>
        assert.equal(
          written((out) => out.decimal(value)),
          String(value),
        ),
      ),
    )
  })

  test('repeated values are written anew at another place, by another writer, and give the same bytes each time', () => {
    const inner = makeSchema({
      type: 'STRUCT',
      fields: ['a', 'b', 'c'].map((name) => ({ name, schema: Schemas.optionalString })),
    })
    const schema = makeSchema({
      type: 'STRUCT',
      fields: ['x', 'y', 'z'].map((name) => ({ name, schema: name === 'y' ? inner : Schemas.optionalString })),
    })
    let encoded = 0
    const pair = new RepeatedValues(2, (out) => {
      encoded += 1
      out.string('one')
      out.null()
    })
    class View extends StructView {
      readonly schema = schema
      readonly #first: boolean
      constructor(first: boolean) {
        super()
        this.#first = first
      }
      writeTo(out: ValueWriter): void {
        out.beginStruct(schema)
        out.string('x')
        out.beginStruct(inner)
        if (!this.#first) out.string('before')
        writeRepeated(pair, out)
        if (this.#first) out.string('behind')
        out.endStruct()
        out.null()
        out.endStruct()
      }
      materialize(): Struct {
        throw new Error('not needed')
      }
    }
    const options = { decimals: 'base64', maps: 'connect', replaceNullWithDefault: true } as const
    const writers = [new JsonWriter(options), new JsonWriter(options)]
    const expected = {
      true: '{"x":"x","y":{"a":"one","b":null,"c":"behind"},"z":null}',
      false: '{"x":"x","y":{"a":"before","b":"one","c":null},"z":null}',
    }
    const step = fc.tuple(fc.nat(1), fc.boolean())
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        for (const [writer, first] of steps) {
          const bytes = written((out) => writers[writer]?.write(schema, new View(first), out))
          assert.equal(bytes, expected[`${first}`])
        }
      }),
    )
    encoded = 0
    for (let i = 0; i < 5; i++) written((out) => writers[0]?.write(schema, new View(true), out))
    assert.ok(encoded <= 2, `encoded ${encoded} times`)
  })
})
