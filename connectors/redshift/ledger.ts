import { hash } from 'node:crypto'
import { directoriesOf, directoryOf, type FileMessage, type PendingFile, recordsOf } from './pending-file.ts'
import { literal, optionalLiteral, qualified, type TableName } from './sql.ts'

/**
 * The ledger remembers which file sets a table holds. Its rows are written in the transaction of the COPY, so data
 * and memory are both there or both not, whatever happens to the loader (exactly-once in effect).
 */
export function createLedger(ledger: TableName): string {
  return (
    `CREATE TABLE IF NOT EXISTS ${qualified(ledger)} (file_id VARCHAR(64) NOT NULL, connector VARCHAR(255), ` +
    'bucket VARCHAR(255), object_key VARCHAR(4096), src_directory VARCHAR(4096), etag VARCHAR(128), src_topic VARCHAR(255), ' +
    'src_partition INT, first_offset BIGINT, last_offset BIGINT, record_count BIGINT, bytes BIGINT, ' +
    'content_hash DECIMAL(38,0), min_ts BIGINT, max_ts BIGINT, batch_id VARCHAR(64), ' +
    'loaded_at TIMESTAMP DEFAULT SYSDATE) SORTKEY(loaded_at)'
  )
}

/** Exclusive, and first in each load: a snapshot taken before the lock would miss the rows of a concurrent loader. */
export function lockLedger(ledger: TableName): string {
  return `LOCK TABLE ${qualified(ledger)}`
}

/** Rows of the ledger that concern these sets: the same ids, or overlapping offsets in their directories. */
function concerns(messages: readonly FileMessage[], withOverlaps: boolean): string {
  const ids = messages.map((m) => literal(m.id)).join(',')
  const conditions = [`file_id IN (${ids})`]
  if (withOverlaps) {
    for (const message of messages) {
      if (message.source === null) continue
      const { topic, partition, firstOffset, lastOffset } = message.source
      const directories = directoriesOf(message).map(literal).join(',')
      conditions.push(
        `(src_topic=${literal(topic)} AND src_partition=${partition} AND src_directory IN (${directories}) ` +
          `AND first_offset<=${lastOffset} AND last_offset>=${firstOffset})`,
      )
    }
  }
  return conditions.join(' OR ')
}

/**
 * Fails by a division by zero unless what the ledger knows about these sets is what the loader has seen already: the
 * only way to stop a transaction from inside a batch of statements. What was seen are rows of other ids, compared by
 * their number and the sum of 60 bits of their ids' hashes, since there may be thousands.
 */
export function guard(
  ledger: TableName,
  messages: readonly FileMessage[],
  options: { readonly withOverlaps: boolean; readonly seen: readonly { readonly fileId: string }[] },
): string {
  const { seen, withOverlaps } = options
  const ids = seen.reduce((sum, { fileId }) => sum + BigInt(`0x${hash('md5', fileId).slice(0, 15)}`), 0n)
  const same = seen.length === 0 ? '' : ` AND SUM(CAST(STRTOL(LEFT(MD5(file_id),15),16) AS DECIMAL(38,0)))=${ids}`
  const isAsSeen = `COUNT(*)=${seen.length}${same}`
  const where = concerns(messages, withOverlaps || seen.length > 0)
  return `SELECT 1/(CASE WHEN ${isAsSeen} THEN 1 ELSE 0 END) FROM ${qualified(ledger)} WHERE ${where}`
}

export function selectLedger(ledger: TableName, messages: readonly FileMessage[]): string {
  // The Data API hands int8 out as a JSON number, which a double would round beyond 2^53.
  const columns =
    'file_id, src_topic, src_partition, src_directory, first_offset::VARCHAR, last_offset::VARCHAR, object_key'
  return `SELECT ${columns} FROM ${qualified(ledger)} WHERE ${concerns(messages, true)}`
}

/** The topics whose rows a table has, as far as the ledger remembers. */
export function selectTopics(ledger: TableName): string {
  return `SELECT DISTINCT src_topic FROM ${qualified(ledger)} WHERE src_topic IS NOT NULL`
}

/** One row per file set and directory. */
export function insertLedger(
  ledger: TableName,
  messages: readonly FileMessage[],
  { connector, batch }: { readonly connector: string; readonly batch: string },
): string {
  const rows: string[] = []
  for (const message of messages) {
    const { source } = message
    for (const directory of directoriesOf(message)) {
      const files = message.files.filter((f) => directoryOf(f) === directory)
      const first = files[0]
      if (first === undefined) continue
      const bytes = files.reduce((sum, f) => sum + f.bytes, 0)
      const values = [
        literal(message.id),
        literal(connector),
        literal(first.bucket),
        literal(first.key),
        literal(directory),
        optionalLiteral(first.etag),
        optionalLiteral(source?.topic ?? null),
        optionalNumber(source?.partition),
        optionalNumber(source?.firstOffset),
        optionalNumber(source?.lastOffset),
        optionalNumber(recordsOf({ files })),
        String(bytes),
        sumOfHashes(files),
        optionalNumber(source?.minTs),
        optionalNumber(source?.maxTs),
        literal(batch),
      ]
      rows.push(`(${values.join(',')})`)
    }
  }
  const columns =
    'file_id, connector, bucket, object_key, src_directory, etag, src_topic, src_partition, first_offset, last_offset, ' +
    'record_count, bytes, content_hash, min_ts, max_ts, batch_id'
  return `INSERT INTO ${qualified(ledger)} (${columns}) VALUES ${rows.join(',')}`
}

const optionalNumber = (value: number | bigint | null | undefined) => String(value ?? 'NULL')

/** The files' content hashes are sums over rows, so they add up; NULL when one is not known. */
function sumOfHashes(files: readonly PendingFile[]): string {
  let sum = 0n
  for (const { contentHash } of files) {
    if (contentHash === null) return 'NULL'
    sum += BigInt(contentHash)
  }
  return sum.toString()
}

/**
 * Forgets what was loaded long ago: by then the metadata topic must not hold its messages any more.
 * @param retentionMs whole seconds count
 */
export function purgeLedger(ledger: TableName, retentionMs: number): string {
  const seconds = Math.ceil(retentionMs / 1000)
  return `DELETE FROM ${qualified(ledger)} WHERE loaded_at < SYSDATE - INTERVAL '${seconds} seconds'`
}

/** A loaded set, or one whose offsets overlap with a candidate. */
export interface LedgerRow {
  readonly fileId: string
  readonly topic: string
  readonly partition: number
  readonly directory: string
  readonly firstOffset: bigint
  readonly lastOffset: bigint
  readonly objectKey: string
}
