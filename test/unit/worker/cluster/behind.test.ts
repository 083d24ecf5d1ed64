/** A member of the group that has not read all of the config topic. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TopicLog, TopicLogOptions, TopicLogRecord } from '../../../../worker/kafka/types.ts'
import { eventually } from '../../../support/runtime/eventually.ts'
import { FakeCluster } from './fake-cluster.ts'

/** Makes the next log of the topic one that can be held: then it hands on nothing and does not come to its end. */
function holdNextLog(cluster: FakeCluster): { hold(): void; release(): void } {
  const topic = cluster.configTopic
  const open = topic.log.bind(topic)
  let held: { readonly records: TopicLogRecord[]; readonly end: PromiseWithResolvers<void> } | null = null
  let deliver: (record: TopicLogRecord) => void = () => undefined
  topic.log = (options: TopicLogOptions): TopicLog => {
    topic.log = open
    deliver = options.onRecord
    const log = open({
      ...options,
      onRecord: (record) => {
        if (held === null) options.onRecord(record)
        else held.records.push(record)
      },
    })
    const readToEnd = log.readToEnd.bind(log)
    log.readToEnd = async (signal) => {
      const aborted = Promise.withResolvers<never>()
      aborted.promise.catch(() => undefined)
      signal?.addEventListener('abort', () => aborted.reject(signal.reason), { once: true })
      if (held !== null) await Promise.race([held.end.promise, aborted.promise])
      await readToEnd(signal)
    }
    return log
  }
  return {
    hold: () => {
      held = { records: [], end: Promise.withResolvers() }
    },
    release: () => {
      const waiting = held
      held = null
      for (const record of waiting?.records ?? []) deliver(record)
      waiting?.end.resolve()
    },
  }
}

test('statement 143: a member that is behind with the configs starts nothing until it has caught up', async () => {
  await using cluster = new FakeCluster()
  const leader = await cluster.add()
  const log = holdNextLog(cluster)
  const behind = await cluster.add()
  await eventually(() => assert.equal(cluster.group.members.size, 2), 5_000)
  await behind.herder.ping(2_000)
  log.hold()
  const put = { replace: true, initialState: null }
  await cluster.forwarded((h) => h.putConnector('c', { name: 'c', 'tasks.max': '4', value: 'new' }, put))
  // It leaves the group for a while; meanwhile the other one does what is its share or more.
  await eventually(() => assert.match(behind.member.leaveReasons.join(), /too long to read the config topic/), 5_000)
  await eventually(() => assert.ok(leader.worker.runningTasks.size >= 2), 5_000)
  assert.deepEqual(behind.worker.log, [])
  log.release()
  await eventually(() => assert.ok(behind.worker.runningTasks.size >= 2), 5_000)
  for (const { start } of behind.worker.runningTasks.values()) assert.equal(start.taskConfig['value'], 'new')
  assert.deepEqual(cluster.work(), ['c', 'c-0', 'c-1', 'c-2', 'c-3'])
})
