import assert from 'node:assert/strict'
import { TopicPartitionMap } from '../../worker/api/topic-partition.ts'
import { bytes, type KafkaCases, KafkaTest, noListener, Outcomes, partitions, record, until } from './kafka-context.ts'

export const kafkaAdminConformance: KafkaCases = {
  'topics are created once, described and deleted': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = `${kafka.name}-made`
    const wanted = { topic, partitions: 3, replicationFactor: 1, configs: { 'cleanup.policy': 'compact' } }
    assert.equal(await kafka.admin.createTopic(wanted), true)
    assert.equal(await kafka.admin.createTopic(wanted), false)
    await until('the topic is known', async () => (await kafka.admin.describeTopic(topic)) !== null)
    assert.deepEqual(await kafka.admin.describeTopic(topic), { topic, partitions: 3 })
    assert.equal((await kafka.admin.topicConfigs(topic)).get('cleanup.policy'), 'compact')
    assert.ok((await kafka.admin.listTopics()).includes(topic))
    await kafka.admin.deleteTopics([topic, `${topic}-never-there`])
    await until('the topic is gone', async () => (await kafka.admin.describeTopic(topic)) === null)
  },

  'partitions and replicas may be left to the broker': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = `${kafka.name}-default`
    assert.equal(await kafka.admin.createTopic({ topic, partitions: -1, replicationFactor: -1 }), true)
    await kafka.admin.deleteTopics([topic])
  },

  'the cluster has an id': async (open) => {
    await using kafka = new KafkaTest(open())
    assert.ok((await kafka.admin.clusterId()).length > 0)
  },

  'offsets are listed by end, beginning and time': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic(2)
    const producer = kafka.producer()
    await producer.partitionsOf(topic)
    for (const timestamp of [1000, 2000, 3000])
      producer.append(record(topic, { value: bytes('v'), timestamp }), new Outcomes())
    await producer.flush()
    const tps = partitions(topic, 2)
    const list = async (spec: Parameters<typeof kafka.admin.listOffsets>[1]): Promise<(bigint | undefined)[]> => {
      const offsets = await kafka.admin.listOffsets(tps, spec, 'read_uncommitted')
      return tps.map((tp) => offsets.get(tp.topic, tp.partition))
    }
    assert.deepEqual(await list('latest'), [3n, 0n])
    assert.deepEqual(await list('earliest'), [0n, 0n])
    assert.deepEqual(await list({ timestampMs: 1500 }), [1n, -1n])
    assert.deepEqual(await list({ timestampMs: 9000 }), [-1n, -1n])
  },

  'offsets of an idle group are altered and deleted': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic(2)
    const offsets = new TopicPartitionMap<bigint>().set(topic, 0, 5n).set(topic, 1, 7n)
    await kafka.admin.alterGroupOffsets(kafka.name, offsets)
    assert.deepEqual([...(await kafka.admin.listGroupOffsets(kafka.name)).entries()], [...offsets.entries()])
    await kafka.admin.deleteGroupOffsets(kafka.name, [{ topic, partition: 0 }])
    const left = await kafka.admin.listGroupOffsets(kafka.name)
    assert.deepEqual([left.size, left.get(topic, 1)], [1, 7n])
    await kafka.admin.deleteGroup(kafka.name)
    assert.equal((await kafka.admin.listGroupOffsets(kafka.name)).size, 0)
    await kafka.admin.deleteGroup(kafka.name)
    assert.equal(await kafka.admin.groupMembers(kafka.name), 0)
  },

  'offsets of a group with members stay as they are': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic()
    const consumer = kafka.consumer({ 'group.id': kafka.name })
    consumer.subscribe({ kind: 'topics', topics: [topic] }, noListener)
    await until('assignment', async () => {
      await consumer.poll(50)
      return consumer.assignment().length === 1
    })
    await consumer.commit(new TopicPartitionMap<bigint>().set(topic, 0, 1n))
    assert.equal(await kafka.admin.groupMembers(kafka.name), 1)
    const active = { kind: 'request', code: 'CONNECT_KAFKA_GROUP_ACTIVE' }
    await assert.rejects(
      kafka.admin.alterGroupOffsets(kafka.name, new TopicPartitionMap<bigint>().set(topic, 0, 9n)),
      active,
    )
    await assert.rejects(kafka.admin.deleteGroupOffsets(kafka.name, [{ topic, partition: 0 }]), active)
    await assert.rejects(kafka.admin.deleteGroup(kafka.name), active)
    assert.equal((await kafka.admin.listGroupOffsets(kafka.name)).get(topic, 0), 1n)
  },
}
