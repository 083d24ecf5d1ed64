import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KeptSessions } from '../../../../connectors/redshift/kept-sessions.ts'

test('a session is used again after its statement, by one statement at a time', () => {
  const sessions = new KeptSessions()
  assert.deepEqual(sessions.choose('t1'), { kind: 'new' })
  sessions.submitted('t1', 's1', 'a')
  assert.deepEqual(sessions.choose('t2'), { kind: 'new' }, 'the first one is busy')
  sessions.submitted('t2', 's2', 'b')
  sessions.ended('s1', 'FINISHED')
  sessions.ended('s1', 'FINISHED')
  assert.deepEqual(sessions.choose('t3'), { kind: 'kept', id: 'a' })
  assert.deepEqual(sessions.choose('t4'), { kind: 'new' }, 'it is free once')
})

test('a submission that is repeated names the session that it named first', () => {
  const sessions = new KeptSessions()
  sessions.submitted('t1', 's1', 'a')
  sessions.ended('s1', 'FAILED')
  const first = sessions.choose('t2')
  sessions.submitted('t0', 's0', 'z')
  sessions.ended('s0', 'FINISHED')
  assert.deepEqual(sessions.choose('t2'), first)
})

test('a session that the service refuses, or whose statement was aborted, does not come back', () => {
  const sessions = new KeptSessions()
  sessions.submitted('t1', 's1', 'a')
  sessions.ended('s1', 'FINISHED')
  assert.deepEqual(sessions.choose('t2'), { kind: 'kept', id: 'a' })
  sessions.refused('t2')
  assert.deepEqual(sessions.choose('t2'), { kind: 'new' })
  sessions.submitted('t2', 's2', 'b')
  sessions.ended('s2', 'ABORTED')
  assert.deepEqual(sessions.choose('t3'), { kind: 'new' })
})
