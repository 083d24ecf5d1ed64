import assert from 'node:assert/strict'
import { type TopicPartition, TopicPartitionMap } from '../../worker/api/topic-partition.ts'
import type { Consumer, GroupEvent, GroupMember, RebalanceListener } from '../../worker/kafka/types.ts'
import { type KafkaCases, KafkaTest, noListener, read, text, until } from './kafka-context.ts'

/** Polls in the background until stopped, so that a member takes part in rebalances. */
class Running implements AsyncDisposable {
  readonly consumer: Consumer
  readonly values: string[] = []
  readonly #stop = new AbortController()
  readonly #done: Promise<void>

  constructor(consumer: Consumer) {
    this.consumer = consumer
    this.#done = this.#run()
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      for (const batch of await this.consumer.poll(100, this.#stop.signal)) {
        for (const { value } of batch.records) this.values.push(text(value) ?? '')
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#done
  }
}

/** @param soleClientId a client id that no other living member has; null for one that says nothing */
function memberOf(kafka: KafkaTest, soleClientId: string | null = null): GroupMember {
  const options = {
    groupId: kafka.name,
    protocolType: 'connect',
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 15_000,
    heartbeatIntervalMs: 50,
    soleClientId: soleClientId !== null,
  }
  const properties = { ...kafka.kafka.properties, ...(soleClientId === null ? {} : { 'client.id': soleClientId }) }
  return kafka.use(kafka.kafka.clients.groupMember(properties, options))
}

const protocols = (name: string): { readonly name: string; readonly metadata: Uint8Array }[] => [
  { name: 'sessioned', metadata: Buffer.from(`${name} v2`) },
  { name: 'default', metadata: Buffer.from(`${name} v0`) },
]

const same = (tp: TopicPartition): string => `${tp.topic}-${tp.partition}`

export const kafkaGroupConformance: KafkaCases = {
  'one consumer gets all partitions, reads and commits': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic(3)
    for (const partition of [0, 1, 2]) await kafka.write(topic, [`in ${partition}`], partition)
    const assigned: TopicPartition[] = []
    const consumer = kafka.consumer({ 'group.id': kafka.name })
    const listener: RebalanceListener = { ...noListener, onAssigned: async (added) => void assigned.push(...added) }
    consumer.subscribe({ kind: 'topics', topics: [topic] }, listener)
    assert.equal((await read(consumer, 3)).length, 3)
    assert.deepEqual(
      assigned.map(same).sort(),
      [0, 1, 2].map((p) => `${topic}-${p}`),
    )
    const offsets = new TopicPartitionMap<bigint>().set(topic, 0, 1n).set(topic, 1, 1n)
    await consumer.commit(offsets)
    await consumer.close()
    const next = kafka.consumer({ 'group.id': kafka.name })
    next.subscribe({ kind: 'topics', topics: [topic] }, noListener)
    assert.deepEqual(
      (await read(next, 1)).map((r) => r.value),
      ['in 2'],
    )
  },

  'a second consumer gets its share only after the first has finished revoking': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic(2)
    const events: string[] = []
    const flushed = Promise.withResolvers<void>()
    // A failing test must not leave the callback waiting.
    using _release = { [Symbol.dispose]: () => flushed.resolve() }
    const first = kafka.consumer({ 'group.id': kafka.name })
    first.subscribe(
      { kind: 'topics', topics: [topic] },
      {
        ...noListener,
        onAssigned: async (added) => void events.push(`first assigned ${added.length}`),
        onRevoked: async (revoked) => {
          events.push(`first revoking ${revoked.length}`)
          await flushed.promise
          // Still a member of the old generation: the flush is committed (I1, I7).
          await first.commit(new TopicPartitionMap<bigint>().set(topic, 0, 42n))
          events.push('first revoked')
        },
      },
    )
    await using _running = new Running(first)
    await until('first assignment', () => events.includes('first assigned 2'))
    const second = kafka.consumer({ 'group.id': kafka.name })
    second.subscribe(
      { kind: 'topics', topics: [topic] },
      {
        ...noListener,
        onAssigned: async (added) => void events.push(`second assigned ${added.length}`),
      },
    )
    await using _other = new Running(second)
    await until('first revoking', () => events.includes('first revoking 2'))
    assert.ok(!events.some((event) => event.startsWith('second')))
    flushed.resolve()
    await until('both assigned', () => events.filter((event) => event.endsWith('assigned 1')).length >= 2)
    assert.ok(events.indexOf('first revoked') < events.indexOf('second assigned 1'))
    assert.equal((await second.committed([{ topic, partition: 0 }])).get(topic, 0), 42n)
  },

