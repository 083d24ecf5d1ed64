import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { awsKeysOf, sdkCredentials } from '../../../connectors/common/aws-credentials.ts'
import type { RedshiftSinkConfig } from '../../../connectors/redshift/config-options.ts'
import type { FileMessage } from '../../../connectors/redshift/pending-file.ts'
import { qualified } from '../../../connectors/redshift/sql.ts'
import { parseJson } from '../../util/json.ts'
import type { Announced } from './announced-check.ts'
import { type Finding, some } from './finding.ts'
import { type LedgeredTable, nameOf, type Warehouse } from './target.ts'

/** Offsets of one bucket are compared one by one only when the bucket differs. */
const bucketSize = 1000n

/** A row as the sink is to leave it: where its record came from. */
interface Origin {
  readonly partition: number
  readonly offset: bigint
}

/** Offsets by `partition:bucket`. */
type Buckets = ReadonlyMap<string, ReadonlySet<bigint>>

/**
 * Files ↔ table, row by row: the records in the announced files against the rows, by `__partition` and `__offset`.
 * With `insert.mode=upsert` the files are folded by key first. Reads every file; memory is that of the offsets.
 */
export async function checkFiles(
  warehouse: Warehouse,
  table: LedgeredTable,
  announced: readonly Announced[],
): Promise<Finding> {
  const what = `files → ${nameOf(table.target)}`
  const messages = announced.filter((each) => each.table === table.target.table).map(({ message }) => message)
  const refusal = await reasonNotToCompare(warehouse, table, messages)
  if (refusal !== null) return { what, figures: { files: messages.length }, differences: [], notes: [refusal] }
  const expected = toBuckets(await readOrigins(warehouse.config, messages))
  const counts = await countBuckets(warehouse, table)
  const missing: string[] = []
  const extra: string[] = []
  for (const bucket of new Set([...expected.keys(), ...counts.keys()])) {
    const wanted = expected.get(bucket) ?? new Set<bigint>()
    const found = counts.get(bucket)
    if (found !== undefined && found.rows === BigInt(wanted.size) && found.sum === sumOf(wanted)) continue
    const present = await readBucket(warehouse, table, bucket)
    const [partition] = bucket.split(':')
    for (const offset of wanted) if (!present.has(offset)) missing.push(`${partition}-${offset}`)
    for (const [offset, rows] of present) {
      if (!wanted.has(offset)) extra.push(`${partition}-${offset}`)
      else if (rows > 1) extra.push(`${partition}-${offset} (${rows} times)`)
    }
  }
  const differences: string[] = []
  if (missing.length > 0) differences.push(`${missing.length} rows are missing: ${some(missing, 20)}`)
  if (extra.length > 0) differences.push(`${extra.length} rows are too many: ${some(extra, 20)}`)
  const rows = [...expected.values()].reduce((sum, { size }) => sum + size, 0)
  return { what, figures: { files: messages.length, 'rows expected': rows }, differences, notes: [] }
}

async function reasonNotToCompare(
  warehouse: Warehouse,
  { target }: LedgeredTable,
  messages: readonly FileMessage[],
): Promise<string | null> {
  const other = messages.find(({ format }) => format !== 'json')
  if (other !== undefined) return `files of format ${other.format} are not compared row by row`
  const needed = ['__partition', '__offset']
  const plain = messages.find(({ metaFields }) => needed.some((field) => !metaFields.includes(field)))
  const columns = await warehouse.columnsOf(target)
  if (plain === undefined && needed.every((column) => columns.has(column))) return null
  return 'rows carry no __partition and __offset (format.output.meta.fields), so they are not compared one by one'
}

