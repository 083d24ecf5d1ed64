import { hash } from 'node:crypto'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { awsKeysOf, sdkCredentials } from '../../../connectors/common/aws-credentials.ts'
import type { RedshiftSinkConfig } from '../../../connectors/redshift/config-options.ts'
import type { FileMessage } from '../../../connectors/redshift/pending-file.ts'
import { foldName, qualified } from '../../../connectors/redshift/sql.ts'
import { parseJson } from '../../util/json.ts'
import type { Announced } from './announced-check.ts'
import { differencesOf, type Look } from './finding.ts'
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

/** What is to be compared with a table. */
export interface ExpectedFiles {
  readonly announced: readonly Announced[]
  /** Whether the metadata topics still hold every message that was ever written to them. */
  readonly isComplete: boolean
}

/**
 * Files ↔ table, row by row: the records in the announced files against the rows, by `__partition` and `__offset`.
 * With `insert.mode=upsert` the files are folded by key first. Reads every file; memory is that of the offsets.
 * Rows from before the first announced file count only while the metadata topics hold all that was written to them.
 */
export async function checkFiles(
  warehouse: Warehouse,
  table: LedgeredTable,
  { announced, isComplete }: ExpectedFiles,
): Promise<Look> {
  const what = `files → ${nameOf(table.target)}`
  const messages = announced.filter((each) => each.table === table.target.table).map(({ message }) => message)
  const refusal = await reasonNotToCompare(warehouse, table, messages)
  if (refusal !== null) return { what, figures: { files: messages.length }, differences: [], notes: [refusal] }
  const gone: FileMessage[] = []
  const expected = toBuckets(await readOrigins(warehouse.config, messages, gone))
  const counts = await countBuckets(warehouse, table)
  const missing: string[] = []
  const extra: string[] = []
  let notKnown = 0
  const isKnown = knownOrigins(messages, { isComplete, gone })
  for (const bucket of new Set([...expected.keys(), ...counts.keys()])) {
    const wanted = expected.get(bucket) ?? new Set<bigint>()
    const found = counts.get(bucket)
    if (found !== undefined && found.rows === BigInt(wanted.size) && found.hash === hashOf(wanted)) continue
    const present = await readBucket(warehouse, table, bucket)
    const partition = Number(bucket.split(':')[0])
    for (const offset of wanted) if (!present.has(offset)) missing.push(`${partition}-${offset}`)
    for (const [offset, rows] of present) {
      if (!wanted.has(offset) && !isKnown({ partition, offset })) notKnown += rows
      else if (!wanted.has(offset)) extra.push(`${partition}-${offset}`)
      else if (rows > 1) extra.push(`${partition}-${offset} (${rows} times)`)
    }
  }
  const notes: string[] = []
  const differences = differencesOf({
    'rows are missing': missing,
    'rows are too many': extra,
    'rows are of no record: they have no __partition and __offset': await countForeign(warehouse, table),
    'announced files are gone': gone.map(({ files }) => files[0]?.key ?? ''),
  })
  if (notKnown > 0) notes.push(`${notKnown} rows are of no file that can be looked at: not compared`)
  const rows = [...expected.values()].reduce((sum, { size }) => sum + size, 0)
  return { what, figures: { files: messages.length, 'rows expected': rows }, differences, notes }
}

/** Tells of a row whether the files could tell of it: others are older than the topic, or of files that are gone. */
function knownOrigins(
  messages: readonly FileMessage[],
  { isComplete, gone }: { readonly isComplete: boolean; readonly gone: readonly FileMessage[] },
): (origin: Origin) => boolean {
  const first = new Map<number, bigint>()
  for (const { source } of messages) {
    if (source === null) continue
    const known = first.get(source.partition)
    if (known === undefined || source.firstOffset < known) first.set(source.partition, source.firstOffset)
  }
  const isGone = ({ partition, offset }: Origin) =>
    gone.some(
      ({ source }) => source?.partition === partition && source.firstOffset <= offset && source.lastOffset >= offset,
    )
  return (origin) => {
    const from = first.get(origin.partition)
    return (isComplete || (from !== undefined && origin.offset >= from)) && !isGone(origin)
  }
}

