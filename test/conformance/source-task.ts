/** What every source task owes the runtime, whatever its source (style guide: plugin API; I1–I5). */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { RawConfig } from '../../worker/api/connector.ts'
import { kindOf } from '../../worker/api/errors.ts'
import type { SourceConnectorPlugin } from '../../worker/api/plugin.ts'
import type { SourceOffset, SourceRecord } from '../../worker/api/record.ts'
import type { CommittedOffset, SourceTask } from '../../worker/api/task.ts'
import { partitionIdentity } from '../../worker/cluster/offset-format.ts'
import { parseConfig } from '../../worker/config/config-def.ts'
import { sourceTaskContext } from '../support/contexts.ts'
import { deepFreeze } from './converter.ts'
import { openResources } from './task-resources.ts'

/** One source with nothing else reading it; made anew for every test. */
export interface SourceWorld extends AsyncDisposable {
  readonly options: RawConfig
  /** Options with which `start`, or the first `poll`, fails; null when there are none. */
  readonly brokenOptions: RawConfig | null
  /** Makes `count` more records appear, each different from all before. */
  produce(count: number): Promise<void>
  /** Text that tells records apart, and is equal when the same change is delivered again. */
  identify(record: SourceRecord): string
  /** Order of two offsets of one partition: negative when `a` comes first. */
  compare(a: SourceOffset, b: SourceOffset): number
}

export interface SourceTaskSubject {
  readonly plugin: SourceConnectorPlugin
  open(): Promise<SourceWorld>
  readonly skip?: string | false
  /** Within this `poll` has to return once its signal aborts, in ms; default 1000. */
  readonly abortBoundMs?: number
}

const deadlineMs = 30_000

/** A started task; offsets that were given to `resumeFrom` are what it finds as committed. */
class RunningTask implements AsyncDisposable {
  readonly task: SourceTask<unknown>
  readonly records: SourceRecord[] = []

  private constructor(task: SourceTask<unknown>) {
    this.task = task
  }

  static async start(
    { plugin }: SourceTaskSubject,
    options: RawConfig,
    resumeFrom: readonly CommittedOffset[] = [],
  ): Promise<RunningTask> {
    const raw = deepFreeze({ ...options })
    const context = sourceTaskContext({ rawConfig: raw })
    // Frozen all of it: a task that changes what it was given fails here (I5).
    for (const { partition, offset } of resumeFrom) context.setOffset(deepFreeze(partition), deepFreeze(offset))
    const task = (await plugin.createTask()) as SourceTask<unknown>
    const running = new RunningTask(task)
    try {
      await task.start(deepFreeze(parseConfig(plugin.config, raw)), context)
      return running
    } catch (error) {
      await task.stop()
      throw error
    }
  }

  /** One `poll`, as the runner makes it. */
  async poll(signal: AbortSignal): Promise<readonly SourceRecord[]> {
    try {
      const batch = await this.task.poll(signal)
      for (const record of batch) {
        assert.notEqual(record.sourceOffset, null, 'a record without a source offset')
        // What the task still refers to must not change any more (I5).
        deepFreeze(record.sourceOffset)
        deepFreeze(record.sourcePartition)
      }
      this.records.push(...batch)
      return batch
    } catch (error) {
      if (signal.aborted || kindOf(error) === 'retriable') return []
      throw error
    }
  }

  /** Polls until `count` records have come. */
  async collect(count: number): Promise<readonly SourceRecord[]> {
    const signal = AbortSignal.timeout(deadlineMs)
    while (this.records.length < count) {
      assert.ok(!signal.aborted, `only ${this.records.length} of ${count} records came`)
      await this.poll(signal)
    }
    return this.records
  }

  /** Polls for a while and expects that nothing more comes. */
  async expectNothing(): Promise<void> {
    const before = this.records.length
    await this.poll(AbortSignal.timeout(300))
    assert.deepEqual(this.records.slice(before), [], 'more records than there are changes')
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.task.stop()
  }
}

function offsetOf({ sourcePartition, sourceOffset }: SourceRecord): CommittedOffset {
  return { partition: sourcePartition, offset: sourceOffset }
}

