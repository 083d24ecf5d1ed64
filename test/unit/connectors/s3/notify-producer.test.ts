import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from '../../../../worker/api/errors.ts'
import { SinkRecord } from '../../../../worker/api/record.ts'
import { MemoryStore } from '../../../conformance/s3/memory-store.ts'
import { SinkHarness } from '../../../conformance/s3/sink-harness.ts'

const tp = { topic: 'orders', partition: 0 }

async function writeOne(config: Readonly<Record<string, string>>): Promise<SinkHarness> {
  const harness = await SinkHarness.start({ config: { 'flush.size': '1', ...config }, store: new MemoryStore() })
  await harness.assign(tp)
  harness.append([new SinkRecord({ ...tp, offset: 0n, value: { id: 1 } })])
  await harness.settle()
  assert.equal(harness.offset(), 1n)
  await harness.stop()
  return harness
}

test('messages go through the task’s own producer, or one with notify.kafka.*', async () => {
  const own = await writeOne({ 'notify.topic': 'files' })
  assert.deepEqual([own.sent.length, own.sentWith.size], [1, 0])

  const other = await writeOne({ 'notify.topic': 'files', 'notify.kafka.bootstrap.servers': 'b:1' })
  assert.equal(other.sent.length, 0)
  const [message] = other.sentWith.get('notify.kafka.') ?? []
  assert.equal(message?.topic, 'files')
  assert.deepEqual(message?.value, own.sent[0]?.value)

  const off = await writeOne({ 'notify.kafka.bootstrap.servers': 'b:1' })
  assert.deepEqual([off.sent.length, off.sentWith.size], [0, 0])
})

test('what would make acknowledgements worth less is refused by name; the same said strongly is not (I1)', async () => {
  const weak = { acks: '1', 'enable.idempotence': 'false', 'transactional.id': 'x', 'linger.ms': '5' }
  const options = (of: Readonly<Record<string, string>>) =>
    Object.fromEntries(Object.entries(of).map(([name, text]) => [`notify.kafka.${name}`, text]))
  await assert.rejects(writeOne({ 'notify.topic': 'files', ...options(weak) }), (error) => {
    assert.ok(error instanceof ConfigError)
    assert.deepEqual(
      error.problems.map(({ option }) => option),
      ['notify.kafka.acks', 'notify.kafka.enable.idempotence', 'notify.kafka.transactional.id'],
    )
    return true
  })
  for (const acks of ['all', '-1', 'ALL']) {
    await writeOne({ 'notify.topic': 'files', ...options({ acks, 'enable.idempotence': 'true' }) })
  }
})
