import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import type { Database } from '../../../../connectors/postgres-cdc/connection.ts'
import { lsn } from '../../../../connectors/postgres-cdc/lsn.ts'
import { readOffset, type StoredOffset, StreamPosition } from '../../../../connectors/postgres-cdc/offsets.ts'
import {
  checkSystem,
  checkTimeline,
  type MismatchStrategy,
  parseTimelineHistory,
  resumeLsn,
} from '../../../../connectors/postgres-cdc/slot.ts'
import { assess, smoothedGrowth } from '../../../../connectors/postgres-cdc/slot-monitor.ts'
import { RecordingLogger } from '../../../support/contexts.ts'

function stored(members: Readonly<Record<string, bigint | string>>): StoredOffset {
  const offset = readOffset(members)
  assert.ok(offset !== null)
  return offset
}

/** What `resumeLsn` decides, and what it tells the server. */
async function resume(
  offset: StoredOffset,
  slot: { readonly restart: bigint; readonly confirmed: bigint } | null,
  strategy: MismatchStrategy,
) {
  const statements: string[] = []
  const database = { rows: async (sql: string) => void statements.push(sql) } as unknown as Database
  const state =
    slot === null ? null : { restartLsn: lsn(slot.restart), confirmedFlushLsn: lsn(slot.confirmed), activePid: null }
  const check = { database, slot: 's', strategy, logger: new RecordingLogger() }
  return { start: await resumeLsn(offset, state, check), statements }
}

const between = stored({ lsn: 500n, lsn_proc: 500n, lsn_commit: 400n, messageType: 'INSERT', txId: '7' })

suite('stored position and slot', () => {
  test('the offset starts the stream where the slot is not further', async () => {
    for (const strategy of ['fail', 'no_validation', 'trust_offset'] as const) {
      const { start } = await resume(between, { restart: 300n, confirmed: 400n }, strategy)
      assert.equal(start, 400n)
    }
  })

  test('a slot that was moved on fails the task by default; only the operator decides otherwise (statement P78)', async () => {
    const moved = { restart: 300n, confirmed: 450n }
    await assert.rejects(resume(between, moved, 'fail'), { code: 'CONNECT_POSTGRES_POSITION' })
    await assert.rejects(resume(between, moved, 'trust_offset'), /50 bytes further/)
    assert.equal((await resume(between, moved, 'no_validation')).start, 400n)
    assert.equal((await resume(between, moved, 'trust_slot')).start, 450n)
    assert.equal((await resume(between, moved, 'trust_greater_lsn')).start, 450n)
  })

  test('a slot that lags is advanced where the offset is trusted (statement P78)', async () => {
    const behind = { restart: 100n, confirmed: 200n }
    for (const strategy of ['trust_offset', 'trust_greater_lsn'] as const) {
      const { start, statements } = await resume(between, behind, strategy)
      assert.equal(start, 400n)
      assert.match(statements.join(), /pg_replication_slot_advance\('s', '0\/190'\)/)
    }
    assert.deepEqual((await resume(between, behind, 'fail')).statements, [])
    assert.equal((await resume(between, behind, 'trust_slot')).start, 200n)
  })

  test('a slot made anew starts behind the offset: no longer available (statement P80)', async () => {
    for (const strategy of ['fail', 'no_validation', 'trust_offset'] as const) {
      await assert.rejects(
        resume(between, { restart: 600n, confirmed: 610n }, strategy),
        /no longer available on the server/,
      )
    }
  })

  test('without a slot only trust_slot goes on', async () => {
    for (const strategy of ['fail', 'no_validation', 'trust_offset', 'trust_greater_lsn'] as const) {
      await assert.rejects(resume(between, null, strategy), /the replication slot does not exist/)
    }
    assert.equal((await resume(between, null, 'trust_slot')).start, 400n)
  })

  test('the default never starts where the server would pass over something', async () => {
    await fc.assert(
      fc.asyncProperty(fc.bigInt(1n, 99n), fc.bigInt(1n, 99n), fc.bigInt(1n, 99n), async (commit, restart, gap) => {
        const offset = stored({ lsn: commit + gap, lsn_proc: commit + gap, lsn_commit: commit })
        const confirmed = restart + gap
        const outcome = await resume(offset, { restart, confirmed }, 'fail').catch(() => null)
        if (outcome !== null) assert.ok(outcome.start >= confirmed && outcome.start <= commit)
      }),
    )
  })
})