  'cooperative members keep what they keep': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic(4)
    const strategy = { 'group.id': kafka.name, 'partition.assignment.strategy': 'cooperative-sticky' }
    const revoked: string[] = []
    const first = kafka.consumer(strategy)
    first.subscribe(
      { kind: 'topics', topics: [topic] },
      { ...noListener, onRevoked: async (tps) => void revoked.push(...tps.map(same)) },
    )
    await using _running = new Running(first)
    await until('first assignment', () => first.assignment().length === 4)
    const second = kafka.consumer(strategy)
    second.subscribe({ kind: 'topics', topics: [topic] }, noListener)
    await using _other = new Running(second)
    await until('balance', () => first.assignment().length === 2 && second.assignment().length === 2)
    assert.equal(revoked.length, 2, 'only what moves is revoked')
    assert.deepEqual([...revoked].sort(), second.assignment().map(same).sort())
  },

  'a pattern subscribes to all topics that match in full': async (open) => {
    await using kafka = new KafkaTest(open())
    const first = await kafka.topic()
    const second = await kafka.topic()
    const consumer = kafka.consumer({ 'group.id': kafka.name, 'metadata.max.age.ms': '300' })
    consumer.subscribe({ kind: 'pattern', pattern: new RegExp(`${kafka.name}-[02]`) }, noListener)
    await using _running = new Running(consumer)
    await until('first assignment', () => consumer.assignment().length === 1)
    assert.deepEqual(consumer.assignment().map(same), [`${first}-0`])
    assert.notEqual(first, second)
    const third = await kafka.topic()
    await until('the new topic', () => consumer.assignment().length === 2)
    assert.deepEqual(consumer.assignment().map(same).sort(), [`${first}-0`, `${third}-0`])
  },

  'a topic that is created later is picked up': async (open) => {
    await using kafka = new KafkaTest(open())
    const consumer = kafka.consumer({ 'group.id': kafka.name, 'allow.auto.create.topics': 'false' })
    consumer.subscribe({ kind: 'topics', topics: [`${kafka.name}-0`] }, noListener)
    await using running = new Running(consumer)
    await until('membership', async () => (await kafka.admin.groupMembers(kafka.name)) === 1)
    const topic = await kafka.topic()
    await kafka.write(topic, ['late'])
    await until('the record', () => running.values.includes('late'))
  },

  'closing hands the partitions to the others at once': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic(2)
    const first = kafka.consumer({ 'group.id': kafka.name })
    first.subscribe({ kind: 'topics', topics: [topic] }, noListener)
    const second = kafka.consumer({ 'group.id': kafka.name })
    second.subscribe({ kind: 'topics', topics: [topic] }, noListener)
    await using _other = new Running(second)
    {
      await using _running = new Running(first)
      await until('a share each', () => first.assignment().length === 1 && second.assignment().length === 1)
    }
    await first.close()
    await until('all partitions', () => second.assignment().length === 2)
  },

  'a member that stops polling loses its partitions and is told so': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic()
    const lost: string[] = []
    const consumer = kafka.consumer({
      'group.id': kafka.name,
      'max.poll.interval.ms': '1000',
      'session.timeout.ms': '10000',
    })
    const listener: RebalanceListener = { ...noListener, onLost: async (tps) => void lost.push(...tps.map(same)) }
    consumer.subscribe({ kind: 'topics', topics: [topic] }, listener)
    await until('assignment', async () => {
      await consumer.poll(50)
      return consumer.assignment().length === 1
    })
    await until('eviction', async () => (await kafka.admin.groupMembers(kafka.name)) === 0)
    await assert.rejects(consumer.commit(new TopicPartitionMap<bigint>().set(topic, 0, 1n)), {
      kind: 'fenced',
      code: 'CONNECT_KAFKA_GENERATION',
    })
    await until('a new assignment', async () => {
      await consumer.poll(50)
      return consumer.assignment().length === 1
    })
    assert.deepEqual(lost, [`${topic}-0`])
  },

  'workers: the leader sees all members and hands out the work': async (open) => {
    await using kafka = new KafkaTest(open())
    const first = memberOf(kafka)
    const events: GroupEvent[] = []
    first.onEvent((event) => events.push(event))
    const alone = await first.join(protocols('first'))
    assert.equal(alone.memberId, alone.leaderId)
    assert.equal(alone.protocol, 'sessioned')
    assert.deepEqual(
      alone.members.map((m) => text(m.metadata)),
      ['first v2'],
    )
    assert.equal(text(await first.sync(new Map([[alone.memberId, Buffer.from('all')]]))), 'all')
    const second = memberOf(kafka)
    const joining = second.join(protocols('second'))
    await until('the rebalance is told', () => events.some((event) => event.kind === 'rebalance'))
    const [one, two] = await Promise.all([first.join(protocols('first')), joining])
    assert.equal(one.generation, two.generation)
    assert.ok(one.generation > alone.generation)
    assert.equal(one.leaderId, two.leaderId)
    const leader = one.memberId === one.leaderId ? one : two
    assert.equal(leader.members.length, 2)
    assert.equal((leader === one ? two : one).members.length, 0)
    const assignments = new Map(leader.members.map((m) => [m.memberId, Buffer.from(`for ${text(m.metadata)}`)]))
    const none = new Map<string, Uint8Array>()
    const given = await Promise.all([
      first.sync(leader === one ? assignments : none),
      second.sync(leader === two ? assignments : none),
    ])
    assert.deepEqual(given.map(text), ['for first v2', 'for second v2'])
  },

  'workers: members agree on a protocol that all know': async (open) => {
    await using kafka = new KafkaTest(open())
    const first = memberOf(kafka)
    const joined = await first.join(protocols('first'))
    await first.sync(new Map())
    const events: GroupEvent[] = []
    first.onEvent((event) => events.push(event))
    const second = memberOf(kafka)
    const joining = second.join(protocols('second').slice(1))
    await until('the rebalance is told', () => events.length > 0)
    const [one, two] = await Promise.all([first.join(protocols('first')), joining])
    assert.deepEqual([joined.protocol, one.protocol, two.protocol], ['sessioned', 'default', 'default'])
  },

  'workers: who leaves is no longer a member, and may join anew': async (open) => {
    await using kafka = new KafkaTest(open())
    const member = memberOf(kafka)
    await member.join(protocols('only'))
    await member.sync(new Map())
    assert.equal(await kafka.admin.groupMembers(kafka.name), 1)
    await member.leave('test')
    assert.equal(await kafka.admin.groupMembers(kafka.name), 0)
    await assert.rejects(member.commit(new TopicPartitionMap<bigint>().set('t', 0, 1n)), { kind: 'fenced' })
    const again = await member.join(protocols('only'))
    assert.equal(again.leaderId, again.memberId)
  },

  'workers: a new member takes the place of one with the same client id, which is told so': async (open) => {
    await using kafka = new KafkaTest(open())
    const other = memberOf(kafka, 'other')
    await other.join(protocols('other'))
    await other.sync(new Map())
    const events: GroupEvent[] = []
    other.onEvent((event) => events.push(event))
    // Stands for a killed process: its session goes on, but it will not join again.
    const dead = memberOf(kafka, 'same')
    const joining = dead.join(protocols('dead'))
    await until('the rebalance is told', () => events.length === 1)
    const joined = await Promise.all([other.join(protocols('other')), joining])
    await Promise.all([other.sync(new Map()), dead.sync(new Map())])
    const lost: GroupEvent[] = []
    dead.onEvent((event) => event.kind === 'lost' && lost.push(event))
    const startedAt = Date.now()
    const successor = memberOf(kafka, 'same')
    const successorJoining = successor.join(protocols('successor'))
    await until('the next rebalance is told', () => events.length === 2)
    const [, next] = await Promise.all([other.join(protocols('other')), successorJoining])
    assert.ok(Date.now() - startedAt < 5_000, 'no waiting for the session of the dead member')
    assert.ok(next.generation > joined[1].generation)
    assert.notEqual(next.memberId, joined[1].memberId)
    assert.equal(await kafka.admin.groupMembers(kafka.name), 2)
    await until('the replaced member is told', () => lost.length === 1)
    await assert.rejects(dead.commit(new TopicPartitionMap<bigint>().set('t', 0, 1n)), { kind: 'fenced' })
  },

  'workers: a join can be given up': async (open) => {
    await using kafka = new KafkaTest(open())
    const first = memberOf(kafka)
    await first.join(protocols('first'))
    await first.sync(new Map())
    const second = memberOf(kafka)
    const stop = new AbortController()
    const joining = second.join(protocols('second'), stop.signal)
    const refused = assert.rejects(joining, { code: 'CONNECT_KAFKA_ABORTED' })
    await until('the join is under way', async () => (await kafka.admin.groupMembers(kafka.name)) === 2)
    stop.abort()
    await refused
    await second.close()
    await until('the member is gone', async () => (await kafka.admin.groupMembers(kafka.name)) === 1)
  },
}
