import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import type { Logger } from '../../worker/api/context.ts'
import { createKafkaClientFactory } from '../../worker/kafka/client.ts'
import { requireService } from '../support/services.ts'
import { eventually } from '../support/worker-process.ts'

const kafka = requireService('kafka')

test('records that are not there any more are passed over with a warning of both offsets', {
  skip: kafka.skip,
}, async () => {
  const warnings: unknown[] = []
  const none = (): void => {}
  const log: Logger = {
    trace: none,
    debug: none,
    info: none,
    error: none,
    warn: (first: unknown) => {
      warnings.push(first)
    },
  }
  const properties = { 'bootstrap.servers': kafka.settings.brokers.join(',') }
  const factory = createKafkaClientFactory({ log })
  const topic = `out-of-range-${randomUUID()}`
  const tp = { topic, partition: 0 }
  await using admin = factory.admin(properties)
  await admin.createTopic({ topic, partitions: 1, replicationFactor: 1 })
  await using producer = factory.producer(properties)
  await producer.partitionsOf(topic)
  const delivery = { delivered: none, failed: (_: number, error: Error) => assert.fail(error) }
  const value = Buffer.from('first')
  producer.append({ topic, partition: 0, key: null, value, headers: [], timestamp: null }, delivery)
  await producer.flush()
  await using consumer = factory.consumer({ ...properties, 'auto.offset.reset': 'earliest' })
  consumer.assign([tp])
  consumer.seek(tp, 77n)
  await eventually(async () => {
    const [batch] = await consumer.poll(200)
    assert.equal(batch?.records[0]?.offset, 0n)
  }, 20_000)
  assert.deepEqual(warnings, [{ ...tp, from: '77', to: '0' }])
})
