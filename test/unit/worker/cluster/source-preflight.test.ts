import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '../../../../worker/api/context.ts'
import { ConnectError, NotLeaderError, RequestError } from '../../../../worker/api/errors.ts'
import { SourcePreflight } from '../../../../worker/cluster/source-preflight.ts'

const task = { connector: 'c', task: 0 }
const gone = new RequestError(500, 'CONNECT_FORWARD_FAILED', 'connect ECONNREFUSED', { cause: new Error('refused') })

/** A cluster whose leader answers the requests for a fencing in turn: with an error, or with success at the end. */
function clusterThatAnswers(...answers: readonly (Error | null)[]) {
  let now = 0
  const clock: Clock = {
    now: () => now,
    monotonicMs: () => now,
    sleep: async (ms) => {
      now += ms
    },
  }
  const state = { asked: 0, owned: true, generation: 3, read: 0 }
  const preflight = new SourcePreflight({
    clock,
    fence: async () => {
      const answer = answers[Math.min(state.asked++, answers.length - 1)] ?? null
      if (answer !== null) throw answer
    },
    readConfigs: async () => void state.read++,
    taskGeneration: () => state.generation,
    runsTask: () => state.owned,
  })
  return { state, preflight, elapsedMs: () => now }
}

test('R2: a leader that is gone, replaced, busy or of another key is asked again', async () => {
  const { state, preflight } = clusterThatAnswers(
    gone,
    new NotLeaderError('no known leader', null),
    new RequestError(409, 'CONNECT_FORWARD_FAILED', 'rebalance'),
    new RequestError(403, 'CONNECT_FORWARD_FAILED', 'Internal request signature is invalid'),
    null,
  )
  await preflight.of(task).fence()
  assert.equal(state.asked, 5)
})

test('a fencing that fails for a reason of its own is not asked for again', async () => {
  for (const refusal of [
    new RequestError(500, 'CONNECT_FORWARD_FAILED', 'Failed to fence producers: not authorised'),
    new RequestError(400, 'CONNECT_NOT_A_SOURCE', 'is not a source'),
    new ConnectError('fatal', 'CONNECT_KAFKA_AUTH', 'no right'),
  ]) {
    const { state, preflight } = clusterThatAnswers(refusal)
    await assert.rejects(preflight.of(task).fence(), refusal)
    assert.equal(state.asked, 1)
  }
})

test('I7: a task that was revoked while it waited does not begin', async () => {
  const { state, preflight } = clusterThatAnswers(gone)
  state.owned = false
  await assert.rejects(preflight.of(task).fence(), { kind: 'fenced', code: 'CONNECT_TASK_REVOKED' })
})

test('patience ends after a minute, with the last reason', async () => {
  const { preflight, elapsedMs } = clusterThatAnswers(gone)
  await assert.rejects(preflight.of(task).fence(), gone)
  assert.ok(elapsedMs() >= 60_000 && elapsedMs() < 65_000)
})

test('after the fence the config topic is read, and new task configs end the start', async () => {
  const { state, preflight } = clusterThatAnswers(null)
  const start = preflight.of(task)
  await start.verify()
  assert.equal(state.read, 1)
  state.generation++
  await assert.rejects(start.verify(), { kind: 'fenced', code: 'CONNECT_TASK_GENERATION' })
})
