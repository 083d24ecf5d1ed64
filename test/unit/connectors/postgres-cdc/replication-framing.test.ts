/** Messages of the walsender survive however the network cuts them. */
import assert from 'node:assert/strict'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import fc from 'fast-check'
import type pg from 'pg'
import { lsn } from '../../../../connectors/postgres-cdc/lsn.ts'
import { ReplicationStream } from '../../../../connectors/postgres-cdc/replication-stream.ts'
import { systemClock } from '../../../../worker/util/clock.ts'
import { testSeed } from '../../../support/seed.ts'

const silent = {
  trace: () => undefined,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}
const copyBoth = Buffer.from([0x57, 0, 0, 0, 7, 0, 0, 0])

/** An XLogData message whose body names its number. */
function xlogData(number: number, bodyBytes: number): Buffer {
  const message = Buffer.alloc(30 + bodyBytes, number & 0xff)
  message[0] = 0x64
  message.writeUInt32BE(29 + bodyBytes, 1)
  message[5] = 0x77
  message.writeBigUInt64BE(BigInt(number), 6)
  message.writeBigUInt64BE(BigInt(number), 14)
  message.writeBigInt64BE(0n, 22)
  return message
}

async function openStream(): Promise<{ readonly stream: ReplicationStream; readonly socket: Duplex }> {
  const socket = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() })
  const client = { connection: { stream: socket }, end: async () => undefined } as unknown as pg.Client
  const opening = ReplicationStream.start(client, {
    slot: 's',
    publication: 'p',
    startLsn: lsn(0n),
    parameters: {},
    logicalMessages: false,
    maxBytes: 1 << 20,
    maxMessages: 1000,
    statusIntervalMs: 10_000,
    serverTimeoutMs: 60_000,
    clock: systemClock,
    logger: silent,
  })
  socket.emit('data', copyBoth)
  return { stream: await opening, socket }
}

test('messages come whole and in order, wherever reads cut them', async (t) => {
  const seed = testSeed
  t.diagnostic(`seed ${seed}`)
  const bodies = fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 20 })
  const cuts = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 40 })
  await fc.assert(
    fc.asyncProperty(bodies, cuts, async (sizes, lengths) => {
      const { stream, socket } = await openStream()
      const sent = Buffer.concat(sizes.map((size, number) => xlogData(number, size)))
      for (let at = 0, turn = 0; at < sent.length; turn++) {
        const length = lengths[turn % lengths.length] ?? 1
        socket.emit('data', sent.subarray(at, at + length))
        at += length
      }
      const received: Buffer[] = []
      let count = 0
      for (let segment = stream.take(); segment !== null; segment = stream.take()) {
        received.push(segment.bytes.subarray(segment.start, segment.end))
        count += segment.count
      }
      socket.destroy()
      await stream[Symbol.asyncDispose]()
      assert.equal(count, sizes.length)
      assert.ok(Buffer.concat(received).equals(sent))
    }),
    { seed, numRuns: 200 },
  )
})
