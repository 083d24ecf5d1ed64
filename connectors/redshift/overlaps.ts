import { ConnectError } from '../../worker/api/errors.ts'
import type { LedgerRow } from './ledger.ts'
import { directoriesOf, type FileMessage } from './pending-file.ts'

/**
 * Files of one directory whose offsets overlap with those of loaded files: the same records in another cut, as the
 * clock or a changed configuration makes them (statement R48). Different directories of one source partition
 * interleave legitimately and are never compared.
 */

/** What a row of a ledger says of the offsets in a directory; those of files without offsets hold none. */
export type LoadedRange = Pick<LedgerRow, 'fileId' | 'topic' | 'partition' | 'directory' | 'firstOffset' | 'lastOffset'>

/** Rows of the ledger that hold offsets of this set, in its directories, under another id. */
export function overlappingRows<T extends LoadedRange>(message: FileMessage, known: readonly T[]): readonly T[] {
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

/**
 * Whether loaded files hold every offset of the set in each of its directories: those of one directory say nothing of
 * what lies in another.
 */
export function isCovered(message: FileMessage, rows: readonly LoadedRange[]): boolean {
  const { source } = message
  if (source === null) return false
  return directoriesOf(message).every((directory) =>
    mergedRanges(rows.filter((row) => row.directory === directory)).some(
      ({ first, last }) => first <= source.firstOffset && last >= source.lastOffset,
    ),
  )
}

/** The offsets of the rows as few ranges, in order: a replay with greater files overlaps with thousands of rows. */
export function mergedRanges(
  rows: readonly Pick<LedgerRow, 'firstOffset' | 'lastOffset'>[],
): readonly { readonly first: bigint; readonly last: bigint }[] {
  const merged: { first: bigint; last: bigint }[] = []
  for (const { firstOffset, lastOffset } of rows.toSorted((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1))) {
    const before = merged.at(-1)
    if (before === undefined || firstOffset > before.last + 1n) merged.push({ first: firstOffset, last: lastOffset })
    else if (lastOffset > before.last) before.last = lastOffset
  }
  return merged
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
