/** What a sink sees of the rebalances of its consumer group, with the real broker (statements 127 to 129). */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { test } from 'node:test'
import { createKafkaClientFactory } from '../../worker/kafka/client.ts'
import type { Admin, Producer } from '../../worker/kafka/types.ts'
import { eventually } from '../support/runtime/eventually.ts'
import { type JournalEntry, readJournal } from '../support/runtime/probe-plugins.ts'
import { openWorker, type WorkerHarness } from '../support/runtime/worker-harness.ts'
import { requireService } from '../support/services.ts'

const kafka = requireService('kafka')
const probes = new URL('../support/runtime/probe-plugins.ts', import.meta.url).href

/** `open a-0 a-1`, `close b-0`, …: what the task was told of partitions, in order, topics by their last letter. */
function rebalances(journal: readonly JournalEntry[]): readonly string[] {
  return journal
    .filter(({ what }) => what === 'open' || what === 'close')
    .map(({ what, items }) => [what, ...items.map((item) => item.slice(item.indexOf('.') + 1))].join(' '))
}

interface Scene {
  readonly harness: WorkerHarness
  readonly admin: Admin
  readonly prefix: string
  readonly group: string
  events(): Promise<readonly string[]>
  /** Creates the topic and writes its values, one per partition. */
  addTopic(letter: string, partitions: number): Promise<void>
  values(): Promise<readonly string[]>
}

async function withScene(assignor: string, play: (scene: Scene) => Promise<void>): Promise<void> {
  const bootstrap = kafka.settings.brokers.join(',')
  const clients = createKafkaClientFactory()
  await using admin = clients.admin({ 'bootstrap.servers': bootstrap })
  await using producer = clients.producer({ 'bootstrap.servers': bootstrap })
  // Commits come with revocations only.
  const settings = { 'offset.flush.interval.ms': '600000' }
  await using harness = await openWorker({ bootstrap, isolation: 'none', pluginModules: [probes], settings })
  const prefix = `rebalance-${randomUUID().slice(0, 8)}`
  const journal = join(harness.folder, 'journal')
  const name = `probe-${prefix}`
  const topics: string[] = []
  const addTopic = async (letter: string, partitions: number): Promise<void> => {
    const topic = `${prefix}.${letter}`
    topics.push(topic)
    await admin.createTopic({ topic, partitions, replicationFactor: 1, configs: {} })
    await writeAll(producer, topic, partitions)
  }
  try {
    await addTopic('a', 2)
    await harness.run(name, {
      'connector.class': 'test.ProbeSink',
      'tasks.max': '1',
      'topics.regex': `${prefix}\\..*`,
      'probe.journal': journal,
      'consumer.override.partition.assignment.strategy': `org.apache.kafka.clients.consumer.${assignor}`,
      'consumer.override.metadata.max.age.ms': '200',
    })
    await play({
      harness,
      admin,
      prefix,
      group: `connect-${name}`,
      addTopic,
      events: async () => rebalances(await readJournal(journal)),
      values: async () => (await readJournal(journal)).flatMap(({ what, items }) => (what === 'put' ? items : [])),
    })
  } finally {
    await admin.deleteTopics(topics.filter((topic) => topic !== `${prefix}.b`))
  }
}

async function writeAll(producer: Producer, topic: string, partitions: number): Promise<void> {
  await eventually(async () => assert.equal(await producer.partitionsOf(topic), partitions))
  await Promise.all(
    Array.from({ length: partitions }, (_, partition) => {
      const value = Buffer.from(`${topic}-${partition}`)
      const record = { topic, partition, key: null, value, headers: [], timestamp: null }
      return new Promise<void>((resolve, reject) => {
        producer.append(record, { delivered: () => resolve(), failed: (_, error) => reject(error) })
      })
    }),
  )
}

/** Offsets that the group has committed for topic `a`. */
async function committedOfA({ admin, group, prefix }: Scene): Promise<readonly (bigint | undefined)[]> {
  const offsets = await admin.listGroupOffsets(group)
  return [0, 1].map((partition) => offsets.get(`${prefix}.a`, partition))
}

const cases = [
  {
    assignor: 'RangeAssignor',
    title: 'statement 127: eager: a topic that comes or goes closes, commits and opens everything',
    afterCreation: ['close a-0 a-1', 'open a-0 a-1 b-0'],
    committed: [1n, 1n],
    afterDeletion: ['close a-0 a-1 b-0', 'open a-0 a-1'],
  },
  {
    assignor: 'CooperativeStickyAssignor',
    title: 'statement 128: cooperative: only what comes is opened, only what goes is closed and committed',
    afterCreation: ['open b-0'],
    committed: [undefined, undefined],
    afterDeletion: ['close b-0'],
  },
] as const

for (const { assignor, title, afterCreation, committed, afterDeletion } of cases) {
  test(`${title}; topics.regex follows; no record twice (statement 129)`, {
    skip: kafka.skip,
    timeout: 60_000,
  }, async () => {
    await withScene(assignor, async (scene) => {
      const first = ['open a-0 a-1']
      await eventually(async () => assert.deepEqual(await scene.events(), first))
      await eventually(async () => assert.equal((await scene.values()).length, 2))
      await scene.addTopic('b', 1)
      await eventually(async () => assert.deepEqual(await scene.events(), [...first, ...afterCreation]))
      assert.deepEqual(await committedOfA(scene), committed)
      await eventually(async () => assert.equal((await scene.values()).length, 3))
      await scene.admin.deleteTopics([`${scene.prefix}.b`])
      await eventually(async () =>
        assert.deepEqual(await scene.events(), [...first, ...afterCreation, ...afterDeletion]),
      )
      await scene.addTopic('c', 1)
      await eventually(async () => assert.equal((await scene.values()).length, 4))
      assert.deepEqual(
        [...(await scene.values())].sort(),
        ['a-0', 'a-1', 'b-0', 'c-0'].map((name) => `${scene.prefix}.${name}`),
      )
    })
  })
}
