import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { GrowingByteWriter } from '../../../worker/api/byte-writer.ts'
import { schemaEquals, valueEquals } from '../../../worker/api/data.ts'
import { parseConfig } from '../../../worker/config/config-def.ts'
import { avroConverterConfig } from '../../../worker/converters/registry/avro-config.ts'
import { AvroFormat } from '../../../worker/converters/registry/avro-format.ts'
import { testSeed } from '../../support/seed.ts'
import { isAvro, isWellFormed, present, ValidNames } from '../../support/valid-names.ts'
import { schemas, values } from './arbitraries.ts'
import { JavaHarness, requireHarness } from './harness.ts'

describe('Avro beside its own library', { skip: requireHarness().skip }, () => {
  it('reads and writes back what our converter wrote, byte for byte', async (t) => {
    await using java = await JavaHarness.open(['avro'])
    const seed = testSeed
    t.diagnostic(`seed ${seed}`)
    const format = new AvroFormat(
      parseConfig(avroConverterConfig, { 'schema.registry.url': 'http://r', 'converter.type': 'value' }),
    )
    const data = schemas({ javaVersion: java.javaVersion }).chain((from) =>
      values(from, { javaVersion: java.javaVersion }).map((value) => {
        return { schema: new ValidNames().schema(from), value: ValidNames.value(from, value) }
      }),
    )
    const samples = fc
      .sample(data, { seed, numRuns: 1000 })
      .filter(({ schema, value }) => isAvro(schema) && isWellFormed(value))
    assert.ok(samples.length > 400)
    const encoded = samples.map(({ schema, value }) => {
      const encoding = format.encoding(schema)
      const out = new GrowingByteWriter(16)
      encoding.write(value, out)
      return { schema: encoding.text, bytes: Buffer.from(out.since(0)) }
    })
    const answers = await java.run(
      encoded.map(({ schema, bytes }) => ({ op: 'avro', schema, bytes: bytes.toString('base64') })),
    )
    let same = 0
    answers.forEach(({ error, bytes }, i) => {
      const ours = encoded[i] as (typeof encoded)[number]
      assert.equal(error, undefined, `${JSON.stringify(error)} ${ours.schema}`)
      const theirs = Buffer.from(bytes ?? '', 'base64')
      const decoding = format.decoding(ours.schema, [], null)
      const read = decoding.read(ours.bytes, 0)
      // Java's maps have an order of their own.
      if (Buffer.compare(theirs, ours.bytes) === 0) same++
      else assert.ok(valueEquals(decoding.read(theirs, 0).value, read.value), `Java: ${ours.schema}`)
      assert.equal(theirs.length, ours.bytes.length)
      const { schema, value } = samples[i] as (typeof samples)[number]
      assert.ok(valueEquals(read.value, present(schema, value)), `value: ${ours.schema} ${inspect(read.value)}`)
      assert.ok(schemaEquals(read.schema, schema), `schema: ${ours.schema} ${inspect(schema, { depth: 9 })}`)
    })
    assert.ok(same > answers.length * 0.9)
  })
})
