import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { formatLsn, lsn, parseLsn } from '../../../../connectors/postgres-cdc/lsn.ts'
import { liveness, statusMessage } from '../../../../connectors/postgres-cdc/replication-stream.ts'

suite('liveness', () => {
  const base = { lastReceivedMs: 0, lastSentMs: 0, paused: false, statusIntervalMs: 10_000, serverTimeoutMs: 60_000 }

  test('a status goes out at every interval, and never later than half the server timeout', () => {
    fc.assert(
      fc.property(
        fc.nat(100_000),
        fc.integer({ min: 1, max: 100_000 }),
        fc.nat(100_000),
        fc.boolean(),
        (now, interval, timeout, paused) => {
          const input = {
            ...base,
            nowMs: now,
            lastReceivedMs: now,
            statusIntervalMs: interval,
            serverTimeoutMs: timeout,
            paused,
          }
          const due = now >= interval || (timeout > 0 && now >= timeout / 2)
          assert.equal(liveness(input), due ? 'send' : 'wait')
        },
      ),
      { verbose: true },
    )
  })

  test('silence of two timeouts is the end, unless reading is held back or the timeout is off', () => {
    const silent = { ...base, nowMs: 120_001, lastSentMs: 120_001 }
    assert.equal(liveness(silent), 'dead')
    assert.equal(liveness({ ...silent, nowMs: 120_000 }), 'wait')
    assert.equal(liveness({ ...silent, paused: true }), 'wait')
    assert.equal(liveness({ ...silent, serverTimeoutMs: 0 }), 'wait')
  })
})

suite('status message', () => {
  test('flushed and applied are the confirmed position as it is, with nothing added', () => {
    const message = statusMessage(lsn(0x2_0000_0010n), lsn(0x1_0000_0020n), 946_684_800_001)
    assert.equal(message.readUInt32BE(1), message.length - 1)
    assert.deepEqual(
      [6, 14, 22].map((at) => message.readBigUInt64BE(at)),
      [0x2_0000_0010n, 0x1_0000_0020n, 0x1_0000_0020n],
    )
    assert.equal(message.readBigInt64BE(30), 1000n)
    assert.equal(message[38], 0)
  })
})

suite('LSN text', () => {
  test('survives a round trip', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (value) => {
        assert.equal(parseLsn(formatLsn(lsn(value))), value)
      }),
      { verbose: true },
    )
    assert.equal(formatLsn(parseLsn('16/b374d848')), '16/B374D848')
    assert.throws(() => parseLsn('x'), RangeError)
  })
})
