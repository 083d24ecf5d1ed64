/** What every transform and predicate owes the runtime (style guide: plugin API; I5). */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { RawConfig } from '../../worker/api/connector.ts'
import { schemaEquals, valueEquals } from '../../worker/api/data.ts'
import { kindOf } from '../../worker/api/errors.ts'
import type { TransformationPlugin } from '../../worker/api/plugin.ts'
import { type ConnectRecord, SinkRecord, type SinkRecordInit } from '../../worker/api/record.ts'
import type { Transformation } from '../../worker/api/transform.ts'
import { parseConfig } from '../../worker/config/config-def.ts'
import { deepFreeze } from './converter.ts'

/** A record of a topic `t`, with everything in it frozen, so that a change in place throws (I5). */
export function sinkRecord(init: Partial<SinkRecordInit> = {}): SinkRecord {
  const record = new SinkRecord(deepFreeze({ topic: 't', partition: 0, offset: 0n, timestamp: 0, ...init }))
  Object.freeze(record)
  return record
}

/** An instance with its options read from text, as the worker does it. */
export async function configured(plugin: TransformationPlugin, options: RawConfig): Promise<Transformation<unknown>> {
  const instance = (await plugin.create()) as Transformation<unknown>
  instance.configure(deepFreeze(parseConfig(plugin.config, options)))
  return instance
}

export interface TransformationSubject {
  readonly plugin: TransformationPlugin
  readonly options: RawConfig
  /** Records that it must take: changed, as they are, or dropped. A tombstone should be among them. */
  readonly records: readonly ConnectRecord[]
  /** For one record at most, in ms: the task's other records wait for it; default 100. */
  readonly boundMs?: number
}

/** Registers the suite under `name`. */
export function transformationConformance(name: string, subject: TransformationSubject): void {
  const { plugin, options, records, boundMs = 100 } = subject
  describe(`transformation conformance: ${name}`, () => {
    it('takes its records without changing them, and gives the same for the same (I5)', async () => {
      const transform = await configured(plugin, options)
      for (const record of records) {
        const first = transform.apply(record)
        const second = transform.apply(record)
        assert.equal(first === null, second === null)
        if (first !== null && second !== null) expectSame(first, second)
      }
      transform.close?.()
    })

    it('keeps where a record came from (KIP-793)', async () => {
      const transform = await configured(plugin, options)
      for (const record of records) {
        const result = transform.apply(record)
        if (!(record instanceof SinkRecord) || !(result instanceof SinkRecord)) continue
        const { originalTopic, originalPartition, offset } = result
        assert.deepEqual(
          { originalTopic, originalPartition, offset },
          { originalTopic: record.originalTopic, originalPartition: record.originalPartition, offset: record.offset },
        )
      }
      transform.close?.()
    })

    it('gives equal schemas as one object, so that converters keep what they made of it', async () => {
      const transform = await configured(plugin, options)
      for (const record of records) {
        const [first, second] = [transform.apply(record), transform.apply(record)]
        assert.equal(first?.valueSchema, second?.valueSchema, 'the schema of the value is made anew for every record')
        assert.equal(first?.keySchema, second?.keySchema, 'the schema of the key is made anew for every record')
      }
      transform.close?.()
    })

    it('answers a record within its bound, and fails with errors that count against that record', async () => {
      const transform = await configured(plugin, options)
      for (const record of [...records, sinkRecord(), sinkRecord({ key: 'k' }), sinkRecord({ value: new Map() })]) {
        const startedAt = performance.now()
        try {
          transform.apply(record)
        } catch (error) {
          assert.ok(!records.includes(record), `a record that it must take: ${String(error)}`)
          assert.notEqual(kindOf(error), 'retriable', `will never succeed: ${String(error)}`)
        }
        const tookMs = performance.now() - startedAt
        assert.ok(tookMs < boundMs, `one record took ${Math.round(tookMs)} ms`)
      }
      transform.close?.()
    })

    it('can be closed before its first record, twice, and made again', async () => {
      const unused = await configured(plugin, options)
      unused.close?.()
      unused.close?.()
      const never = await plugin.create()
      never.close?.()
      await configured(plugin, options)
    })
  })
}

function expectSame(a: ConnectRecord, b: ConnectRecord): void {
  assert.deepEqual([a.topic, a.partition, a.timestamp], [b.topic, b.partition, b.timestamp])
  assert.ok(valueEquals(a.key, b.key) && schemaEquals(a.keySchema, b.keySchema), 'another key')
  assert.ok(valueEquals(a.value, b.value) && schemaEquals(a.valueSchema, b.valueSchema), 'another value')
  assert.equal(a.headers.length, b.headers.length, 'other headers')
}
