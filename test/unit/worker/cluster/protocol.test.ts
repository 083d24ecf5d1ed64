import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type Assignment,
  decodeAssignment,
  decodeMemberState,
  encodeAssignment,
  encodeMemberState,
  noWork,
  type ProtocolVersion,
} from '../../../../worker/cluster/protocol.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

const assignment = (version: ProtocolVersion): Assignment => ({
  version,
  error: 'none',
  leader: 'm1',
  leaderUrl: 'u/',
  offset: 5n,
  assigned: { connectors: ['c'], tasks: [{ connector: 'c', task: 0 }] },
  revoked: { connectors: [], tasks: [{ connector: 'd', task: 2 }] },
  delayMs: 40,
})

test('assignments have the bytes of Connect', () => {
  const common = '00026d310002752f0000000000000005'
  const work = '00000001000163' + '00000002ffffffff00000000'
  assert.equal(hex(encodeAssignment(assignment(0))), `00000000${common}${work}`)
  assert.equal(
    hex(encodeAssignment(assignment(2))),
    `00020000${common}${work}000000010001640000000100000002` + '00000028',
  )
})

test('member states have the bytes of Connect; a v0 state carries no allocation', () => {
  const state = { version: 1, url: 'u/', offset: -1n, allocation: null, leaving: false } as const
  assert.equal(hex(encodeMemberState(state)), '00010002752fffffffffffffffffffffffff')
  assert.equal(
    hex(encodeMemberState({ ...state, version: 0, allocation: assignment(2) })),
    '00000002752fffffffffffffffff',
  )
})

test('a leader of v1 or v2 reads v0, and data without the trailing fields (statement 144)', () => {
  const v0 = decodeAssignment(encodeAssignment(assignment(0)))
  assert.deepEqual(v0.revoked, noWork)
  assert.equal(v0.delayMs, 0)
  const member = encodeMemberState({ version: 0, url: 'u/', offset: 3n, allocation: null, leaving: false })
  assert.deepEqual(decodeMemberState(member), { version: 0, url: 'u/', offset: 3n, allocation: null, leaving: false })
  assert.throws(() => decodeAssignment(encodeAssignment(assignment(1)).subarray(0, 9)), /truncated/)
})

test('what was written is read back', () => {
  const name = fc.string({ minLength: 1, maxLength: 8, unit: 'grapheme' })
  const work = fc
    .uniqueArray(fc.record({ connector: name, task: fc.integer({ min: 0, max: 9 }) }, { noNullPrototype: true }), {
      selector: (id) => `${id.connector}-${id.task}`,
      maxLength: 6,
    })
    .map((tasks) => ({
      connectors: [...new Set(tasks.map((id) => id.connector))],
      tasks: [...tasks].sort((a, b) =>
        a.connector < b.connector ? -1 : a.connector > b.connector ? 1 : a.task - b.task,
      ),
    }))
    .map(({ connectors, tasks }) => ({ connectors: [...connectors].sort(), tasks }))
  fc.assert(
    fc.property(
      work,
      work,
      fc.bigInt({ min: -1n, max: 2n ** 63n - 1n }),
      fc.boolean(),
      (assigned, revoked, offset, leaving) => {
        const full: Assignment = { ...assignment(2), assigned, revoked, offset }
        assert.deepEqual(decodeAssignment(encodeAssignment(full)), full)
        const state = { version: 2, url: 'http://h:1/', offset, allocation: full, leaving } as const
        assert.deepEqual(decodeMemberState(encodeMemberState(state)), state)
      },
    ),
  )
})
