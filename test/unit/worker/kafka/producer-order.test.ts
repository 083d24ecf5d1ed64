/** Order and exactness of the producer under failures, against a broker that checks sequences and fails on demand. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '../../../../worker/api/context.ts'
import { ConnectError } from '../../../../worker/api/errors.ts'
import { createKafkaClientFactory } from '../../../../worker/kafka/client.ts'
import { KafkaProducer } from '../../../../worker/kafka/producer.ts'
import type { ClientProperties, Delivery, Producer } from '../../../../worker/kafka/types.ts'
import { systemClock } from '../../../../worker/util/clock.ts'
import {
  type ProduceFault,
  ScriptedBroker,
  type ScriptedBrokerOptions,
} from '../../../support/kafka/scripted-broker.ts'
import { seededRandom } from '../../../support/random.ts'
import { testSeed } from '../../../support/seed.ts'

interface Run {
  readonly broker: ScriptedBroker
  readonly outcomes: Outcomes
}

class Outcomes implements Delivery {
  delivered_ = 0
  failed_ = 0
  readonly errors: Error[] = []

  delivered(count: number): void {
    this.delivered_ += count
  }

  failed(count: number, error: Error): void {
    this.failed_ += count
    this.errors.push(error)
  }
}

const small = { 'batch.size': '200', 'linger.ms': '0', 'retry.backoff.ms': '1', 'retry.backoff.max.ms': '5' }

function append(producer: Producer, count: number, partitions: number, outcomes: Outcomes): void {
  for (let i = 0; i < count; i++) {
    const value = Buffer.from(`value ${i}`)
    producer.append({ topic: 't', partition: i % partitions, key: null, value, headers: [], timestamp: 0 }, outcomes)
  }
}

/** Appends `count` records over all partitions and waits for their outcome. */
async function run(options: ScriptedBrokerOptions, properties: ClientProperties, count: number): Promise<Run> {
  const broker = new ScriptedBroker(options)
  await using _close = broker
  const bootstrap = await broker.listen()
  const clients = createKafkaClientFactory()
  await using producer = clients.producer({ 'bootstrap.servers': bootstrap, ...small, ...properties })
  await producer.partitionsOf('t')
  const outcomes = new Outcomes()
  append(producer, count, options.partitions, outcomes)
  await producer.flush(AbortSignal.timeout(20_000))
  return { broker, outcomes }
}

/** Exactly what was appended to the partition, in order, once. */
function expected(partition: number, partitions: number, count: number): string[] {
  const values: string[] = []
  for (let i = partition; i < count; i += partitions) values.push(`value ${i}`)
  return values
}

const NOT_LEADER = 6
const NOT_ENOUGH_REPLICAS = 19

test('idempotent: order and exactness survive random failures', async () => {
  for (let round = 0; round < 8; round++) {
    const random = seededRandom(testSeed + round)
    const faults: readonly [ProduceFault, ...ProduceFault[]] = [
      { kind: 'error', code: NOT_LEADER },
      { kind: 'error', code: NOT_ENOUGH_REPLICAS },
      { kind: 'drop', written: false },
      { kind: 'drop', written: true },
    ]
    const fault = (): ProduceFault => (random.next() < 0.15 ? random.pick(faults) : { kind: 'none' })
    const { broker, outcomes } = await run({ partitions: 3, fault }, {}, 300)
    const note = `seed ${random.seed}`
    assert.equal(outcomes.delivered_, 300, note)
    for (let p = 0; p < 3; p++) {
      assert.deepEqual(
        broker.written(p).map((r) => r.value),
        expected(p, 3, 300),
        note,
      )
    }
  }
})

test('idempotent: up to five requests are under way, never more', async () => {
  const { broker } = await run({ partitions: 1 }, {}, 400)
  assert.ok(broker.mostInFlight > 1 && broker.mostInFlight <= 5, `${broker.mostInFlight} in flight`)
})

test('without idempotence order is kept too, whatever fails', async () => {
  const random = seededRandom(testSeed)
  const fault = (): ProduceFault => (random.next() < 0.2 ? { kind: 'error', code: NOT_LEADER } : { kind: 'none' })
  const { broker, outcomes } = await run({ partitions: 2, fault }, { 'enable.idempotence': 'false' }, 200)
  assert.equal(outcomes.delivered_, 200)
  for (let p = 0; p < 2; p++) {
    assert.deepEqual(
      broker.written(p).map((r) => r.value),
      expected(p, 2, 200),
      `seed ${random.seed}`,
    )
    assert.ok(broker.written(p).every((r) => r.sequence === -1))
  }
})

test('without idempotence max.in.flight.requests.per.connection=1 means one', async () => {
  const properties = { 'enable.idempotence': 'false', 'max.in.flight.requests.per.connection': '1' }
  const { broker } = await run({ partitions: 2 }, properties, 200)
  assert.equal(broker.mostInFlight, 1)
})

