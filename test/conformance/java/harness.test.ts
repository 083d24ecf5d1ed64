import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { testSeed } from '../../support/seed.ts'
import { connectData } from './arbitraries.ts'
import { JavaHarness, requireHarness, type WireRecord } from './harness.ts'
import { canonical, schemaToWire, valueToWire } from './wire.ts'

describe('Java harness', { skip: requireHarness().skip }, () => {
  it('carries generated data to Java and back without loss', async (t) => {
    await using java = await JavaHarness.open()
    // A transform that has nothing to do gives the record back as Java holds it.
    const config = { regex: 'no such topic', replacement: 'x' }
    await java.make({ plugin: 'same', class: 'org.apache.kafka.connect.transforms.RegexRouter', config })
    const seed = testSeed
    t.diagnostic(`seed ${seed}`)
    const data = fc.sample(connectData({ javaVersion: java.javaVersion }), { seed, numRuns: 1000 })
    const records = data.map(({ schema, value }, i): WireRecord => {
      const wire = { schema: schemaToWire(schema), value: valueToWire(schema, value) }
      return {
        topic: 't',
        partition: i % 2 === 0 ? null : 3,
        keySchema: null,
        key: ['str', 'k'],
        valueSchema: wire.schema,
        value: wire.value,
        timestamp: '1700000000000',
        offset: i % 2 === 0 ? null : String(i),
        headers: [{ key: 'h', ...wire }],
      }
    })
    const answers = await java.run(records.map((record) => ({ op: 'apply', plugin: 'same', record })))
    answers.forEach(({ error, record }, i) => {
      const sent = records[i] as WireRecord
      assert.equal(error, undefined, `${JSON.stringify(error)}: ${JSON.stringify(sent)}`)
      assert.deepEqual(
        { ...record, value: canonical(record?.value ?? null), headers: record?.headers.length },
        { ...sent, value: canonical(sent.value), headers: 1 },
      )
      assert.deepEqual(record?.headers[0]?.schema, sent.valueSchema)
    })
  })

  it('answers a failed job with the error of Java, and goes on', async () => {
    await using java = await JavaHarness.open()
    await java.make({ plugin: 'int', class: 'org.apache.kafka.connect.converters.IntegerConverter', config: {} })
    const [failed, fine] = await java.run([
      { op: 'toConnect', plugin: 'int', bytes: 'AAA=' },
      { op: 'toConnect', plugin: 'int', bytes: 'AAAABQ==' },
    ])
    assert.equal(failed?.error?.class, 'org.apache.kafka.connect.errors.DataException')
    assert.match(failed.error.message ?? '', /^Failed to deserialize integer: /)
    assert.deepEqual(fine?.value, ['i32', 5])
  })
})
