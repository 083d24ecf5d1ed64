import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { probePeriodMs, stretches, writeOwnerProbe } from '../support/owner-probe.ts'
import { requireService } from '../support/services.ts'
import { ClusterUnderTest, eventually, type WorkerUnderTest } from '../support/worker-process.ts'

const kafka = requireService('kafka')
const { skip } = kafka
const { brokers } = skip === false ? kafka.settings : { brokers: [] }
const sessionMs = 6_000
const delayMs = 3_000
const tasks = 6

/** Sources whose records tell who wrote them, on several workers. */
class ProbedCluster {
  readonly topic: string
  readonly #cluster: ClusterUnderTest
  readonly #changes: Readonly<Record<string, string>>

  constructor(cluster: ClusterUnderTest, pluginPath: string) {
    this.#cluster = cluster
    this.#changes = { 'plugin.path': pluginPath }
    this.topic = `t-${cluster.token}`
  }

  async start(): Promise<WorkerUnderTest> {
    return await (await this.#cluster.start('distributed', [], this.#changes)).ready(60_000)
  }

  /** Every task was written last by one of these workers, and each of them has a share. */
  async runOn(expected: readonly WorkerUnderTest[], withinMs: number): Promise<void> {
    await eventually(async () => {
      const owners = [...(await stretches(brokers, this.topic)).values()].map((list) => list.at(-1)?.pid)
      assert.equal(owners.length, tasks)
      assert.deepEqual(new Set(owners), new Set(expected.map(({ pid }) => pid)))
    }, withinMs)
  }

  /** Waits until all tasks have written in this period, early enough that nothing more is on its way in it. */
  async quiet(): Promise<void> {
    await eventually(async () => {
      const lists = [...(await stretches(brokers, this.topic)).values()]
      const now = Date.now()
      const tick = Math.floor(now / probePeriodMs)
      assert.ok(lists.every((list) => list.at(-1)?.tick === tick))
      assert.ok(now % probePeriodMs < 0.8 * probePeriodMs)
    }, 30_000)
  }

  /** Two connectors, whose tasks are shared out among these workers. */
  async populate(workers: readonly [WorkerUnderTest, ...WorkerUnderTest[]]): Promise<void> {
    for (const name of ['a', 'b']) {
      const config = { 'connector.class': 'OwnerProbe', 'tasks.max': `${tasks / 2}`, topic: this.topic }
      await eventually(async () => {
        assert.ok((await workers[0].rest('PUT', `/connectors/${name}/config`, config)).status < 300)
      }, 20_000)
    }
    await this.runOn(workers, 40_000)
  }

  /** These take over what the lost worker ran, no sooner than `leastMs` after its last heartbeat. */
  async takeOver(lost: WorkerUnderTest, by: readonly WorkerUnderTest[], leastMs: number): Promise<number> {
    await lost.signal('SIGKILL')
    const killedAt = performance.now()
    await this.runOn(by, 60_000)
    const tookMs = Math.round(performance.now() - killedAt)
    // Its session began with its last heartbeat.
    assert.ok(tookMs > leastMs - 1_000, `after ${tookMs} ms already`)
    await this.neverTwice()
    return tookMs
  }

  async neverTwice(): Promise<void> {
    for (const [task, list] of await stretches(brokers, this.topic)) {
      const epochs = list.map(({ epoch }) => epoch)
      assert.equal(new Set(epochs).size, epochs.length, `${task} was written by ${epochs.join(', ')}`)
    }
  }
}

test('three workers, one frozen beyond its session, one killed: tasks move, none ever runs twice (I7; statements 61, 135, 138)', {
  skip,
  timeout: 180_000,
}, async (t) => {
  const options = { 'session.timeout.ms': `${sessionMs}`, 'scheduled.rebalance.max.delay.ms': `${delayMs}` }
  await using cluster = await ClusterUnderTest.open(brokers, options)
  const probed = new ProbedCluster(cluster, await writeOwnerProbe(cluster.folder))
  // The first leads: a new leader knows of no delay, as it does not know what the lost one had run.
  const first = await probed.start()
  const [frozen, killed] = await Promise.all([probed.start(), probed.start()])
  await probed.populate([first, frozen, killed])

  await probed.quiet()
  void frozen.signal('SIGSTOP')
  const frozenAt = performance.now()
  await probed.runOn([first, killed], 40_000)
  t.diagnostic(`taken over from a frozen worker after ${Math.round(performance.now() - frozenAt)} ms`)
  await sleep(Math.max(0, frozenAt + sessionMs + 2_000 - performance.now()))
  void frozen.signal('SIGCONT')
  // It comes back with nothing, and gets its share again.
  await probed.runOn([first, frozen, killed], 40_000)
  await probed.neverTwice()

  const tookMs = await probed.takeOver(killed, [first, frozen], sessionMs + delayMs)
  t.diagnostic(`taken over from a killed worker after ${tookMs} ms`)
})

test('three workers, eager: tasks of a killed one run elsewhere when its time is over, none twice (I7)', {
  skip,
  timeout: 180_000,
}, async (t) => {
  const options = { 'session.timeout.ms': `${sessionMs}`, 'connect.protocol': 'eager' }
  await using cluster = await ClusterUnderTest.open(brokers, options)
  const probed = new ProbedCluster(cluster, await writeOwnerProbe(cluster.folder))
  const [first, second, killed] = await Promise.all([probed.start(), probed.start(), probed.start()])
  await probed.populate([first, second, killed])
  // Everything stops and is dealt out anew; there is no delay in this protocol.
  const tookMs = await probed.takeOver(killed, [first, second], sessionMs)
  t.diagnostic(`taken over from a killed worker after ${tookMs} ms`)
})