async function reasonNotToCompare(
  warehouse: Warehouse,
  { target }: LedgeredTable,
  messages: readonly FileMessage[],
): Promise<string | null> {
  const other = messages.find(({ format }) => format !== 'json')
  if (other !== undefined) return `files of format ${other.format} are not compared row by row`
  const topics = new Set(messages.map(({ topic }) => topic))
  if (topics.size > 1) return `rows of several topics (${[...topics].join(', ')}) are not compared one by one`
  const needed = ['__partition', '__offset']
  const plain = messages.find(({ metaFields }) => needed.some((field) => !metaFields.includes(field)))
  const columns = await warehouse.columnsOf(target)
  if (plain === undefined && needed.every((column) => columns.has(column))) return null
  return 'rows carry no __partition and __offset (format.output.meta.fields), so they are not compared one by one'
}

/** Where the rows come from that the table should have, each once. `gone` takes the messages whose files are not there. */
async function readOrigins(
  config: RedshiftSinkConfig,
  messages: readonly FileMessage[],
  gone: FileMessage[],
): Promise<Iterable<Origin>> {
  const keys = config['insert.mode'].toLowerCase() === 'upsert' ? config['pk.fields'].map(foldName) : null
  const origins = new Map<string, Origin & { readonly isDeleted: boolean }>()
  for await (const row of readRows(config, messages, gone)) {
    const origin = { partition: Number(row['__partition']), offset: BigInt(String(row['__offset'])) }
    const isDeleted = row['__op'] === 'd'
    const key = keys === null ? null : keyOf(row, keys)
    const identity = key ?? `${origin.partition}:${origin.offset}`
    if (keys !== null && isDeleted && !config['delete.enabled']) continue
    const known = origins.get(identity)
    // Keys have one source partition in topics that are keyed by them; then the offset is what orders their rows.
    if (known === undefined || known.offset < origin.offset) origins.set(identity, { ...origin, isDeleted })
  }
  return origins.values().filter(({ isDeleted }) => keys === null || !isDeleted)
}

/** Null for a row without a key, which is no version of another one. */
function keyOf(row: Readonly<Record<string, unknown>>, keys: readonly string[]): string | null {
  const members = new Map(Object.entries(row).map(([name, value]) => [foldName(name), value]))
  const key = keys.map((name) => members.get(name) ?? null)
  return key.includes(null) ? null : JSON.stringify(key.map(String))
}

async function* readRows(
  config: RedshiftSinkConfig,
  messages: readonly FileMessage[],
  gone: FileMessage[],
): AsyncGenerator<Readonly<Record<string, unknown>>> {
  const { GetObjectCommand, NoSuchKey, S3Client } = await import('@aws-sdk/client-s3')
  const endpoint = config['s3.endpoint']
  const keys = awsKeysOf(config)
  const client = new S3Client({
    region: config['copy.region'] || config['aws.region'],
    ...(endpoint === '' ? {} : { endpoint, forcePathStyle: true }),
    ...(keys === null ? {} : { credentials: sdkCredentials(keys) }),
  })
  try {
    for (const message of messages) {
      const { files, compression } = message
      for (const { bucket, key } of files) {
        const found = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key })).catch((error: unknown) => {
          if (!(error instanceof NoSuchKey)) throw error
          return null
        })
        if (found === null) {
          gone.push(message)
          break
        }
        const bytes = (await found.Body?.transformToByteArray()) ?? new Uint8Array()
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

const hashOf = (offsets: ReadonlySet<bigint>) =>
  offsets.values().reduce((sum, offset) => sum + BigInt(`0x${hash('md5', String(offset)).slice(0, 15)}`), 0n)

/** Rows that no record of a topic can have left. */
const isForeign = '"__partition" IS NULL OR "__offset" IS NULL OR "__offset" < 0'

async function countForeign(warehouse: Warehouse, { target }: LedgeredTable): Promise<bigint> {
  const [row] = await warehouse.query(`SELECT COUNT(*) FROM ${qualified(target)} WHERE ${isForeign}`)
  return BigInt(String(row?.[0] ?? '0'))
}

async function countBuckets(warehouse: Warehouse, { target }: LedgeredTable) {
  const rows = await warehouse.query(
    `SELECT "__partition", ("__offset"/${bucketSize})::VARCHAR, COUNT(*)::VARCHAR, ` +
      `SUM(CAST(STRTOL(LEFT(MD5("__offset"::VARCHAR), 15), 16) AS DECIMAL(38,0)))::VARCHAR ` +
      `FROM ${qualified(target)} WHERE NOT (${isForeign}) GROUP BY 1, 2`,
  )
  return new Map(
    rows.map(([partition, bucket, count, digest]) => [
      `${partition}:${bucket}`,
      { rows: BigInt(String(count)), hash: BigInt(String(digest)) },
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
