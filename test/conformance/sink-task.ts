/** What every sink task owes the runtime, whatever its destination (style guide: plugin API; I1–I5). */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { RawConfig } from '../../worker/api/connector.ts'
import { kindOf, toError } from '../../worker/api/errors.ts'
import type { SinkConnectorPlugin } from '../../worker/api/plugin.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import type { SinkTask } from '../../worker/api/task.ts'
import { type TopicPartition, TopicPartitionMap } from '../../worker/api/topic-partition.ts'
import { parseConfig } from '../../worker/config/config-def.ts'
import { sinkTaskContext } from '../support/contexts.ts'
import { deepFreeze } from './converter.ts'
import { openResources } from './task-resources.ts'

/** One destination with nothing else writing to it; made anew for every test. */
export interface SinkWorld extends AsyncDisposable {
  readonly options: RawConfig
  /** Options with which `start`, or the first `put`, fails; null when there are none. */
  readonly brokenOptions: RawConfig | null
  /** Topic of the records; partitions 0 and 1 are used. */
  readonly topic: string
  /** The record at this position: equal at every call, and of another identity than all others. */
  record(partition: number, offset: number): Promise<SinkRecord>
  /** Identity of the record at this position, as `written` shows it. */
  identity(partition: number, offset: number): string
  /** Identities of everything that is durable at the destination, one per copy. */
  written(): Promise<readonly string[]>
  /** Whether a record that is delivered again leaves a second copy. */
  readonly duplicates: boolean
  /** Makes the next writes fail in a way that passes; absent when that cannot be done. */
  failForAWhile?(): Promise<void>
}

export interface SinkTaskSubject {
  readonly plugin: SinkConnectorPlugin
  open(): Promise<SinkWorld>
  readonly skip?: string | false
  /** Records are put in multiples of this, so that a sink which commits whole files commits all; default 1. */
  readonly unit?: number
}

const deadlineMs = 30_000

/** Drives a task as the runner does: same batch again after a retriable error, seeks, commits that only grow. */
class RunningSink implements AsyncDisposable {
  readonly world: SinkWorld
  readonly task: SinkTask<unknown>
  readonly #context: ReturnType<typeof sinkTaskContext>
  /** Next offset to deliver, and what was committed last. */
  readonly #delivered = new TopicPartitionMap<bigint>()
  readonly committed: TopicPartitionMap<bigint>
  #seeksDone = 0

  private constructor(world: SinkWorld, task: SinkTask<unknown>, committed: TopicPartitionMap<bigint>) {
    this.world = world
    this.task = task
    this.committed = committed
    const assigned = this.#delivered
    this.#context = sinkTaskContext({ rawConfig: world.options, assignment: [] })
    this.#context.assignment = () => [...assigned.keys()]
  }