/** Registers the suite under `name`. */
export function sourceTaskConformance(name: string, subject: SourceTaskSubject): void {
  const abortBoundMs = subject.abortBoundMs ?? 1000
  describe(`source task conformance: ${name}`, { skip: subject.skip ?? false }, () => {
    it('returns from poll when the signal aborts, with and without data before', async () => {
      await using world = await subject.open()
      await using running = await RunningTask.start(subject, world.options)
      for (const count of [0, 5]) {
        await world.produce(count)
        await running.collect(running.records.length + count)
        const abort = new AbortController()
        const polled = running.poll(abort.signal)
        await new Promise((resolve) => setTimeout(resolve, 50))
        const abortedAt = performance.now()
        abort.abort()
        await polled
        const tookMs = performance.now() - abortedAt
        assert.ok(tookMs < abortBoundMs, `poll returned ${Math.round(tookMs)} ms after the abort`)
      }
      // An aborted signal from the outset: returns too.
      await running.poll(AbortSignal.abort())
    })

    it('goes on after an aborted poll: nothing is lost, nothing comes twice (I3, I4)', async () => {
      await using world = await subject.open()
      await using running = await RunningTask.start(subject, world.options)
      for (let round = 0; round < 5; round++) {
        const abort = new AbortController()
        const polled = running.poll(abort.signal)
        const produced = world.produce(7)
        setImmediate(() => abort.abort())
        await Promise.all([polled, produced])
      }
      const seen = (await running.collect(35)).map((record) => world.identify(record))
      assert.equal(new Set(seen).size, 35)
      await running.expectNothing()
    })

    it('gives offsets that never go back within a partition (I2, I4)', async () => {
      await using world = await subject.open()
      await using running = await RunningTask.start(subject, world.options)
      for (let round = 0; round < 4; round++) await world.produce(10)
      const last = new Map<string, SourceOffset>()
      for (const { sourcePartition, sourceOffset } of await running.collect(40)) {
        const key = partitionIdentity(sourcePartition)
        const before = last.get(key)
        if (before !== undefined) {
          assert.ok(world.compare(before, sourceOffset) <= 0, `${inspect(sourceOffset)} after ${inspect(before)}`)
        }
        last.set(key, sourceOffset)
      }
    })

    it('resumes from any committed offset with exactly the rest, in order (I1–I4)', async () => {
      await using world = await subject.open()
      let all: readonly SourceRecord[]
      {
        await using first = await RunningTask.start(subject, world.options)
        await world.produce(6)
        await first.collect(6)
        for (let i = 0; i < 3; i++) await world.produce(8)
        all = [...(await first.collect(30))]
        await first.task.commit?.([offsetOf(all[5] as SourceRecord)])
      }
      const identities = all.map((record) => world.identify(record))
      for (const delivered of [6, 7, 13, 14, 22, 29, 30]) {
        const offset = offsetOf(all[delivered - 1] as SourceRecord)
        await using next = await RunningTask.start(subject, world.options, [offset])
        const rest = await next.collect(30 - delivered)
        assert.deepEqual(
          rest.map((record) => world.identify(record)),
          identities.slice(delivered),
          `after ${inspect(offset.offset)}`,
        )
        await next.expectNothing()
      }
    })

    it('takes confirmations of nothing, of old offsets, and of what it has delivered', async () => {
      await using world = await subject.open()
      await using running = await RunningTask.start(subject, world.options)
      await world.produce(10)
      const records = await running.collect(10)
      const offsets = [records[9], records[3]].map((record) => offsetOf(record as SourceRecord))
      await running.task.commit?.(deepFreeze([]))
      for (const offset of offsets) await running.task.commit?.(deepFreeze([offset]))
      await world.produce(1)
      await running.collect(11)
    })

    it('stops once and again, with every handle released', async () => {
      await using world = await subject.open()
      // A first run loads what stays for good: modules, caches of the process.
      await using warmUp = await RunningTask.start(subject, world.options)
      await world.produce(3)
      const resumeFrom = offsetOf((await warmUp.collect(3)).at(-1) as SourceRecord)
      await warmUp.task.stop()
      const resources = openResources()
      const running = await RunningTask.start(subject, world.options, [resumeFrom])
      await world.produce(3)
      await running.collect(3)
      await world.produce(3)
      await running.task.stop()
      await running.task.stop()
      assert.equal(running.records.length, 3, 'records after stop')
      await resources.released()
    })

    it('can be stopped after a failed start, and before one', async () => {
      await using world = await subject.open()
      const neverStarted = (await subject.plugin.createTask()) as SourceTask<unknown>
      await neverStarted.stop()
      const { brokenOptions } = world
      if (brokenOptions === null) return
      const fail = async (): Promise<void> => {
        await using running = await RunningTask.start(subject, brokenOptions)
        await running.task.poll(AbortSignal.timeout(deadlineMs))
      }
      await assert.rejects(fail())
      const resources = openResources()
      await assert.rejects(fail())
      await resources.released()
    })
  })
}

function inspect(offset: SourceOffset): string {
  return JSON.stringify(offset, (_, value: unknown) => (typeof value === 'bigint' ? `${value}` : value))
}