test('a batch that the topic finds too large is split, order kept', async () => {
  const { broker, outcomes } = await run({ partitions: 1, maxBatchBytes: 400 }, { 'batch.size': '3000' }, 500)
  assert.equal(outcomes.delivered_, 500)
  assert.deepEqual(
    broker.written(0).map((r) => r.value),
    expected(0, 1, 500),
  )
})

test('a refused batch fails alone; the rest goes on under a new producer id', async () => {
  let refuse = true
  const fault = (): ProduceFault => {
    if (!refuse) return { kind: 'none' }
    refuse = false
    return { kind: 'error', code: 87 }
  }
  const { broker, outcomes } = await run({ partitions: 1, fault }, {}, 200)
  assert.ok(outcomes.failed_ > 0)
  assert.equal(outcomes.failed_ + outcomes.delivered_, 200)
  assert.ok(outcomes.errors.every((error) => error instanceof ConnectError && error.kind === 'record'))
  assert.deepEqual(
    broker.written(0).map((r) => r.value),
    expected(0, 1, 200).slice(outcomes.failed_),
  )
})

test('a forgotten producer id is replaced without loss', async () => {
  let forgets = 3
  const fault = (): ProduceFault => (forgets-- > 0 ? { kind: 'error', code: 59 } : { kind: 'none' })
  const { broker, outcomes } = await run({ partitions: 1, fault }, {}, 200)
  assert.equal(outcomes.delivered_, 200)
  assert.deepEqual(
    broker.written(0).map((r) => r.value),
    expected(0, 1, 200),
  )
})

test('retries and delivery.timeout.ms end in failed deliveries, not in silence', async () => {
  const fault = (): ProduceFault => ({ kind: 'error', code: NOT_ENOUGH_REPLICAS })
  const once = await run({ partitions: 1, fault }, { retries: '0', 'enable.idempotence': 'false' }, 3)
  assert.equal(once.outcomes.failed_, 3)
  assert.equal(once.broker.produceRequests, 1)
  const timed = await run({ partitions: 1, fault }, { 'delivery.timeout.ms': '200' }, 3)
  assert.equal(timed.outcomes.failed_, 3)
  assert.ok(
    timed.outcomes.errors.every((error) => error instanceof ConnectError && error.code === 'CONNECT_KAFKA_TIMEOUT'),
  )
})

test('refused idempotence is explained', async () => {
  const broker = new ScriptedBroker({ partitions: 1, initErrors: [31] })
  await using _close = broker
  const bootstrap = await broker.listen()
  await using producer = createKafkaClientFactory().producer({ 'bootstrap.servers': bootstrap, ...small })
  await producer.partitionsOf('t')
  const outcomes = new Outcomes()
  append(producer, 1, 1, outcomes)
  await producer.flush(AbortSignal.timeout(10_000))
  const [error] = outcomes.errors
  assert.ok(error instanceof ConnectError)
  assert.equal(error.code, 'CONNECT_KAFKA_IDEMPOTENCE_REFUSED')
  assert.match(error.message, /enable\.idempotence=false/)
  assert.throws(() => append(producer, 1, 1, outcomes), { code: 'CONNECT_KAFKA_IDEMPOTENCE_REFUSED' })
})

test('a loading coordinator delays the producer id, nothing else', async () => {
  const { outcomes } = await run({ partitions: 1, initErrors: [14, 15, 14] }, {}, 10)
  assert.equal(outcomes.delivered_, 10)
})

test('acks=0 tells deliveries without offsets', async () => {
  const { broker, outcomes } = await run({ partitions: 1 }, { acks: '0' }, 50)
  assert.equal(outcomes.delivered_, 50)
  assert.ok(broker.produceRequests > 0)
})

test('unless linger.ms is set, a record waits only while another of its partition is under way', async () => {
  // Time stands still, so that no linger ever ends.
  const frozen: Clock = { ...systemClock, now: () => 0, monotonicMs: () => 1000 }
  for (const [given, goes] of [
    [{}, true],
    [{ 'linger.ms': '5' }, false],
  ] as const) {
    await using broker = new ScriptedBroker({ partitions: 1, fault: () => ({ kind: 'none' }) })
    const bootstrap = await broker.listen()
    await using producer = new KafkaProducer({ 'bootstrap.servers': bootstrap, ...given }, frozen, null)
    await producer.partitionsOf('t')
    const outcomes = new Outcomes()
    append(producer, 1, 1, outcomes)
    const deadline = AbortSignal.timeout(goes ? 5000 : 200)
    while (outcomes.delivered_ === 0 && !deadline.aborted) await systemClock.sleep(5)
    assert.equal(outcomes.delivered_, goes ? 1 : 0)
    await producer.flush(AbortSignal.timeout(5000))
    assert.equal(outcomes.delivered_, 1)
  }
})
