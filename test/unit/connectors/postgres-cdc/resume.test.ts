import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { lsn } from '../../../../connectors/postgres-cdc/lsn.ts'
import { confirmable, readOffset, StreamPosition, startOf } from '../../../../connectors/postgres-cdc/offsets.ts'
import { ResumeFilter } from '../../../../connectors/postgres-cdc/resume.ts'
import { TransactionMetadata } from '../../../../connectors/postgres-cdc/transaction-metadata.ts'
import type { SourceOffset } from '../../../../worker/api/record.ts'

interface Change {
  readonly id: string
  readonly at: bigint
}

interface Transaction {
  readonly xid: number
  readonly finalLsn: bigint
  readonly end: bigint
  readonly changes: readonly Change[]
}

/** Interleaved transactions in commit order; changes of one COPY share an LSN, and LSNs go back between transactions. */
const transactions: fc.Arbitrary<readonly Transaction[]> = fc
  .array(fc.record({ spread: fc.array(fc.nat(3), { minLength: 1, maxLength: 6 }), back: fc.nat(30), gap: fc.nat(2) }), {
    minLength: 1,
    maxLength: 6,
  })
  .map((specs) => {
    let end = 1000n
    return specs.map(({ spread, back, gap }, i) => {
      let at = end - BigInt(i === 0 ? 0 : back)
      const changes = spread.map((step, n) => {
        at += BigInt(step * 10)
        return { id: `${i}.${n}`, at }
      })
      const finalLsn = (at > end ? at : end) + BigInt(gap * 5)
      end = finalLsn + 20n
      return { xid: 700 + i, finalLsn, end, changes }
    })
  })

/** What the task does with the stream that the server sends from `startOf(stored)`; returns emitted ids with offsets. */
function run(
  stream: readonly Transaction[],
  offset: SourceOffset | null,
): readonly (readonly [string, SourceOffset])[] {
  const stored = offset === null ? null : readOffset(offset)
  const from = stored === null ? 0n : startOf(stored)
  const filter = new ResumeFilter(stored, null)
  const position = new StreamPosition(stored, lsn(from))
  const emitted: [string, SourceOffset][] = []
  for (const { xid, finalLsn, end, changes } of stream) {
    if (finalLsn < from) continue
    filter.begin({ finalLsn: lsn(finalLsn), xid, commitTimeUs: 0n })
    if (!filter.skipsCommit && !filter.positionMissing) position.begin(lsn(changes[0]?.at ?? finalLsn), xid, 0n)
    for (const { id, at } of changes) {
      if (!filter.admitsChange(lsn(at))) continue
      position.change(lsn(at), 'INSERT')
      emitted.push([id, position.offset()])
    }
    if (filter.skipsCommit) continue
    assert.equal(filter.positionMissing, false)
    position.commit(lsn(end))
  }
  return emitted
}

/** Every offset of a session, with how many changes it covers; behind some transactions the stream is idle. */
function offsetsWithIdle(stream: readonly Transaction[], idles: readonly boolean[]) {
  const position = new StreamPosition(null, lsn(0n))
  const offsets: (readonly [emitted: number, offset: SourceOffset])[] = []
  let emitted = 0
  for (const [i, { xid, end, changes }] of stream.entries()) {
    position.begin(lsn(changes[0]?.at ?? end), xid, 0n)
    for (const { at } of changes) {
      position.change(lsn(at), 'INSERT')
      emitted += 1
      offsets.push([emitted, position.offset()])
    }
    position.commit(lsn(end))
    if (idles[i] !== true) continue
    // Anywhere up to the next commit record.
    position.idle(lsn(stream[i + 1]?.finalLsn ?? end + 100n))
    offsets.push([emitted, position.offset()])
  }
  return offsets
}