/** Where the rows come from that the table should have, each once. */
async function readOrigins(config: RedshiftSinkConfig, messages: readonly FileMessage[]): Promise<Iterable<Origin>> {
  const keys = config['insert.mode'].toLowerCase() === 'upsert' ? config['pk.fields'] : null
  const origins = new Map<string, Origin & { readonly isDeleted: boolean }>()
  for await (const row of readRows(config, messages)) {
    const origin = { partition: Number(row['__partition']), offset: BigInt(String(row['__offset'])) }
    const isDeleted = row['__op'] === 'd'
    const identity =
      keys === null ? `${origin.partition}:${origin.offset}` : JSON.stringify(keys.map((key) => String(row[key])))
    if (keys !== null && isDeleted && !config['delete.enabled']) continue
    const known = origins.get(identity)
    // Keys have one source partition in topics that are keyed by them; then the offset is what orders their rows.
    if (known === undefined || known.offset < origin.offset) origins.set(identity, { ...origin, isDeleted })
  }
  return origins.values().filter(({ isDeleted }) => keys === null || !isDeleted)
}

async function* readRows(
  config: RedshiftSinkConfig,
  messages: readonly FileMessage[],
): AsyncGenerator<Readonly<Record<string, unknown>>> {
  const { GetObjectCommand, S3Client } = await import('@aws-sdk/client-s3')
  const endpoint = config['s3.endpoint']
  const keys = awsKeysOf(config)
  const client = new S3Client({
    region: config['aws.region'],
    ...(endpoint === '' ? {} : { endpoint, forcePathStyle: true }),
    ...(keys === null ? {} : { credentials: sdkCredentials(keys) }),
  })
  try {
    for (const { files, compression } of messages) {
      for (const { bucket, key } of files) {
        const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }))
        const bytes = (await Body?.transformToByteArray()) ?? new Uint8Array()
        const text = decompress(bytes, compression).toString('utf8')
        for (const line of text.split('\n')) {
          if (line !== '') yield parseJson(line) as Readonly<Record<string, unknown>>
        }
      }
    }
  } finally {
    client.destroy()
  }
}

function decompress(bytes: Uint8Array, compression: string): Buffer {
  if (compression === 'gzip') return gunzipSync(bytes)
  if (compression === 'zstd') return zstdDecompressSync(bytes)
  return Buffer.from(bytes)
}

function toBuckets(origins: Iterable<Origin>): Buckets {
  const buckets = new Map<string, Set<bigint>>()
  for (const { partition, offset } of origins) {
    const bucket = `${partition}:${offset / bucketSize}`
    const offsets = buckets.get(bucket)
    if (offsets === undefined) buckets.set(bucket, new Set([offset]))
    else offsets.add(offset)
  }
  return buckets
}

const sumOf = (offsets: ReadonlySet<bigint>) => offsets.values().reduce((sum, offset) => sum + offset, 0n)

async function countBuckets(warehouse: Warehouse, { target }: LedgeredTable) {
  const rows = await warehouse.query(
    `SELECT "__partition", ("__offset"/${bucketSize})::VARCHAR, COUNT(*)::VARCHAR, SUM("__offset")::VARCHAR ` +
      `FROM ${qualified(target)} GROUP BY 1, 2`,
  )
  return new Map(
    rows.map(([partition, bucket, count, sum]) => [
      `${partition}:${bucket}`,
      { rows: BigInt(String(count)), sum: BigInt(String(sum)) },
    ]),
  )
}

/** How often each offset of a bucket is there. */
async function readBucket(
  warehouse: Warehouse,
  { target }: LedgeredTable,
  bucket: string,
): Promise<ReadonlyMap<bigint, number>> {
  const [partition = '', index = '0'] = bucket.split(':')
  const first = BigInt(index) * bucketSize
  const rows = await warehouse.query(
    `SELECT "__offset"::VARCHAR, COUNT(*) FROM ${qualified(target)} WHERE "__partition" = ${Number(partition)} ` +
      `AND "__offset" BETWEEN ${first} AND ${first + bucketSize - 1n} GROUP BY 1`,
  )
  return new Map(rows.map(([offset, count]) => [BigInt(String(offset)), Number(count)]))
}
