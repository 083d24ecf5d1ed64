import assert from 'node:assert/strict'
import test from 'node:test'
import { ActiveTopics } from '../../../../worker/runtime/active-topics.ts'

test('statement 79: a topic in use is named again, but not with every batch', () => {
  let nowMs = 5
  const topics = new ActiveTopics({ monotonicMs: () => nowMs })
  assert.deepEqual([topics.isDue('a'), topics.isDue('a'), topics.isDue('b')], [true, false, true])
  nowMs += 999
  assert.equal(topics.isDue('a'), false)
  nowMs += 1
  assert.deepEqual([topics.isDue('a'), topics.isDue('a')], [true, false])
})

test('statement 79: after a reset the next use is named, however soon it comes', () => {
  const topics = new ActiveTopics({ monotonicMs: () => 5 })
  assert.deepEqual([topics.isDue('a'), topics.isDue('b')], [true, true])
  topics.forget('a')
  assert.deepEqual([topics.isDue('a'), topics.isDue('a'), topics.isDue('b')], [true, false, false])
})
