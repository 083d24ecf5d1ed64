import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createKafkaClientFactory } from '../../worker/kafka/client.ts'
import { projectRoot } from '../support/project-root.ts'
import { requireService, skipUnless } from '../support/services.ts'

const kafka = requireService('kafka')

test('sluice doctor tells what it finds in Kafka, and leaves it as it was', { skip: skipUnless(kafka) }, async () => {
  const run = randomUUID().slice(0, 8)
  const folder = await mkdtemp(join(tmpdir(), 'sluice-doctor-'))
  const bootstrap = kafka.settings.brokers.join(',')
  await using admin = createKafkaClientFactory().admin({ 'bootstrap.servers': bootstrap })
  const topic = (name: string, policy: string) =>
    admin.createTopic({
      topic: `${name}-${run}`,
      partitions: 1,
      replicationFactor: 1,
      configs: { 'cleanup.policy': policy },
    })
  await topic('configs', 'compact')
  await topic('offsets', 'delete')
  try {
    const converter = 'org.apache.kafka.connect.json.JsonConverter'
    const worker = [
      `bootstrap.servers=${bootstrap}`,
      `group.id=doctor-${run}`,
      ...['config', 'offset', 'status'].map((name) => `${name}.storage.topic=${name}s-${run}`),
      ...['key', 'value'].map((part) => `${part}.converter=${converter}`),
    ]
    await writeFile(join(folder, 'worker.properties'), worker.join('\n'))
    const sink = { 'connector.class': 'FileStreamSink', topics: `configs-${run},missing-${run}`, file: '/f' }
    await writeFile(join(folder, 'sink.json'), JSON.stringify({ name: 'sink', config: sink }))
    const { code, out } = await new Promise<{ code: unknown; out: string }>((resolve) => {
      const args = [join(projectRoot, 'worker/main.ts'), 'doctor', 'worker.properties', 'sink.json']
      execFile(process.execPath, args, { cwd: folder }, (error, stdout) =>
        resolve({ code: error?.code ?? 0, out: stdout }),
      )
    })
    assert.equal(code, 1, out)
    for (const line of [
      `config.storage.topic: configs-${run} is there`,
      `problem  offset.storage.topic: Topic 'offsets-${run}' supplied via the 'offset.storage.topic' property is required`,
      `status.storage.topic: statuss-${run} is not there; the first worker creates it with 3 replicas`,
      `warning  sink.json: the topic missing-${run} is not there`,
      'sink.json: sink, FileStreamSink',
    ])
      assert.ok(out.includes(line), `${line} in\n${out}`)
    assert.ok(!out.includes(`the topic configs-${run}`), out)
    const topics = await admin.listTopics()
    assert.deepEqual(topics.filter((name) => name.endsWith(run)).sort(), [`configs-${run}`, `offsets-${run}`])
  } finally {
    await admin.deleteTopics([`configs-${run}`, `offsets-${run}`])
    await rm(folder, { recursive: true })
  }
})
