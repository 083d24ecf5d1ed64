/** Builds pgoutput messages and the frames around them, for tests. */

export type CellText = string | null | undefined

const int16 = (n: number) => {
  const b = Buffer.alloc(2)
  b.writeUInt16BE(n)
  return b
}
const int32 = (n: number) => {
  const b = Buffer.alloc(4)
  b.writeInt32BE(n | 0)
  return b
}
const int64 = (n: bigint) => {
  const b = Buffer.alloc(8)
  b.writeBigInt64BE(BigInt.asIntN(64, n))
  return b
}
const text = (s: string) => Buffer.from(`${s}\0`)

/** `null` is null, `undefined` an unchanged TOAST value. */
export function tuple(cells: readonly CellText[]): Buffer {
  const parts = cells.map((cell) => {
    if (cell === null) return Buffer.from('n')
    if (cell === undefined) return Buffer.from('u')
    const bytes = Buffer.from(cell, 'utf8')
    return Buffer.concat([Buffer.from('t'), int32(bytes.length), bytes])
  })
  return Buffer.concat([int16(cells.length), ...parts])
}

export const begin = (finalLsn: bigint, xid: number, us = 0n): Buffer =>
  Buffer.concat([Buffer.from('B'), int64(finalLsn), int64(us), int32(xid)])

export const commit = (lsn: bigint, end: bigint): Buffer =>
  Buffer.concat([Buffer.from('C'), Buffer.alloc(1), int64(lsn), int64(end), int64(0n)])

export const origin = (lsn: bigint, name: string): Buffer => Buffer.concat([Buffer.from('O'), int64(lsn), text(name)])

/** A logical message outside of transactions. */
export const freeMessage = (lsn: bigint, prefix: string, content: string): Buffer =>
  Buffer.concat([Buffer.from('M\0'), int64(lsn), text(prefix), int32(Buffer.byteLength(content)), Buffer.from(content)])

export interface ColumnSpec {
  readonly name: string
  readonly oid: number
  readonly typmod?: number
  readonly key?: boolean
}

export const relation = (oid: number, schema: string, table: string, columns: readonly ColumnSpec[]): Buffer =>
  Buffer.concat([
    Buffer.from('R'),
    int32(oid),
    text(schema),
    text(table),
    Buffer.from('d'),
    int16(columns.length),
    ...columns.flatMap((c) => [
      Buffer.from([c.key === true ? 1 : 0]),
      text(c.name),
      int32(c.oid),
      int32(c.typmod ?? -1),
    ]),
  ])

export const insert = (oid: number, row: readonly CellText[]): Buffer =>
  Buffer.concat([Buffer.from('I'), int32(oid), Buffer.from('N'), tuple(row)])

export const update = (
  oid: number,
  old: { readonly kind: 'K' | 'O'; readonly row: readonly CellText[] } | null,
  row: readonly CellText[],
): Buffer =>
  Buffer.concat([
    Buffer.from('U'),
    int32(oid),
    ...(old === null ? [] : [Buffer.from(old.kind), tuple(old.row)]),
    Buffer.from('N'),
    tuple(row),
  ])

export const remove = (oid: number, kind: 'K' | 'O', row: readonly CellText[]): Buffer =>
  Buffer.concat([Buffer.from('D'), int32(oid), Buffer.from(kind), tuple(row)])

/** A CopyData frame with XLogData around a message. */
export function xlogData(lsn: bigint, message: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from('w'), int64(lsn), int64(lsn), int64(0n), message])
  return Buffer.concat([Buffer.from('d'), int32(body.length + 4), body])
}
