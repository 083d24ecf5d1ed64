import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ConfigEvent, ConfigLog } from '../../../../worker/cluster/config-log.ts'

/** A log that counts its own offsets. */
class Log {
  readonly #log = new ConfigLog()
  #offset = 0n

  get state() {
    return this.#log.snapshot()
  }

  /** Text or JSON value of one record; what the log makes of it. */
  add(key: string, value: unknown): { readonly event: ConfigEvent | null; readonly problem: string | null } {
    const bytes = value === null ? null : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
    return this.#log.apply(key, bytes, this.#offset++)
  }

  connector(name: string, config: Record<string, string> = {}) {
    return this.add(`connector-${name}`, { properties: { name, ...config } })
  }

  task(name: string, task: number, config: Record<string, string> = {}) {
    return this.add(`task-${name}-${task}`, { properties: config })
  }

  commit(name: string, tasks: number) {
    return this.add(`commit-${name}`, { tasks })
  }
}

const ids = (connector: string, count: number) => Array.from({ length: count }, (_, task) => ({ connector, task }))

test('a commit without all its tasks makes the connector inconsistent; a later full one heals it (statement 88)', () => {
  const log = new Log()
  log.connector('c')
  log.task('c', 1)
  assert.deepEqual(log.commit('c', 2).event, { kind: 'tasks-committed', connector: 'c', tasks: [] })
  assert.ok(log.state.isInconsistent('c'))
  assert.equal(log.state.taskCount('c'), 2)
  assert.deepEqual(log.state.tasks('c'), [])
  assert.equal(log.state.taskConfig({ connector: 'c', task: 1 }), null)
  assert.equal(log.state.appliedConfig('c'), null)
  log.task('c', 0)
  log.task('c', 1)
  assert.deepEqual(log.commit('c', 2).event, { kind: 'tasks-committed', connector: 'c', tasks: ids('c', 2) })
  assert.ok(!log.state.isInconsistent('c'))
  assert.equal(log.state.taskGeneration('c'), 0)
  assert.deepEqual(log.state.appliedConfig('c'), { name: 'c' })
})

test('a commit after a compacted set: tasks before it count, those after it wait for the next', () => {
  const log = new Log()
  log.connector('c')
  // Of an older commit of three, compaction has kept task 2 where it was and the others where they were written last.
  log.task('c', 2, { set: 'old' })
  log.commit('c', 2)
  log.task('c', 0, { set: 'new' })
  log.task('c', 1, { set: 'new' })
  assert.deepEqual(log.state.tasks('c'), [], 'records past a commit do not fix it up')
  log.commit('c', 2)
  assert.deepEqual(log.state.taskConfigsOf('c'), [{ set: 'new' }, { set: 'new' }])
})

test('task records beyond the number of tasks are harmless (statement 89)', () => {
  const log = new Log()
  log.connector('c')
  for (const task of [0, 1, 2]) log.task('c', task, { n: String(task) })
  log.commit('c', 1)
  assert.deepEqual(log.state.tasks('c'), ids('c', 1))
  assert.deepEqual(log.state.taskConfigsOf('c'), [{ n: '0' }])
  assert.equal(log.state.taskConfig({ connector: 'c', task: 2 }), null)
})

test('task configs have no effect before their commit (statement 90)', () => {
  const log = new Log()
  log.connector('c')
  log.task('c', 0, { v: '1' })
  assert.equal(log.state.taskConfig({ connector: 'c', task: 0 }), null)
  log.commit('c', 1)
  log.task('c', 0, { v: '2' })
  assert.deepEqual(log.state.taskConfigsOf('c'), [{ v: '1' }])
  assert.equal(log.state.taskGeneration('c'), 0)
  log.commit('c', 1)
  assert.deepEqual(log.state.taskConfigsOf('c'), [{ v: '2' }])
  assert.equal(log.state.taskGeneration('c'), 1)
})

test('a connector tombstone removes its tasks, a target state tombstone resets (statement 91)', () => {
  const log = new Log()
  log.connector('c')
  log.task('c', 0)
  log.commit('c', 1)
  log.add('target-state-c', { state: 'PAUSED', 'state.v2': 'PAUSED' })
  assert.equal(log.state.targetState('c'), 'PAUSED')
  assert.equal(log.add('target-state-c', null).event, null)
  assert.equal(log.state.targetState('c'), 'STARTED')
  log.task('c', 0, { stale: 'yes' })
  assert.deepEqual(log.add('connector-c', null).event, { kind: 'connector-removed', connector: 'c' })
  assert.deepEqual(log.state.connectors(), [])
  assert.deepEqual([log.state.taskCount('c'), log.state.tasks('c'), log.state.appliedConfig('c')], [0, [], null])
  // Its commit, which compaction keeps, must not give old tasks to a connector of that name created later.
  assert.equal(log.commit('c', 1).event, null)
  assert.deepEqual(log.connector('c').event, { kind: 'connector-updated', connector: 'c', isNew: true })
  assert.deepEqual(log.state.tasks('c'), [])
  assert.equal(log.state.taskGeneration('c'), 0, 'the task generation outlives the connector')
})

