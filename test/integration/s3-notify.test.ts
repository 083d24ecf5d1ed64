/** The S3 sink on one cluster, its metadata topic on another: `notify.kafka.bootstrap.servers`. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { createKafkaClientFactory } from '../../worker/kafka/client.ts'
import { openLake } from '../support/lake.ts'
import { PrivateBroker } from '../support/private-broker.ts'
import { requireService, skipUnless } from '../support/services.ts'
import { textOf, topicRecords } from '../support/topic-records.ts'
import { ClusterUnderTest, eventually } from '../support/worker-process.ts'

const kafka = requireService('kafka')
const s3 = requireService('s3')

test('metadata messages go to another cluster, where their topic is created', {
  skip: skipUnless(kafka, s3),
  timeout: 120_000,
}, async () => {
  const { brokers } = kafka.settings
  const { endpoint, accessKey, secretKey } = s3.settings
  await using other = await PrivateBroker.open()
  await using lake = await openLake(s3.settings)
  await using cluster = await ClusterUnderTest.open(brokers)
  const [topic, files] = [`notify-${cluster.token}`, `notify-files-${cluster.token}`]
  const input = join(cluster.folder, 'lines')
  await writeFile(input, 'a\nb\n')
  const worker = await (await cluster.start()).ready(60_000)
  const create = async (name: string, config: object) =>
    assert.equal((await worker.rest('PUT', `/connectors/${name}/config`, config)).status, 201)
  await create(`in-${cluster.token}`, { 'connector.class': 'FileStreamSource', file: input, topic })
  await eventually(async () => assert.equal((await topicRecords(brokers, topic)).length, 2), 30_000)
  await create(`out-${cluster.token}`, {
    'connector.class': 'S3Sink',
    topics: topic,
    'storage.class': 'io.confluent.connect.s3.storage.S3Storage',
    'format.class': 'io.confluent.connect.s3.format.json.JsonFormat',
    's3.bucket.name': lake.bucket,
    'store.url': endpoint,
    'aws.access.key.id': accessKey,
    'aws.secret.access.key': secretKey,
    'flush.size': '2',
    'notify.topic': files,
    'notify.kafka.bootstrap.servers': other.address,
  })
  const messages = await eventually(async () => {
    const found = await topicRecords([other.address], files)
    assert.equal(found.length, 1, worker.output.slice(-2000))
    return found
  }, 60_000)
  const [key] = await lake.keys()
  assert.ok(key)
  assert.ok(textOf(messages[0]?.value ?? null)?.includes(`"${key}"`))
  await using admin = createKafkaClientFactory().admin({ 'bootstrap.servers': brokers.join(',') })
  assert.equal(await admin.describeTopic(files), null)
})
