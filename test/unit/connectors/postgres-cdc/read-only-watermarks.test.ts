import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { lsn } from '../../../../connectors/postgres-cdc/lsn.ts'
import {
  PassedTransactions,
  parseSnapshot,
  reachableEnd,
} from '../../../../connectors/postgres-cdc/read-only-watermarks.ts'

const passed = (...ids: readonly number[]) => {
  const transactions = new PassedTransactions()
  for (const id of ids) transactions.add(id)
  return transactions
}

suite('watermarks of read-only incremental snapshots (statement P131)', () => {
  test('a passed transaction that the snapshot does not show holds the chunk back', () => {
    const visible = parseSnapshot('100:110:100,104')
    assert.equal(passed(99, 101, 109).allIn(visible), true)
    assert.equal(passed(104).allIn(visible), false, 'still running for the snapshot')
    assert.equal(passed(110).allIn(visible), false, 'younger than the snapshot')
  })

  test('ids of the stream have no epoch and wrap around', () => {
    const epoch = 5n << 32n
    const visible = parseSnapshot(`${epoch + 3n}:${epoch + 7n}:${epoch + 3n},${epoch + 5n}`)
    assert.equal(passed(0xffff_fff0, 4, 6).allIn(visible), true)
    assert.equal(passed(5).allIn(visible), false)
    assert.equal(passed(7).allIn(visible), false)
    const old = passed(0xffff_fff0, 4)
    old.forget(visible)
    assert.equal(old.size, 1)
  })

  test('what is forgotten is visible in every later snapshot', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(50)), fc.nat(50), fc.nat(20), fc.nat(20), (ids, xmin, width, later) => {
        const transactions = passed(...ids)
        transactions.forget({ xmin, xmax: xmin + width, running: new Set() })
        const next = { xmin: xmin + later, xmax: xmin + later + width, running: new Set<number>() }
        assert.equal(transactions.allIn(next), passed(...ids).allIn(next))
      }),
    )
  })

  test('many transactions are asked about, and not again at once when an old one keeps them', () => {
    const many = passed(...Array.from({ length: 10_001 }, (_, i) => i + 1))
    assert.equal(many.isLarge, true)
    many.forget({ xmin: 1, xmax: 20_000, running: new Set([1]) })
    assert.equal(many.size, 10_001)
    assert.equal(many.isLarge, false)
  })

  test('behind the header of an empty page stands the end of the page before', () => {
    for (const header of [24n, 40n]) assert.equal(reachableEnd(lsn(81920n + header), 8192), 81920n)
    assert.equal(reachableEnd(lsn(81920n + 41n), 8192), 81961n)
  })
})