test('a commit of a connector that is not there is ignored and takes its task records with it (2.4)', () => {
  const log = new Log()
  log.task('c', 0)
  log.commit('c', 1)
  log.connector('c')
  log.commit('c', 1)
  assert.ok(log.state.isInconsistent('c'))
})

test('target states: v1 beside v0, unknown ones refused, told only when they change (statement 92)', () => {
  const log = new Log()
  // Before the connector: its initial state, which nobody is told.
  assert.equal(log.add('target-state-c', { state: 'PAUSED', 'state.v2': 'STOPPED' }).event, null)
  log.connector('c')
  assert.equal(log.state.targetState('c'), 'STOPPED')
  const told = { kind: 'target-state', connector: 'c' }
  assert.deepEqual(log.add('target-state-c', { state: 'PAUSED' }).event, told)
  assert.equal(log.state.targetState('c'), 'PAUSED')
  assert.equal(log.add('target-state-c', { state: 'PAUSED', 'state.v2': 'PAUSED' }).event, null)
  assert.deepEqual(log.add('target-state-c', { state: 'STARTED' }).event, told)
  for (const unknown of [{ state: 'DANCING' }, { 'state.v2': 'X', state: 'PAUSED' }, {}, [], 1]) {
    assert.match(log.add('target-state-c', unknown).problem ?? '', /unknown state/)
  }
  assert.equal(log.state.targetState('c'), 'STARTED')
})

test('stop is a commit of no tasks; fencing counts once it follows the commit (KIP-618)', () => {
  const log = new Log()
  log.connector('c')
  log.task('c', 0)
  log.commit('c', 1)
  assert.ok(log.state.pendingFencing('c'))
  log.add('tasks-fencing-c', { 'task-count': 1 })
  assert.deepEqual([log.state.pendingFencing('c'), log.state.taskCountRecord('c')], [false, 1])
  assert.deepEqual(log.commit('c', 0).event, { kind: 'tasks-committed', connector: 'c', tasks: [] })
  assert.deepEqual([log.state.isInconsistent('c'), log.state.pendingFencing('c')], [false, true])
  assert.equal(log.state.taskGeneration('c'), 0, 'no task records, no new generation')
  log.add('connector-c', null)
  assert.equal(log.state.taskCountRecord('c'), 1)
})

test('the config offset advances with every record that is JSON, whatever becomes of it (2.3)', () => {
  const log = new Log()
  assert.equal(log.state.offset, -1n)
  log.add('who knows', { a: 1 })
  assert.equal(log.state.offset, 1n)
  log.add('connector-c', '{"properties":')
  assert.equal(log.state.offset, 1n, 'not JSON')
  log.add('connector-c', null)
  assert.equal(log.state.offset, 3n)
})

test('malformed records are named and change nothing', () => {
  const log = new Log()
  log.connector('c')
  for (const [key, value] of [
    ['task-c', { properties: {} }],
    ['task-c-x', { properties: {} }],
    ['task--0', { properties: {} }],
    ['connector-d', { property: {} }],
    ['connector-d', { properties: { a: 1 } }],
    ['connector-d', []],
    ['commit-c', { tasks: 'two' }],
    ['commit-c', { tasks: -1 }],
    ['tasks-fencing-c', {}],
    ['session-key', { key: 'AA==' }],
    ['session-key-2', { key: 'AA==', algorithm: 'X', 'creation-timestamp': 1 }],
    ['logger-cluster-a', {}],
    ['', {}],
  ] as const) {
    const { event, problem } = log.add(key, value)
    assert.equal(event, null, key)
    assert.notEqual(problem, null, key)
  }
  assert.deepEqual(log.state.connectors(), ['c'])
  assert.equal(log.state.sessionKey, null)
})

test('names with hyphens and digits keep their tasks apart', () => {
  const log = new Log()
  for (const name of ['a', 'a-1', 'a-1-2']) log.connector(name)
  log.task('a-1', 2, { of: 'a-1' })
  log.task('a-1', 0, { of: 'a-1' })
  log.task('a-1-2', 0, { of: 'a-1-2' })
  log.task('a', 0, { of: 'a' })
  for (const name of ['a', 'a-1', 'a-1-2']) {
    log.commit(name, 1)
    assert.deepEqual(log.state.taskConfigsOf(name), [{ of: name }])
  }
})
