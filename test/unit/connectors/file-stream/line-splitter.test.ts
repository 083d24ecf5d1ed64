import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Line, LineSplitter } from '../../../../connectors/file-stream/line-splitter.ts'

function split(chunks: readonly Uint8Array[], position = 0n, maxCount = Infinity): readonly Line[] {
  const splitter = new LineSplitter(position)
  const lines: Line[] = []
  for (const chunk of chunks) {
    splitter.push(chunk)
    splitter.take(maxCount, lines)
  }
  return lines
}

const bytes = (text: string): Uint8Array => Buffer.from(text)

test('\\n, \\r and \\r\\n end a line; a \\r at the very end waits for what follows', () => {
  assert.deepEqual(
    split([bytes('a\nb\rc\r\n\n\rd\r')]).map(({ text, end }) => `${text}@${end}`),
    ['a@2', 'b@4', 'c@7', '@8', '@9'],
  )
  assert.deepEqual(
    split([bytes('d\r'), bytes('\ne\r'), bytes('f\n')]).map(({ text, end }) => `${text}@${end}`),
    ['d@3', 'e@5', 'f@7'],
  )
})

test('a chunk that is used again does not change lines that wait', () => {
  const splitter = new LineSplitter(0n)
  const chunk = Buffer.from('abc')
  splitter.push(chunk)
  chunk.fill('x')
  splitter.push(bytes('d\n'))
  const lines: Line[] = []
  splitter.take(9, lines)
  assert.equal(lines[0]?.text, 'abcd')
})

test('take stops at its count and goes on where it stopped', () => {
  const splitter = new LineSplitter(10n)
  splitter.push(bytes('a\nb\nc\n'))
  const lines: Line[] = []
  splitter.take(2, lines)
  assert.deepEqual([lines.length, splitter.position], [2, 14n])
  splitter.take(3, lines)
  assert.deepEqual([lines.length, splitter.position], [3, 16n])
})

test('property: however the bytes are cut, lines and positions are the same', () => {
  const piece = fc.oneof(fc.constantFrom('\n', '\r', '\r\n', ''), fc.string({ unit: 'grapheme', maxLength: 5 }))
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), fc.array(fc.nat(200), { maxLength: 10 }), (pieces, cuts) => {
      const whole = Buffer.from(`${pieces.join('')}\n`)
      const borders = [...new Set([0, ...cuts.map((cut) => cut % (whole.length + 1)), whole.length])].sort(
        (a, b) => a - b,
      )
      const chunks = borders.slice(1).map((border, i) => whole.subarray(borders[i], border))
      const lines = split(chunks)
      assert.deepEqual(lines, split([whole]))
      assert.deepEqual(
        lines.map(({ text }) => text),
        whole
          .toString('utf8')
          .split(/\r\n|\r|\n/)
          .slice(0, -1),
      )
      assert.equal(lines.at(-1)?.end, BigInt(whole.length))
    }),
    { verbose: 1 },
  )
})