suite('resume', () => {
  test('after any record, the rest comes exactly once and in order', () => {
    fc.assert(
      fc.property(transactions, fc.nat(), (stream, choice) => {
        const all = run(stream, null)
        const cut = choice % all.length
        const [, offset] = all[cut] as (typeof all)[number]
        const rest = run(stream, offset)
        assert.deepEqual(
          rest.map(([id]) => id),
          all.slice(cut + 1).map(([id]) => id),
        )
        // The same offsets, so a second crash is no different from the first. (An offset without lsn_commit is read
        // as if lsn_proc were it, which shows in the offsets of the same transaction.)
        const known = offset['lsn_commit'] === undefined ? { lsn_commit: null } : {}
        assert.deepEqual(
          rest.map(([, o]) => ({ ...o, ...known })),
          all.slice(cut + 1).map(([, o]) => ({ ...o, ...known })),
        )
      }),
      { verbose: true, numRuns: 1000 },
    )
  })

  test('what is confirmed never covers a record that was not emitted (I1)', () => {
    fc.assert(
      fc.property(transactions, fc.nat(), (stream, choice) => {
        const all = run(stream, null)
        const cut = choice % all.length
        const confirmed = confirmable((all[cut] as (typeof all)[number])[1])
        assert.ok(confirmed !== null)
        const forgotten = stream.filter((t) => t.finalLsn < confirmed).flatMap((t) => t.changes.map((c) => c.id))
        const emitted = all.slice(0, cut + 1).map(([id]) => id)
        assert.deepEqual(
          forgotten.filter((id) => !emitted.includes(id)),
          [],
        )
      }),
      { verbose: true },
    )
  })

  test('idle advances between transactions: whatever of them is durable and confirmed, the rest comes exactly once', () => {
    fc.assert(
      fc.property(transactions, fc.array(fc.boolean(), { maxLength: 6 }), fc.nat(), (stream, idles, choice) => {
        const offsets = offsetsWithIdle(stream, idles)
        const [emitted, offset] = offsets[choice % offsets.length] as (typeof offsets)[number]
        const confirmed = confirmable(offset)
        assert.ok(confirmed !== null && confirmed <= startOf(readOffset(offset) ?? assert.fail()))
        // The server sends nothing that was confirmed, whatever it is asked for.
        const sent = stream.filter(({ finalLsn }) => finalLsn >= confirmed)
        assert.deepEqual(
          run(sent, offset).map(([id]) => id),
          stream.flatMap(({ changes }) => changes.map(({ id }) => id)).slice(emitted),
        )
      }),
      { verbose: true, numRuns: 1000 },
    )
  })

  test('what an offset lets the server forget is never less than before, also within a transaction (I2)', () => {
    fc.assert(
      fc.property(transactions, fc.array(fc.boolean(), { maxLength: 6 }), fc.nat(), (stream, idles, choice) => {
        const offsets = offsetsWithIdle(stream, idles).map(([, offset]) => offset)
        const [, resumedAt] = offsetsWithIdle(stream, idles)[choice % offsets.length] as [number, SourceOffset]
        const resumed = run(stream, resumedAt).map(([, offset]) => offset)
        const known = (offset: SourceOffset) => confirmable(offset) ?? assert.fail()
        for (const session of [offsets, [resumedAt, ...resumed]])
          for (const [i, offset] of session.entries())
            assert.ok(i === 0 || known(offset) >= known(session[i - 1] as SourceOffset), JSON.stringify(i))
      }),
      { verbose: true, numRuns: 1000 },
    )
  })

  test('an offset of a finished snapshot lets everything through', () => {
    const stored = readOffset({ lsn: 5000n, snapshot: 'INITIAL', last_snapshot_record: true, snapshot_completed: true })
    assert.equal(stored?.snapshotUnfinished, false)
    const filter = new ResumeFilter(stored, null)
    assert.equal(filter.begin({ finalLsn: lsn(5000n), xid: 7, commitTimeUs: 0n }), true)
    assert.equal(filter.admitsChange(lsn(100n)), true)
  })

  test('offsets of older versions are read', () => {
    assert.equal(readOffset({ lsn: 1, snapshot: true, last_snapshot_record: true })?.snapshotUnfinished, false)
    assert.equal(readOffset({ lsn: 1, snapshot: true })?.snapshotUnfinished, true)
    assert.equal(readOffset({ lsn: 9, lsn_proc: 8 })?.lsnCommit, 8n)
    assert.equal(readOffset({ server: 'x' }), null)
  })

  test('a position that does not come in its transaction is noticed, and the transaction then emitted whole', () => {
    const stored = readOffset({ lsn: 50n, lsn_proc: 50n, lsn_commit: 10n, txId: 7, messageType: 'INSERT' })
    const begin = { finalLsn: lsn(60n), xid: 7, commitTimeUs: 0n }
    const filter = new ResumeFilter(stored, null)
    filter.begin(begin)
    assert.equal(filter.admitsChange(lsn(40n)), false)
    assert.equal(filter.positionMissing, true)
    const again = new ResumeFilter(stored, 7)
    again.begin(begin)
    assert.equal(again.admitsChange(lsn(40n)), true)
  })

  test('an idle advance is complete without being a commit: restarts neither repeat nor rename one', () => {
    const position = new StreamPosition(null, lsn(100n))
    position.begin(lsn(200n), 7, 1n)
    position.change(lsn(200n), 'INSERT')
    position.commit(lsn(300n))
    position.idle(lsn(900n))
    const offset = position.offset()
    assert.deepEqual([offset['lsn'], offset['lsn_proc'], offset['lsn_commit']], [900n, 900n, 300n])
    assert.equal(confirmable(offset), 900n)
    const stored = readOffset(offset)
    assert.equal(new StreamPosition(stored, lsn(900n)).lsnCommit, 300n)
    const filter = new ResumeFilter(stored, null)
    filter.begin({ finalLsn: lsn(880n), xid: 8, commitTimeUs: 0n })
    assert.equal(filter.skipsCommit, true)
    assert.equal(filter.begin({ finalLsn: lsn(900n), xid: 9, commitTimeUs: 0n }), true)
    assert.equal(filter.admitsChange(lsn(895n)), true)
    position.idle(lsn(800n))
    assert.equal(position.lsn, 900n)
  })

  test('what a signal reads while others write to the server names the last event (P131)', () => {
    const position = new StreamPosition(null, lsn(100n))
    position.begin(lsn(200n), 7, 1n)
    position.change(lsn(200n), 'INSERT')
    position.commit(lsn(300n))
    position.idle(lsn(900n))
    assert.equal(position.eventLsn, 300n)
    position.begin(lsn(950n), 8, 1n)
    assert.equal(position.eventLsn, 950n)
  })

  test('a message within a transaction is the last thing processed; the offset of an END lets nothing of it go on', () => {
    const position = new StreamPosition(null, lsn(100n))
    position.begin(lsn(200n), 7, 1n)
    position.change(lsn(200n), 'INSERT')
    position.transactionalMessage(lsn(240n))
    const { lsn: at, lsn_proc, lsn_events_processed, messageType } = position.offset()
    assert.deepEqual([at, lsn_proc, lsn_events_processed, messageType], [240n, 240n, 1, 'MESSAGE'])
    const filter = new ResumeFilter(readOffset(position.offset()), null)
    filter.begin({ finalLsn: lsn(290n), xid: 7, commitTimeUs: 0n })
    assert.deepEqual([filter.admitsChange(lsn(200n)), filter.admitsMessage(lsn(240n), true)], [false, false])
    assert.equal(filter.admitsChange(lsn(260n)), true)

    position.commit(lsn(300n))
    const metadata = new TransactionMetadata({ topic: 't', partition: {} }, position)
    position.transactionId = '7'
    position.transactionCounts.set('public.t', 1)
    const end = metadata.end(7, lsn(300n), 1)
    assert.equal(end.sourceOffset['transaction_id'], '7')
    assert.equal(end.sourceOffset['transaction_data_collection_order_public.t'], 1)
    assert.equal(position.offset()['transaction_id'], undefined)
    const stored = readOffset(end.sourceOffset)
    assert.deepEqual([stored?.transactionId, stored?.transactionCounts.size], [null, 0])
  })

  test('messages outside transactions are skipped up to the last commit', () => {
    const filter = new ResumeFilter(
      readOffset({ lsn: 20n, lsn_proc: 20n, lsn_commit: 20n, messageType: 'MESSAGE' }),
      null,
    )
    assert.deepEqual(
      [20n, 21n].map((at) => filter.admitsMessage(lsn(at), false)),
      [false, true],
    )
  })
})
