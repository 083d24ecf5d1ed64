import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AnswerReader } from '../../../../worker/kafka/answer-reader.ts'

/** One answer as it comes over the wire: its size, then bytes that tell it from others. */
function framed(size: number, seed: number): Buffer {
  const frame = Buffer.alloc(4 + size, seed & 255)
  frame.writeInt32BE(size, 0)
  frame.writeInt32BE(seed, 4)
  return frame
}

/** Writes the bytes as a socket would: what fits into the target, at most `readBytes` at a time. */
function feed(reader: AnswerReader, bytes: Buffer, readBytes: number): void {
  for (let at = 0; at < bytes.length; ) {
    const target = reader.target()
    assert.ok(target.length > 0)
    const count = bytes.copy(target, 0, at, Math.min(bytes.length, at + readBytes))
    at += count
    reader.advance(count)
  }
}

test('answers come whole and in order, wherever reads cut them, with storage that is used again', () => {
  const sizes = fc.array(fc.oneof(fc.integer({ min: 4, max: 200 }), fc.integer({ min: 10_000, max: 700_000 })), {
    minLength: 1,
    maxLength: 8,
  })
  fc.assert(
    fc.property(sizes, fc.integer({ min: 1, max: 300_000 }), fc.boolean(), (all, readBytes, givesBack) => {
      const frames = all.map((size, i) => framed(size, i * 7 + 1))
      let seen = 0
      const reader = new AnswerReader((answer) => {
        assert.ok(answer.equals(frames[seen]?.subarray(4) ?? Buffer.alloc(0)), `answer ${seen}`)
        seen++
        if (givesBack) reader.reuse(answer)
      })
      // Reads of a byte or two are for short streams: they would take long for megabytes.
      feed(reader, Buffer.concat(frames), Math.max(readBytes, Math.ceil(all.reduce((a, b) => a + b, 0) / 5_000)))
      assert.equal(seen, frames.length)
    }),
    { numRuns: 60 },
  )
})

test('storage is written over only after it was given back', () => {
  const answers: Buffer[] = []
  const reader = new AnswerReader((answer) => answers.push(answer))
  feed(reader, framed(300_000, 1), 64_000)
  feed(reader, framed(300_000, 2), 64_000)
  const [first, second] = answers
  assert.ok(first && second)
  assert.notEqual(first.buffer, second.buffer)
  reader.reuse(first)
  feed(reader, framed(290_000, 3), 64_000)
  assert.equal(answers[2]?.buffer, first.buffer)
  assert.equal(second.readInt32BE(0), 2, 'what was not given back stays')
  // Given back once, lent once: the second call is without effect.
  reader.reuse(second)
  reader.reuse(second)
  feed(reader, Buffer.concat([framed(300_000, 4), framed(300_000, 5)]), 64_000)
  assert.notEqual(answers[3]?.buffer, answers[4]?.buffer)
  assert.equal(answers[3]?.readInt32BE(0), 4)
})

test('an idle connection keeps no storage, and a broken one no half of an answer', () => {
  const answers: Buffer[] = []
  const reader = new AnswerReader((answer) => answers.push(answer))
  feed(reader, framed(300_000, 1), 64_000)
  const [first] = answers
  assert.ok(first)
  reader.reuse(first)
  reader.shrink()
  feed(reader, framed(300_000, 2), 64_000)
  assert.notEqual(answers[1]?.buffer, first.buffer)
  for (const cut of [2, 3_000, 100_000]) {
    feed(reader, framed(300_000, 3).subarray(0, cut), 64_000)
    reader.reset()
    feed(reader, framed(50, 4), 64_000)
    assert.equal(answers.at(-1)?.readInt32BE(0), 4)
  }
})

test('a size that no answer has ends the connection; a nonsensical one takes no memory before its bytes come', () => {
  const reader = new AnswerReader(() => undefined)
  assert.throws(() => feed(reader, Buffer.from([0, 0, 0, 3]), 4), { code: 'CONNECT_KAFKA_CORRUPT' })
  const http = new AnswerReader(() => undefined)
  feed(http, Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), 64)
  assert.ok(http.target().length <= 16 * 1024 * 1024)
})
