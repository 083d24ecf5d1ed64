import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { CopyTextSplitter } from '../../../../connectors/postgres-cdc/copy-text.ts'
import { isNull, TupleIndex } from '../../../../connectors/postgres-cdc/pgoutput.ts'

/** As the server escapes a value in COPY's text format. */
function escape(value: string | null): string {
  if (value === null) return '\\N'
  const named: Readonly<Record<string, string>> = {
    '\b': 'b',
    '\f': 'f',
    '\n': 'n',
    '\r': 'r',
    '\t': 't',
    '\v': 'v',
    '\\': '\\',
  }
  return value.replace(/[\b\f\n\r\t\v\\]/g, (char) => `\\${named[char]}`)
}

const value = fc.oneof(fc.constant(null), fc.string({ unit: 'binary' }), fc.constantFrom('\\N', '\\', '\t', '\n', 'N'))

suite('CopyTextSplitter', () => {
  test('rows come back, wherever the chunks are cut', () => {
    fc.assert(
      fc.property(
        fc
          .integer({ min: 1, max: 6 })
          .chain((width) => fc.array(fc.array(value, { minLength: width, maxLength: width }))),
        fc.array(fc.nat(40), { maxLength: 30 }),
        (rows, cuts) => {
          const text = Buffer.from(rows.map((row) => `${row.map(escape).join('\t')}\n`).join(''), 'utf8')
          const splitter = new CopyTextSplitter(16)
          let at = 0
          for (const cut of cuts) {
            splitter.push(text.subarray(at, Math.min(text.length, at + cut)))
            at = Math.min(text.length, at + cut)
          }
          splitter.push(text.subarray(at))
          assert.equal(splitter.rowCount, rows.length)
          const { bytes, tuples } = splitter.takeBlock()
          const index = new TupleIndex()
          const read = tuples.map((tuple) => {
            index.load(bytes, tuple)
            return Array.from({ length: index.columnCount }, (_, i) =>
              index.start(i) === isNull ? null : bytes.toString('utf8', index.start(i), index.end(i)),
            )
          })
          const utf8 = (v: string | null) => (v === null ? null : Buffer.from(v, 'utf8').toString('utf8'))
          assert.deepEqual(
            read,
            rows.map((row) => row.map(utf8)),
          )
          assert.equal(splitter.rowCount, 0)
        },
      ),
      { verbose: true },
    )
  })

  test('octal escapes are bytes', () => {
    const splitter = new CopyTextSplitter()
    splitter.push(Buffer.from('\\101\\7x\n'))
    const { bytes, tuples } = splitter.takeBlock()
    const index = new TupleIndex()
    index.load(bytes, tuples[0] ?? 0)
    assert.equal(bytes.toString('latin1', index.start(0), index.end(0)), 'A\x07x')
  })
})
