import assert from 'node:assert/strict'
import { appendFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createKafkaClientFactory } from '../../worker/kafka/client.ts'
import { seededRandom } from '../support/random.ts'
import { testSeed } from '../support/seed.ts'
import { requireService } from '../support/services.ts'
import { ClusterUnderTest, eventually } from '../support/worker-process.ts'

const kafka = requireService('kafka')
const { skip } = kafka
const random = seededRandom(testSeed)
const rounds = 5
/** `task.shutdown.graceful.timeout.ms` is 5 s; leaving the group and closing come on top. */
const stopMs = 10_000

/** Values of a topic with one partition, from its beginning on; `read` takes what is there by now. */
class TopicReader implements AsyncDisposable {
  readonly values: string[] = []
  readonly #consumer

  constructor(topic: string) {
    this.#consumer = createKafkaClientFactory().consumer({
      'bootstrap.servers': kafka.settings.brokers.join(','),
      'group.id': `reader-of-${topic}`,
      'auto.offset.reset': 'earliest',
    })
    this.#consumer.assign([{ topic, partition: 0 }])
  }

  async read(): Promise<void> {
    for (const { records } of await this.#consumer.poll(200)) {
      for (const { value } of records) this.values.push(value === null ? 'null' : Buffer.from(value).toString())
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#consumer.close()
  }
}

test(`a worker that is asked to stop under load loses nothing and repeats nothing, seed ${random.seed}`, {
  skip,
  timeout: 300_000,
}, async (t) => {
  await using cluster = await ClusterUnderTest.open(kafka.settings.brokers, { 'offset.flush.interval.ms': '60000' })
  const [input, topic] = [join(cluster.folder, 'in'), `t-${cluster.token}`]
  await writeFile(input, '')
  let written = 0
  const done = new AbortController()
  const writing = (async () => {
    while (!done.signal.aborted) {
      await appendFile(input, Array.from({ length: 100 }, () => `${written++}\n`).join(''))
      await sleep(5)
    }
  })()
  try {
    for (let round = 1; round <= rounds; round++) {
      const worker = await (await cluster.start()).ready()
      const config = { 'connector.class': 'FileStreamSource', 'tasks.max': '1', file: input, topic, 'batch.size': '50' }
      const { status } = await worker.rest('PUT', '/connectors/in/config', config)
      assert.ok(status === 201 || status === 200)
      await eventually(async () => {
        const { body } = await worker.rest('GET', '/connectors/in/status')
        assert.match(JSON.stringify(body), /"id":0,"state":"RUNNING"/)
      }, 20_000)
      await sleep(random.integer(0, 1_500))
      const askedAt = performance.now()
      assert.equal(await worker.signal('SIGTERM'), 0, worker.output.slice(-4_000))
      const tookMs = performance.now() - askedAt
      t.diagnostic(`stopped after ${Math.round(tookMs)} ms, ${written} lines written`)
      assert.ok(tookMs < stopMs)
      assert.doesNotMatch(worker.output, /"level":"(?:ERROR|FATAL)"/)
    }
  } finally {
    done.abort()
    await writing
  }
  const last = await (await cluster.start()).ready()
  await using reader = new TopicReader(topic)
  await eventually(async () => {
    await reader.read()
    assert.ok(reader.values.length >= written)
    // How many lines there are, and how long they take, is up to the machine.
  }, 120_000)
  assert.equal(await last.signal('SIGTERM'), 0)
  await reader.read()
  assert.deepEqual(
    reader.values,
    Array.from({ length: written }, (_, i) => String(i)),
  )
})
