import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { zonedTimestampCodec } from '../../../../connectors/postgres-cdc/values/temporal-codecs.ts'
import { GrowingByteWriter } from '../../../../worker/api/byte-writer.ts'
import { makeSchema, type Struct, StructView, type ValueWriter } from '../../../../worker/api/data.ts'
import { JsonWriter } from '../../../../worker/api/json-writer.ts'
import { defaultValueOptions } from '../../../support/postgres-values.ts'

const options = defaultValueOptions('')

const two = (n: number) => String(n).padStart(2, '0')

suite('timestamptz', () => {
  test('the short cut for UTC writes what the calendar makes of the text', () => {
    const json = new JsonWriter({ decimals: 'base64', maps: 'connect', replaceNullWithDefault: true })
    const clock = fc.tuple(fc.nat(23), fc.nat(59), fc.nat(59)).map((parts) => parts.map(two).join(':'))
    const date = fc
      .tuple(fc.integer({ min: 1, max: 12_000 }), fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 28 }))
      .map(([y, m, d]) => `${String(y).padStart(4, '0')}-${two(m)}-${two(d)}`)
    // The server drops zeros at the end of a fraction, and the fraction when nothing is left.
    const fraction = fc.nat(999_999).map((n) => `.${String(n).padStart(6, '0')}`.replace(/\.?0+$/, ''))
    const zone = fc.oneof({ weight: 5, arbitrary: fc.constant('+00') }, fc.constantFrom('-03', '+05:30', '+00 BC'))
    const text = fc.oneof(
      { weight: 9, arbitrary: fc.tuple(date, clock, fraction, zone).map(([d, t, f, z]) => `${d} ${t}${f}${z}`) },
      fc.constantFrom('infinity', '-infinity'),
    )
    fc.assert(
      fc.property(text, fc.nat(6), (value, digits) => {
        const codec = zonedTimestampCodec({ options, digits, from: 'stream', inArray: false })
        const schema = makeSchema({ type: 'STRUCT', fields: [{ name: 't', schema: makeSchema(codec.spec) }] })
        const bytes = Buffer.from(`<${value}>`)
        class View extends StructView {
          readonly schema = schema
          writeTo(out: ValueWriter): void {
            out.beginStruct(schema)
            codec.write(bytes, 1, bytes.length - 1, out)
            out.endStruct()
          }
          materialize(): Struct {
            return { t: codec.read(bytes, 1, bytes.length - 1) }
          }
        }
        const view = new View()
        const written = [view, view.materialize()].map((item) => {
          const out = new GrowingByteWriter(8)
          json.write(schema, item, out)
          return Buffer.from(out.since(0)).toString('utf8')
        })
        assert.equal(written[0], written[1])
      }),
      { numRuns: 2000 },
    )
  })
})
