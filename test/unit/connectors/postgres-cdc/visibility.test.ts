import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Database } from '../../../../connectors/postgres-cdc/connection.ts'
import { requireVisible, untilVisible } from '../../../../connectors/postgres-cdc/visibility.ts'
import type { Clock } from '../../../../worker/api/context.ts'
import { RetriableError } from '../../../../worker/api/errors.ts'

/** Answers with these snapshots, the last one again and again; time passes by sleeping only. */
function server(snapshots: readonly string[]) {
  let asked = 0
  let ms = 0
  const database = {
    rows: async () => [{ snapshot: snapshots[Math.min(asked++, snapshots.length - 1)] }],
  } as unknown as Database
  const clock: Clock = {
    now: () => ms,
    monotonicMs: () => ms,
    sleep: async (pause) => {
      ms += pause
    },
  }
  return { services: { database, clock }, asked: () => asked, ms: () => ms }
}

suite('transactions that show to queries', () => {
  test('one that is committed costs one question, none of them none', async () => {
    const { services, asked } = server(['100:105:102'])
    assert.equal(await untilVisible(new Set([101, 104]), services), true)
    assert.equal(asked(), 1)
    assert.equal(await untilVisible(new Set(), services), true)
    assert.equal(asked(), 1)
  })

  test('one that runs, or is yet to come, is waited for', async () => {
    const { services, asked } = server(['100:105:102,103', '100:105:103', '100:106:103', '104:106:'])
    assert.equal(await untilVisible(new Set([102, 105, 103]), services), true)
    assert.equal(asked(), 4)
  })

  test('numbers are compared by their 32 bits, which go round', async () => {
    const turn = 2n ** 32n
    const { services, asked } = server([`${turn - 1n}:${turn + 3n}:${turn + 1n}`, `${turn}:${turn + 3n}:`])
    assert.equal(await untilVisible(new Set([0, 4_294_967_295]), services), true)
    assert.equal(asked(), 1)
    assert.equal(
      await untilVisible(new Set([1]), server([`${turn}:${turn + 3n}:${turn + 1n}`, `${turn}:${turn + 3n}:`]).services),
      true,
    )
    assert.equal(await untilVisible(new Set([3]), services), false)
  })

  test('a commit that is held back is waited for for five seconds', async () => {
    const { services, asked, ms } = server(['100:105:102'])
    assert.equal(await untilVisible(new Set([102]), services), false)
    assert.ok(ms() >= 5000 && ms() < 5200, `${ms()} ms`)
    assert.ok(asked() < 70, `${asked()} questions`)
  })
  test('a table is not described by a catalog that does not show who announced it', async () => {
    await requireVisible(102, server(['100:105:102', '103:105:']).services)
    const { services, ms } = server(['100:105:102'])
    await assert.rejects(
      requireVisible(102, services),
      (error) =>
        error instanceof RetriableError &&
        error.code === 'CONNECT_POSTGRES_BUSY' &&
        /Transaction 102 .* synchronous standby/.test(error.message),
    )
    assert.ok(ms() < 5200, `${ms()} ms`)
  })
})
