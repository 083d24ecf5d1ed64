/** Sequences wrap at 2^31 as the broker expects, also with failures around the wrap (kafkajs sets them to 0). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Accumulator } from '../../../../worker/kafka/accumulator.ts'
import { Cluster } from '../../../../worker/kafka/cluster.ts'
import { readProducerConfig } from '../../../../worker/kafka/producer-config.ts'
import { PropertyReader } from '../../../../worker/kafka/property-reader.ts'
import { addSequence } from '../../../../worker/kafka/record-batch-builder.ts'
import { Sender } from '../../../../worker/kafka/sender.ts'
import { TransactionManager } from '../../../../worker/kafka/transaction-manager.ts'
import { systemClock } from '../../../../worker/util/clock.ts'
import { ScriptedBroker } from '../../../support/kafka/scripted-broker.ts'

const MAX = 2 ** 31 - 1

test('addSequence is DefaultRecordBatch.incrementSequence', () => {
  assert.equal(addSequence(0, 1), 1)
  assert.equal(addSequence(MAX, 1), 0)
  assert.equal(addSequence(MAX - 8, 100), 91)
  assert.equal(addSequence(MAX - 99, 100), 0)
})

test('batches across the wrap are written in order, with failures on the way', async () => {
  const firstSequence = MAX - 40
  let answered = 0
  const broker = new ScriptedBroker({
    partitions: 1,
    firstSequence,
    fault: () => (++answered % 4 === 2 ? { kind: 'error', code: 6 } : { kind: 'none' }),
  })
  await using _close = broker
  const bootstrap = await broker.listen()
  const properties = { 'bootstrap.servers': bootstrap, 'batch.size': '200', 'linger.ms': '0', 'retry.backoff.ms': '1' }
  const config = readProducerConfig(new PropertyReader(properties))
  const cluster = new Cluster(config.connection, systemClock, null)
  const accumulator = new Accumulator(config, systemClock)
  const transactions = new TransactionManager(cluster, config)
  const done = Promise.withResolvers<void>()
  const onProgress = (): void => {
    if (accumulator.incomplete.size === 0) done.resolve()
  }
  const sender = new Sender({
    cluster,
    config,
    accumulator,
    transactions,
    clock: systemClock,
    log: null,
    lease: null,
    onProgress,
  })
  await cluster.refresh(['t'])
  accumulator.setPartitionCount('t', 1)
  const queue = accumulator.queue('t', 0)
  assert.ok(queue)
  queue.nextSequence = firstSequence
  queue.ackedSequence = firstSequence
  const failures: Error[] = []
  const delivery = { delivered: () => undefined, failed: (_count: number, error: Error) => void failures.push(error) }
  for (let i = 0; i < 150; i++) {
    accumulator.append(
      { topic: 't', partition: 0, key: null, value: Buffer.from(`${i}`), headers: [], timestamp: 0 },
      delivery,
    )
  }
  const hurry = sender.hurry()
  await done.promise
  hurry.release()
  sender.close(new Error('test is over'))
  cluster.close()
  assert.deepEqual(failures, [])
  assert.deepEqual(
    broker.written(0).map((r) => r.value),
    Array.from({ length: 150 }, (_, i) => `${i}`),
  )
  assert.deepEqual(
    broker.written(0).map((r) => r.sequence),
    Array.from({ length: 150 }, (_, i) => addSequence(firstSequence, i)),
  )
})