  /** @param committed offsets that a task before this one committed; goes on to be changed */
  static async start(
    { plugin }: SinkTaskSubject,
    world: SinkWorld,
    options: RawConfig = world.options,
    committed = new TopicPartitionMap<bigint>(),
  ): Promise<RunningSink> {
    const task = (await plugin.createTask()) as SinkTask<unknown>
    const running = new RunningSink(world, task, committed)
    try {
      await task.start(deepFreeze(parseConfig(plugin.config, deepFreeze({ ...options }))), running.#context)
      return running
    } catch (error) {
      await task.stop()
      throw error
    }
  }

  async open(...partitions: readonly number[]): Promise<void> {
    const assigned = partitions.map((partition) => ({ topic: this.world.topic, partition }))
    for (const { topic, partition } of assigned) {
      this.#delivered.set(topic, partition, this.committed.get(topic, partition) ?? 0n)
    }
    await this.task.open?.(deepFreeze(assigned))
    this.#followSeeks()
  }

  /** Commits, then closes, as on a revocation. */
  async close(...partitions: readonly number[]): Promise<void> {
    await this.commit()
    const revoked = partitions.map((partition) => ({ topic: this.world.topic, partition }))
    await this.task.close?.(deepFreeze(revoked))
    for (const { topic, partition } of revoked) this.#delivered.delete(topic, partition)
    // Of partitions that stay, the task may want records again.
    this.#followSeeks()
  }

  next(partition: number): number {
    return Number(this.#delivered.get(this.world.topic, partition) ?? 0n)
  }

  /** Delivers records of the partition up to `end`, exclusive. */
  async deliver(partition: number, end: number): Promise<void> {
    const records: SinkRecord[] = []
    for (let offset = this.next(partition); offset < end; offset++) {
      records.push(freezeRecord(await this.world.record(partition, offset)))
    }
    await this.put(records)
    if (records.length > 0) this.#delivered.set(this.world.topic, partition, BigInt(end))
    this.#followSeeks()
  }

  /** The very same batch until it is accepted. @throws what is not retriable, or the last error at the deadline */
  async put(records: readonly SinkRecord[]): Promise<void> {
    const batch = Object.freeze([...records])
    const signal = AbortSignal.timeout(deadlineMs)
    for (;;) {
      try {
        await this.task.put(batch, signal)
        return
      } catch (error) {
        if (kindOf(error) !== 'retriable' || signal.aborted) throw error
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  #followSeeks(): void {
    const { seeks } = this.#context
    for (; this.#seeksDone < seeks.length; this.#seeksDone++) {
      const [{ topic, partition }, offset] = seeks[this.#seeksDone] as (typeof seeks)[number]
      if (this.#delivered.has(topic, partition)) this.#delivered.set(topic, partition, offset)
    }
  }

  /** One `preCommit`, held to the contract (I2). */
  async commit(): Promise<void> {
    const { topic } = this.world
    const current = TopicPartitionMap.from(this.#delivered.entries())
    if (current.size === 0) return
    let answer: Iterable<readonly [TopicPartition, bigint]>
    try {
      answer = await (this.task.preCommit?.(current) ?? current)
    } catch (error) {
      // This commit is skipped (I1); the next one tells.
      assert.equal(kindOf(error), 'retriable', String(error))
      return
    }
    for (const [tp, offset] of answer) {
      const limit = this.#delivered.get(tp.topic, tp.partition)
      assert.ok(limit !== undefined, `an offset of ${tp.topic}-${tp.partition}, which is not assigned`)
      assert.ok(offset <= limit, `${offset} is committed, ${limit} is delivered`)
      const before = this.committed.get(tp.topic, tp.partition) ?? 0n
      assert.ok(offset >= before, `the offset of partition ${tp.partition} goes back from ${before} to ${offset}`)
      this.committed.set(topic, tp.partition, offset)
    }
  }

  /** As an idle worker: empty puts and commits, and what the task has sought again, until all is committed. */
  async settle(ends: Readonly<Record<number, number>>): Promise<void> {
    const deadlineAt = performance.now() + deadlineMs
    for (;;) {
      for (const [partition, end] of Object.entries(ends)) await this.deliver(Number(partition), end)
      await this.commit()
      const open = Object.entries(ends).filter(([partition, end]) => this.offset(Number(partition)) < end)
      if (open.length === 0) return
      assert.ok(performance.now() < deadlineAt, `not committed: ${JSON.stringify(open)} of ${JSON.stringify(ends)}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  offset(partition: number): number {
    return Number(this.committed.get(this.world.topic, partition) ?? 0n)
  }

  /** Everything below the committed offsets is at the destination (I1); with all of it, exactly it. */
  async expectWritten(ends: Readonly<Record<number, number>>): Promise<void> {
    await expectWritten(this.world, ends)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.task.stop()
  }
}

/** Each record up to `ends` is at the destination; once only, where redelivery leaves no second copy. */
async function expectWritten(world: SinkWorld, ends: Readonly<Record<number, number>>): Promise<void> {
  const expected = Object.entries(ends).flatMap(([partition, end]) =>
    Array.from({ length: end }, (_, offset) => world.identity(Number(partition), offset)),
  )
  const written = await world.written()
  const found = world.duplicates ? [...new Set(written)] : [...written]
  assert.deepEqual(found.sort(), expected.sort())
}

/** Keys and values too: a task that changes what it was given fails here (I5). */
function freezeRecord(record: SinkRecord): SinkRecord {
  deepFreeze(record.key)
  deepFreeze(record.value)
  deepFreeze(record.headers)
  Object.freeze(record)
  return record
}

/** Registers the suite under `name`. */
export function sinkTaskConformance(name: string, subject: SinkTaskSubject): void {
  const unit = subject.unit ?? 1
  const of = (count: number): number => count * unit
  describe(`sink task conformance: ${name}`, { skip: subject.skip ?? false }, () => {
    it('accepts an empty put at any time', async () => {
      await using world = await subject.open()
      await using running = await RunningSink.start(subject, world)
      await running.put([])
      await running.open(0)
      await running.put([])
      await running.commit()
      await running.deliver(0, of(1))
      await running.put([])
      await running.close(0)
      await running.put([])
    })

    it('commits an unbroken prefix, never beyond what is durable (I1, I2)', async () => {
      await using world = await subject.open()
      await using running = await RunningSink.start(subject, world)
      await running.open(0, 1)
      for (let round = 1; round <= 4; round++) {
        await running.deliver(0, of(round * 2))
        await running.deliver(1, of(round))
        await running.commit()
        const written = new Set(await world.written())
        for (const partition of [0, 1]) {
          for (let offset = 0; offset < running.offset(partition); offset++) {
            assert.ok(
              written.has(world.identity(partition, offset)),
              `${partition}-${offset} is committed, not written`,
            )
          }
        }
      }
      await running.settle({ 0: of(8), 1: of(4) })
      await running.expectWritten({ 0: of(8), 1: of(4) })
    })

    it('takes any committed suffix again without harm: from a new task, and after a revocation (I3)', async () => {
      await using world = await subject.open()
      const restarts: number[] = [0]
      {
        await using first = await RunningSink.start(subject, world)
        await first.open(0)
        for (let round = 1; round <= 4; round++) {
          await first.deliver(0, of(round))
          await first.settle({ 0: of(round) })
          restarts.push(first.offset(0))
        }
        await first.close(0)
      }
      for (const restart of restarts) {
        const committed = TopicPartitionMap.from([[{ topic: world.topic, partition: 0 }, BigInt(restart)]])
        await using next = await RunningSink.start(subject, world, world.options, committed)
        await next.open(0)
        await next.deliver(0, of(4))
        await next.settle({ 0: of(4) })
        await next.expectWritten({ 0: of(4) })
        await next.close(0)
        // The same task gets the partition back, from where it was committed.
        next.committed.set(world.topic, 0, BigInt(restart))
        await next.open(0)
        await next.settle({ 0: of(4) })
        await next.expectWritten({ 0: of(4) })
      }
    })

    it('loses nothing when it is stopped without a commit (I3, I9)', async () => {
      await using world = await subject.open()
      const committed = new TopicPartitionMap<bigint>()
      for (let round = 1; round <= 3; round++) {
        await using running = await RunningSink.start(subject, world, world.options, committed)
        await running.open(0)
        await running.deliver(0, of(round * 2))
        // Half of the time with a commit of whatever is ready.
        if (round % 2 === 0) await running.commit()
      }
      await using last = await RunningSink.start(subject, world, world.options, committed)
      await last.open(0)
      await last.settle({ 0: of(6) })
      await last.expectWritten({ 0: of(6) })
    })

    it('goes on with its other partitions when one is closed, and takes it back', async () => {
      await using world = await subject.open()
      await using running = await RunningSink.start(subject, world)
      await running.open(0, 1)
      await running.deliver(0, of(2))
      await running.deliver(1, of(2))
      await running.close(1)
      await running.deliver(0, of(4))
      await running.settle({ 0: of(4) })
      await running.open(1)
      await running.settle({ 0: of(4), 1: of(3) })
      await running.expectWritten({ 0: of(4), 1: of(3) })
    })

    it('takes the same batch again after a failure that passes', async (t) => {
      await using world = await subject.open()
      if (world.failForAWhile === undefined) {
        t.skip('this destination cannot be made to fail for a while')
        return
      }
      await using running = await RunningSink.start(subject, world)
      await running.open(0)
      await running.settle({ 0: of(1) })
      await world.failForAWhile()
      await running.deliver(0, of(4))
      await running.settle({ 0: of(4) })
      await running.expectWritten({ 0: of(4) })
    })

    it('stops once and again, with every handle released', async () => {
      await using world = await subject.open()
      const run = async (end: number, committed: TopicPartitionMap<bigint>): Promise<void> => {
        await using running = await RunningSink.start(subject, world, world.options, committed)
        await running.open(0)
        await running.settle({ 0: end })
        // More, of which nobody waits for the end.
        await running.deliver(0, end + of(1))
        await running.task.stop()
      }
      const committed = new TopicPartitionMap<bigint>()
      // A first run loads what stays for good: modules, caches of the process.
      await run(of(1), committed)
      await world.written()
      const resources = openResources()
      await run(of(3), committed)
      await resources.released()
    })

    it('can be stopped after a failed start, and before one', async () => {
      await using world = await subject.open()
      const neverStarted = (await subject.plugin.createTask()) as SinkTask<unknown>
      await neverStarted.stop()
      const { brokenOptions } = world
      if (brokenOptions === null) return
      const fail = async (): Promise<void> => {
        await using running = await RunningSink.start(subject, world, brokenOptions)
        await running.open(0)
        const signal = AbortSignal.timeout(deadlineMs)
        let batch: readonly SinkRecord[] = [await world.record(0, 0)]
        while (!signal.aborted) {
          await running.task.put(batch, signal)
          await running.commit()
          // As the worker's own loop: a task that works beside `put` needs its timers and sockets in between.
          await new Promise((resolve) => setImmediate(resolve))
          batch = []
        }
      }
      await assert.rejects(fail(), (error) => toError(error).name !== 'AssertionError')
      const resources = openResources()
      await assert.rejects(fail())
      await resources.released()
    })
  })
}
