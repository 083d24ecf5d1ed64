import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigLog, configKeys, configValues } from '../../../worker/cluster/config-log.ts'
import { javaJson } from '../../../worker/cluster/java-json.ts'
import {
  decodeOffsetKey,
  decodeOffsetValue,
  encodeOffsetKey,
  encodeOffsetValue,
} from '../../../worker/cluster/offset-format.ts'
import { encodeStatus, encodeTopic, StatusTable, statusKeys } from '../../../worker/cluster/status-format.ts'
import type { ReportedState } from '../../../worker/runtime/worker-types.ts'
import { textOf } from '../../support/topic-records.ts'
import { goldenRecords } from './golden-topics.ts'

const unusual = 'Größe "x" – 漢字 😀'

test('config topic of Kafka Connect: every record is understood, and the cluster is as it was left (statements 88–92)', () => {
  const log = new ConfigLog()
  for (const { key, value, offset } of goldenRecords('configs')) {
    const { problem } = log.apply(textOf(key) ?? '', value, offset)
    assert.equal(problem, null, textOf(key) ?? '')
  }
  const state = log.snapshot()
  assert.equal(state.offset, (goldenRecords('configs').at(-1)?.offset ?? 0n) + 1n)
  assert.deepEqual(state.connectors(), [unusual, 'failing', 'file-1', 'mirror'].sort())
  assert.equal(state.targetState('file-1'), 'STOPPED')
  assert.equal(state.targetState(unusual), 'STOPPED')
  assert.equal(state.targetState('failing'), 'STARTED')
  assert.deepEqual(state.tasks('file-1'), [])
  assert.deepEqual(state.tasks('failing'), [{ connector: 'failing', task: 0 }])
  assert.equal(
    state.taskConfig({ connector: 'failing', task: 0 })?.['task.class'],
    'org.apache.kafka.connect.file.FileStreamSourceTask',
  )
  assert.equal(state.connectorConfig(unusual)?.['header.text'], 'a/b <&> \u2028 \u007f \u0001 \u001f \t')
  assert.equal(state.taskGeneration('file-1'), 1)
  assert.equal(state.taskCountRecord('file-1'), 0)
  assert.equal(state.pendingFencing('file-1'), false)
  assert.equal(state.sessionKey?.algorithm, 'HmacSHA256')
  assert.equal(state.sessionKey?.key.length, 32)
})

/** What our writers make of the meaning of a record: key and value. */
function rewriteConfig(key: string, value: string | null): readonly [string, string | null] {
  const parsed = JSON.parse(value ?? 'null') as Record<string, never> | null
  const text = (written: unknown): string => javaJson(written)
  const [, prefix = '', rest = ''] =
    /^(target-state|connector|task|commit|tasks-fencing|restart-connector|logger-cluster)-(.*)$/s.exec(key) ?? []
  if (parsed === null) return [prefix === 'connector' ? configKeys.connector(rest) : configKeys.targetState(rest), null]
  switch (prefix) {
    case 'connector':
      return [configKeys.connector(rest), text(configValues.properties(parsed['properties'] ?? {}))]
    case 'task': {
      const [, connector = '', task = ''] = /^(.*)-(\d+)$/.exec(rest) ?? []
      return [
        configKeys.task({ connector, task: Number(task) }),
        text(configValues.properties(parsed['properties'] ?? {})),
      ]
    }
    case 'commit':
      return [configKeys.commit(rest), text(configValues.commit(parsed['tasks'] ?? -1))]
    case 'target-state':
      return [configKeys.targetState(rest), text(configValues.targetState(parsed['state.v2'] ?? 'STARTED'))]
    case 'tasks-fencing':
      return [configKeys.fencing(rest), text(configValues.fencing(parsed['task-count'] ?? -1))]
    case 'restart-connector': {
      const request = { connector: rest, includeTasks: parsed['include-tasks'], onlyFailed: parsed['only-failed'] }
      return [configKeys.restart(rest), text(configValues.restart(request as never))]
    }
    case 'logger-cluster':
      return [configKeys.logger(rest), text(configValues.logger(parsed['level'] ?? ''))]
    default: {
      const sessionKey = {
        key: Buffer.from(parsed['key'] ?? '', 'base64'),
        algorithm: parsed['algorithm'] ?? '',
        createdMs: parsed['creation-timestamp'] ?? 0,
      }
      return [configKeys.sessionKey, text(configValues.sessionKey(sessionKey))]
    }
  }
}

test('config topic: the same meaning is written in the same bytes', () => {
  for (const { key, value } of goldenRecords('configs')) {
    const golden = [textOf(key) ?? '', textOf(value)] as const
    assert.deepEqual(rewriteConfig(...golden), golden)
  }
})

test('offset topic: keys and values are read, and written in the same bytes (statement 95)', () => {
  const connectors = new Set<string>()
  for (const { key, value } of goldenRecords('offsets')) {
    const decoded = decodeOffsetKey(key ?? new Uint8Array())
    assert.ok(decoded, textOf(key) ?? '')
    connectors.add(decoded.connector)
    assert.equal(textOf(encodeOffsetKey(decoded.connector, decoded.partition)), textOf(key))
    // Fields in another order are the same partition, under the same key.
    const reversed = Object.fromEntries(Object.entries(decoded.partition).reverse())
    assert.equal(textOf(encodeOffsetKey(decoded.connector, reversed)), textOf(key))
    assert.equal(textOf(encodeOffsetValue(decodeOffsetValue(value))), textOf(value))
  }
  assert.deepEqual([...connectors].sort(), [unusual, 'file-1', 'mirror'].sort())
})

interface StatusValue {
  readonly state: ReportedState
  readonly trace: string | null
  readonly worker_id: string
  readonly generation: number
  readonly version: string | null
  readonly topic?: {
    readonly name: string
    readonly connector: string
    readonly task: number
    readonly discoverTimestamp: number
  }
}

test('status topic: every record is understood, and written in the same bytes', () => {
  const table = new StatusTable()
  for (const { key, value } of goldenRecords('statuses')) {
    const name = textOf(key) ?? ''
    assert.equal(table.apply(name, value), null, name)
    if (value === null) continue
    const parsed = JSON.parse(textOf(value) ?? '') as StatusValue
    if (parsed.topic !== undefined) {
      const { name: topic, connector, task, discoverTimestamp: discoveredMs } = parsed.topic
      const active = { topic, connector, task, discoveredMs }
      assert.equal(statusKeys.topic(active), name)
      assert.equal(textOf(encodeTopic(active)), textOf(value))
      continue
    }
    const { state, trace, worker_id: workerId, generation, version } = parsed
    const status = { state, trace, workerId, generation, version }
    assert.equal(textOf(encodeStatus(status)), textOf(value))
  }
  assert.match(
    goldenRecords('statuses')
      .map(({ value }) => textOf(value))
      .join('\n'),
    /"state":"FAILED","trace":"org\.apache\.kafka/,
  )
  assert.ok(!table.connectors().includes('gone'))
  assert.deepEqual(
    table.topics('file-1').map(({ topic }) => topic),
    ['lines-token'],
  )
})