suite('stored position and server', () => {
  const here = { systemId: '7000000000000000001', logEnd: lsn(900n), timeline: 1 }
  const known = stored({ lsn: 500n, system_identifier: '7000000000000000001' })
  const foreign = stored({ lsn: 500n, system_identifier: '7000000000000000002' })

  test('another system identifier halts, unless the slot is trusted', () => {
    checkSystem(here, known, 'fail')
    checkSystem(here, stored({ lsn: 500n }), 'fail')
    assert.throws(() => checkSystem(here, foreign, 'fail'), { code: 'CONNECT_POSTGRES_SYSTEM' })
    assert.throws(() => checkSystem(here, foreign, 'no_validation'), { code: 'CONNECT_POSTGRES_SYSTEM' })
    checkSystem(here, foreign, 'trust_slot')
  })

  test('a promoted server: only what its history has in common with the position goes on', () => {
    const history = parseTimelineHistory('1\t0/1F4\tno recovery target specified\n\n2\t0/3E8\tno recovery target\n')
    assert.deepEqual(
      [...history],
      [
        [1, 500n],
        [2, 1000n],
      ],
    )
    const position = stored({ lsn: 480n, lsn_proc: 500n, lsn_commit: 400n, messageType: 'COMMIT' })
    const check = (end: bigint | null, strategy: MismatchStrategy = 'fail') =>
      checkTimeline(position, { was: 1, is: 2, end: end === null ? null : lsn(end) }, strategy)
    check(500n)
    assert.throws(() => check(499n), { code: 'CONNECT_POSTGRES_POSITION', message: /left timeline 1 at 0\/1F3/ })
    assert.throws(() => check(499n, 'no_validation'), { code: 'CONNECT_POSTGRES_POSITION' })
    assert.throws(() => check(null), /does not come of timeline 1/)
    check(499n, 'trust_slot')
  })

  test('the timeline is stored with the system, and read again', () => {
    const position = new StreamPosition(null, lsn(100n))
    assert.equal(position.offset()['timeline'], undefined)
    position.timeline = 3
    assert.equal(readOffset(position.offset())?.timeline, 3)
    assert.equal(new StreamPosition(readOffset(position.offset()), lsn(100n)).offset()['timeline'], 3)
  })

  test('a log that ends before the position halts', () => {
    assert.throws(() => checkSystem({ ...here, logEnd: lsn(499n) }, known, 'trust_slot'), /restored from a backup/)
  })
})

suite('watching the slot', () => {
  const sample = { atMs: 0, retainedBytes: 1000, unconfirmedBytes: 10, walStatus: 'reserved', safeBytes: null }

  test('levels follow the budget and what the server says', () => {
    assert.equal(assess(sample, 0, 0).level, 'ok')
    assert.equal(assess(sample, 0, 999).level, 'over budget')
    assert.equal(assess({ ...sample, walStatus: 'unreserved' }, 0, 0).level, 'in danger')
    assert.equal(assess({ ...sample, walStatus: 'lost' }, 0, 999).level, 'in danger')
    assert.equal(assess({ ...sample, walStatus: 'extended', safeBytes: 0 }, 0, 0).level, 'in danger')
  })

  test('the forecast is the nearer limit at the present pace', () => {
    assert.equal(assess(sample, 100, 0).secondsLeft, null)
    assert.equal(assess(sample, -5, 2000).secondsLeft, null)
    assert.equal(assess(sample, 100, 2000).secondsLeft, 10)
    assert.equal(assess({ ...sample, safeBytes: 500 }, 100, 2000).secondsLeft, 5)
    assert.equal(assess(sample, 100, 500).secondsLeft, 0)
  })

  test('growth is smoothed', () => {
    const later = { ...sample, atMs: 10_000, retainedBytes: 2000 }
    assert.equal(smoothedGrowth(null, sample, later), 100)
    assert.equal(smoothedGrowth(200, sample, later), 170)
  })
})
