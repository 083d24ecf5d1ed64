import assert from 'node:assert/strict'
import { test } from 'node:test'
import { expectedOutcome, goldenCases, type Outcome, playCase } from './golden-case.ts'

/** Cases that need more than the task: who plays them instead. */
const playedElsewhere: Readonly<Record<string, string>> = {
  '036-transforms': 'needs the transforms of a worker: worker-golden.test.ts',
  '041-validate': 'answers of the validate endpoint: worker-golden.test.ts',
  '044-fault-short': 'faults of the server: worker-golden.test.ts',
  '045-fault-long': 'faults of the server: worker-golden.test.ts',
  '046-fault-complete': 'faults of the server: worker-golden.test.ts',
  '047-fault-answer-lost': 'faults of the server: worker-golden.test.ts',
  '048-fault-denied': 'faults of the server: worker-golden.test.ts',
  '049-fault-bucket-gone': 'faults of the server: worker-golden.test.ts',
  '050-fault-tagging': 'faults of the server: worker-golden.test.ts',
  '051-fault-tagging-fail': 'faults of the server: worker-golden.test.ts',
}

/** Cases where the recorded connector stops, loses or doubles data, or where it must differ: what is right instead. */
const deliberate: Readonly<Record<string, { readonly why: string; readonly check: (outcome: Outcome) => void }>> = {
  '005-padding-zero': {
    why: 'a pad width of 0 works',
    check: ({ failed, objects }) => {
      assert.equal(failed, false)
      assert.deepEqual(Object.keys(objects), ['topics/p-orders/partition=0/p-orders+0+0.json'])
    },
  },
  '016-field-partitioner-errors': {
    why: 'JSON objects and times can name directories; only the float is reported',
    check: ({ failed, reported, offsets }) => {
      assert.equal(failed, false)
      assert.deepEqual(reported, ['p-orders-0-1'])
      assert.deepEqual(offsets, { 'p-orders-0': 5 })
    },
  },
  '017-field-partitioner-missing-field': {
    why: 'the record is reported, the task goes on',
    check: ({ failed, reported, objects }) => {
      assert.equal(failed, false)
      assert.deepEqual(reported, ['p-orders-0-1'])
      assert.deepEqual(Object.keys(objects), ['topics/p-orders/k=a/p-orders+0+0000000000.json'])
    },
  },
  '025-null-ignore': {
    why: 'ignored nulls at the end move the offset',
    check: ({ offsets, objects }) => {
      assert.deepEqual(offsets, { 'p-orders-0': 7 })
      assert.deepEqual(objects, expectedOutcome('025-null-ignore').objects)
    },
  },
  '035-regex-router': {
    why: 'offsets go by the consumed position, names by the routed topic (KIP-793)',
    check: ({ failed, offsets }) => {
      assert.equal(failed, false)
      assert.deepEqual(offsets, { 'p-orders-0': 3 })
    },
  },
  '043-json-numbers': {
    why: 'integers beyond 64 bits keep their digits (I6)',
    check: ({ objects }) => {
      const [text = ''] = Object.values(objects)
      const [expected = ''] = Object.values(expectedOutcome('043-json-numbers').objects)
      assert.equal(text.replace('12345678901234567890', '-6101065172474983726'), expected)
    },
  },
  '052-conditional-write': {
    why: 'the records of taken names are written under the next free name, not left out',
    check: ({ objects, offsets }) => {
      const lines = [0, 1, 2, 3, 4].map((id) => `{"id":${id}}\n`).join('')
      assert.equal(objects['topics/p-orders/partition=0/p-orders+0+0000000002.json'], lines)
      assert.deepEqual(offsets, { 'p-orders-0': 5 })
    },
  },
}

for (const name of goldenCases) {
  const skip = playedElsewhere[name]
  const different = deliberate[name]
  const title = `S3 case ${name}${different === undefined ? '' : ` (differs: ${different.why})`}`
  test(title, { skip: skip ?? false }, async () => {
    const outcome = await playCase(name)
    if (different === undefined) assert.deepEqual(outcome, expectedOutcome(name))
    else different.check(outcome)
  })
}
