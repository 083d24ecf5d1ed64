import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { GrowingByteWriter } from '../../../../worker/api/byte-writer.ts'
import { Decimal, Float64, makeSchema, type Schema, Schemas, type Value } from '../../../../worker/api/data.ts'
import { javaText, writeJavaText } from '../../../../worker/api/java-text.ts'
import { decodeUtf8 } from '../../../../worker/api/utf8.ts'
import { changeEvent, changeEventSchema } from '../../../support/change-events.ts'

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.string({ unit: 'binary', maxLength: 60 }),
  // Half surrogate pairs, which UTF-8 has no form for.
  fc.string({ unit: fc.constantFrom('a', '\ud83d', '\ude00', 'é'), maxLength: 30 }),
  fc.nat(3).map((n) => 'a long text '.repeat(1000 * n)),
)

const value = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom<Value>(null, true, false, -0, 1e21, 2 ** 53, new Date(0), Buffer.from('é bytes')),
    fc.maxSafeInteger(),
    fc.double(),
    fc.bigInt(),
    fc.double().map((n) => new Float64(n)),
    fc.tuple(fc.bigInt(), fc.integer({ min: -20, max: 20 })).map(([unscaled, scale]) => new Decimal(unscaled, scale)),
    text,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(text, tie('value'), { maxKeys: 4 }),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 3 }).map((entries) => new Map(entries)),
  ),
})).value

const utf8 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8')

function assertWritten(schema: Schema | null, given: Value): void {
  // A tiny start, so that every write has to grow the storage.
  const out = new GrowingByteWriter(1)
  writeJavaText(schema, given, out, utf8)
  assert.deepEqual(Buffer.from(out.since(0)), Buffer.from(javaText(schema, given, utf8)))
}

suite('texts as Java prints values', () => {
  test('written as bytes they are those of the string', () => {
    fc.assert(
      fc.property(value, (given) => assertWritten(null, given)),
      { numRuns: 1000 },
    )
  })

  test('written as bytes they are those of the string, of values with a schema', () => {
    const floats = makeSchema({
      type: 'STRUCT',
      fields: [
        { name: 'single', schema: Schemas.float32 },
        { name: 'list', schema: makeSchema({ type: 'ARRAY', valueSchema: Schemas.float64 }) },
        { name: 'map', schema: makeSchema({ type: 'MAP', keySchema: Schemas.int32, valueSchema: Schemas.float32 }) },
        { name: 'none', schema: Schemas.optionalString },
        { name: 'last', schema: Schemas.int64 },
      ],
    })
    assertWritten(floats, { single: 1, list: [1, -0, 0.1], map: new Map([[7, 0.1]]), none: null, last: 7n })
    assertWritten(changeEventSchema, changeEvent({ after: { id: 1, note: 'é', big: 10n ** 12n, raw: null } }))
  })

  test('bytes are refused where nothing stands for them', () => {
    const out = new GrowingByteWriter()
    assert.throws(() => writeJavaText(null, { a: ['x', Buffer.from('y')] }, out), /no text form/)
  })

  test('bytes that are not UTF-8 are no text, and a written replacement character is one', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 12 }),
          text.map((t) => Buffer.from(t)),
        ),
        (bytes) => {
          let expected: string | null = null
          try {
            expected = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
          } catch {
            // Not UTF-8.
          }
          assert.equal(decodeUtf8(bytes), expected)
        },
      ),
      { numRuns: 1000 },
    )
  })
})
