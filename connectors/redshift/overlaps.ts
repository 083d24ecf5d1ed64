import { ConnectError } from '../../worker/api/errors.ts'
import type { LedgerRow } from './ledger.ts'
import { directoriesOf, type FileMessage } from './pending-file.ts'

/**
 * Files of one directory whose offsets overlap with those of loaded files: the same records in another cut, as the
 * clock or a changed configuration makes them (statement R48). Different directories of one source partition
 * interleave legitimately and are never compared.
 */

/** Rows of the ledger that hold offsets of this set, in its directories, under another id. */
export function overlappingRows(message: FileMessage, known: readonly LedgerRow[]): readonly LedgerRow[] {
  if (message.source === null) return []
  const { topic, partition, firstOffset, lastOffset } = message.source
  const directories = directoriesOf(message)
  return known.filter(
    (row) =>
      row.fileId !== message.id &&
      row.topic === topic &&
      row.partition === partition &&
      directories.includes(row.directory) &&
      row.firstOffset <= lastOffset &&
      row.lastOffset >= firstOffset,
  )
}

/** Whether the ranges together hold every offset of the set. */
export function isCovered({ source }: FileMessage, rows: readonly LedgerRow[]): boolean {
  if (source === null) return false
  let next = source.firstOffset
  const sorted = [...rows].sort((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1))
  for (const row of sorted) {
    if (row.firstOffset > next) return false
    if (row.lastOffset >= next) next = row.lastOffset + 1n
  }
  return next > source.lastOffset
}

/** Whether its rows tell which of them are loaded already. */
export function canBeFiltered(message: FileMessage): boolean {
  const fields = message.metaFields
  return fields.includes('__partition') && fields.includes('__offset') && directoriesOf(message).length === 1
}

/** The set may not be loaded, and nothing can be left out of it. */
export function overlapError(
  { source, files }: FileMessage,
  { table, rows, policy }: { readonly table: string; readonly rows: readonly LedgerRow[]; readonly policy: string },
): ConnectError {
  const ranges = rows.map((row) => `${row.firstOffset}-${row.lastOffset} (${row.objectKey})`).join(', ')
  const own = `${source?.topic}-${source?.partition} ${source?.firstOffset}-${source?.lastOffset}`
  const why = policy === 'filter' ? ', and its rows cannot be filtered (__partition, __offset, one directory)' : ''
  const message = `${files[0]?.key} holds ${own}; ${table} has ${ranges} already${why}`
  return new ConnectError('fatal', 'CONNECT_REDSHIFT_OVERLAP', message)
}
