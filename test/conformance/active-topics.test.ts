/** Statements about the topics that a connector uses, with FileStream connectors on real workers. */
import assert from 'node:assert/strict'
import { appendFile, writeFile } from 'node:fs/promises'
import test from 'node:test'
import { type Config, Scene, waitMs } from '../support/connect-scene.ts'
import { requireService } from '../support/services.ts'
import { textOf, topicRecords } from '../support/topic-records.ts'
import { eventually, type WorkerUnderTest } from '../support/worker-process.ts'

const kafka = requireService('kafka')
const options = { skip: kafka.skip, timeout: 120_000 }

test('statements 77, 78, 79 and 80: active topics', options, async () => {
  await using scene = await Scene.open({ 'topic.tracking.allow.reset': 'false' })
  const [name, topic] = [scene.name('src'), scene.name('t')]
  const input = scene.file('in')
  await writeFile(input, 'one\n')
  const config: Config = { 'connector.class': 'FileStreamSource', file: input, topic }
  const path = `/connectors/${name}/topics`
  assert.deepEqual(await scene.call('GET', path), { [name]: { topics: [] } })
  await scene.call('PUT', `/connectors/${name}/config`, config)
  const active = async (worker: WorkerUnderTest, topics: readonly string[]): Promise<void> =>
    eventually(async () => assert.deepEqual((await worker.rest('GET', path)).body, { [name]: { topics } }), waitMs)
  await active(scene.worker, [topic])
  assert.match(await scene.refuses(403, 'PUT', `${path}/reset`), /reset is disabled/)
  await active(scene.worker, [topic])

  const other = await (await scene.cluster.start('distributed', [], { 'topic.tracking.allow.reset': 'true' })).ready()
  // The second reset comes right after a record: a task names a topic anew as soon as it is used again.
  for (const line of ['two\n', 'three\n']) {
    assert.equal((await eventually(() => other.rest('PUT', `${path}/reset`), waitMs)).status, 202)
    await active(other, [])
    // The owner of the task must have read the reset too: a topic that it knows is not named again.
    await active(scene.worker, [])
    await appendFile(input, line)
    await active(other, [topic])
  }
  await scene.call('DELETE', `/connectors/${name}`)
  await active(other, [])
})

test('statement 81: without tracking of topics its paths are refused, and nothing is written', options, async () => {
  await using scene = await Scene.open({ 'topic.tracking.enable': 'false' })
  const [name, topic, copy] = [scene.name('src'), scene.name('t'), scene.name('snk')]
  const [input, out] = [scene.file('in'), scene.file('out')]
  await writeFile(input, 'one\n')
  await scene.call('PUT', `/connectors/${name}/config`, { 'connector.class': 'FileStreamSource', file: input, topic })
  const sink = { 'connector.class': 'FileStreamSink', file: out, topics: topic }
  await scene.call('PUT', `/connectors/${copy}/config`, sink)
  await scene.contains(out, 'one\n')
  for (const connector of [name, copy]) {
    assert.match(await scene.refuses(403, 'GET', `/connectors/${connector}/topics`), /Topic tracking is disabled/)
    assert.match(await scene.refuses(403, 'PUT', `/connectors/${connector}/topics/reset`), /Topic tracking is disabled/)
  }
  // A worker that stops has written all that it was to write.
  assert.equal(await scene.worker.signal('SIGTERM'), 0)
  const written = await topicRecords(kafka.settings.brokers, `statuses-${scene.cluster.token}`)
  const keys = written.map(({ key }) => textOf(key) ?? '')
  assert.ok(keys.includes(`status-task-${name}-0`), keys.join())
  assert.deepEqual(
    keys.filter((key) => key.startsWith('status-topic-')),
    [],
  )
})
