import { identifier, literal, qualified, type TableName } from '../../../connectors/redshift/sql.ts'
import { ConfigError } from '../../api/errors.ts'
import { type Finding, some } from './finding.ts'
import { nameOf, type Warehouse } from './target.ts'

/** Two tables that should hold the same rows: the old pipeline's and the new one's. */
export interface TablePair {
  readonly left: TableName
  readonly right: TableName
  /** Columns that tell a row from all others; at least one. */
  readonly keys: readonly string[]
  /** Columns to compare; empty compares those that both have, but for the sink's own (`__offset` …). */
  readonly columns: readonly string[]
  /** Column with the time of a row in epoch ms, which cuts the comparison into hours; null takes all rows as one. */
  readonly time: string | null
  /** Rows from this time on (epoch ms) are left out on both sides: they may be on their way. */
  readonly until: number | null
}

const bucketCount = 64
/** Rows named at most. */
const rowLimit = 1000

/** Count and order-insensitive sum of row hashes; a row that is there twice changes both. */
interface Digest {
  readonly rows: string
  readonly hash: string
}

/**
 * Table ↔ table: counts and hashes per hour, then per bucket of keys where an hour differs, then row by row where a
 * bucket differs. Only differing buckets leave the warehouse.
 */
export async function checkTables(warehouse: Warehouse, pair: TablePair): Promise<Finding> {
  const sides = await sidesOf(warehouse, pair)
  const [left, right] = await Promise.all([digests(warehouse, sides.left), digests(warehouse, sides.right)])
  const missing: string[] = []
  const extra: string[] = []
  const changed: string[] = []
  let hours = 0
  for (const hour of differing(left, right)) {
    hours++
    const [leftBuckets, rightBuckets] = await Promise.all([
      digests(warehouse, sides.left, hour),
      digests(warehouse, sides.right, hour),
    ])
    for (const bucket of differing(leftBuckets, rightBuckets)) {
      const [leftRows, rightRows] = await Promise.all([
        rowHashes(warehouse, sides.left, { hour, bucket }),
        rowHashes(warehouse, sides.right, { hour, bucket }),
      ])
      for (const key of new Set([...leftRows.keys(), ...rightRows.keys()])) {
        const [before, after] = [leftRows.get(key), rightRows.get(key)]
        if (before === after) continue
        if (after === undefined) missing.push(key)
        else if (before === undefined) extra.push(key)
        else changed.push(key)
      }
    }
    if (missing.length + extra.length + changed.length >= rowLimit) break
  }
  const differences: string[] = []
  const tell = (keys: readonly string[], text: string) => {
    if (keys.length > 0) differences.push(`${keys.length} rows ${text}: ${some(keys.toSorted(), 20)}`)
  }
  tell(missing, `of ${nameOf(pair.left)} are not in ${nameOf(pair.right)}`)
  tell(extra, `of ${nameOf(pair.right)} are not in ${nameOf(pair.left)}`)
  tell(changed, 'differ')
  return {
    what: `${nameOf(pair.left)} ↔ ${nameOf(pair.right)}`,
    figures: { left: total(left), right: total(right), 'hours that differ': hours },
    differences,
    notes: [],
  }
}

/** How the rows of one side are asked for. */
interface Side {
  readonly table: string
  readonly key: string
  readonly hash: string
  readonly hour: string
  readonly where: string
}

async function sidesOf(warehouse: Warehouse, pair: TablePair): Promise<{ readonly left: Side; readonly right: Side }> {
  const [left, right] = await Promise.all([warehouse.columnsOf(pair.left), warehouse.columnsOf(pair.right)])
  const shared = [...left.keys()].filter((column) => right.has(column) && !column.startsWith('__'))
  const columns = pair.columns.length === 0 ? shared : pair.columns
  const named = [...pair.keys, ...columns, ...(pair.time === null ? [] : [pair.time])]
  for (const [table, has] of [
    [pair.left, left],
    [pair.right, right],
  ] as const) {
    const absent = named.filter((column) => !has.has(column))
    if (absent.length === 0) continue
    const lacks = has.size === 0 ? 'does not exist' : `has no column ${absent.join(', ')}`
    const message = `table ${nameOf(table)} ${lacks}`
    throw new ConfigError([{ option: 'table', message }])
  }
  return { left: sideOf(pair, pair.left, columns, left), right: sideOf(pair, pair.right, columns, right) }
}

function sideOf(
  { keys, time, until }: TablePair,
  table: TableName,
  columns: readonly string[],
  types: ReadonlyMap<string, string>,
): Side {
  const text = (column: string) => {
    const name = identifier(column)
    const value = /^super$/i.test(types.get(column) ?? '') ? `JSON_SERIALIZE(${name})` : `${name}::VARCHAR`
    // A null is told from the text that stands for it by its length.
    return `NVL(${value}, ${literal('\\0')})`
  }
  const joined = (names: readonly string[]) => names.map(text).join(` || ${literal('\u001f')} || `)
  return {
    table: qualified(table),
    key: joined(keys),
    hash: `STRTOL(LEFT(MD5(${joined(columns)}), 15), 16)`,
    hour: time === null ? `'all'` : `(${identifier(time)}::BIGINT/3600000)::VARCHAR`,
    where: until === null || time === null ? '' : ` WHERE ${identifier(time)} < ${until}`,
  }
}

/** Per hour, or with an hour per bucket of keys. */
async function digests(warehouse: Warehouse, side: Side, hour?: string): Promise<ReadonlyMap<string, Digest>> {
  const group = hour === undefined ? side.hour : bucketOf(side)
  const rows = await warehouse.query(
    `SELECT ${group}, COUNT(*)::VARCHAR, SUM(CAST(${side.hash} AS DECIMAL(38,0)))::VARCHAR FROM ${side.table}` +
      `${conditions(side, hour)} GROUP BY 1`,
  )
  return new Map(rows.map(([name, count, hash]) => [String(name), { rows: String(count), hash: String(hash) }]))
}

/** Hashes by key; a key that comes several times has them all. */
async function rowHashes(
  warehouse: Warehouse,
  side: Side,
  { hour, bucket }: { readonly hour: string; readonly bucket: string },
): Promise<ReadonlyMap<string, string>> {
  const rows = await warehouse.query(
    `SELECT ${side.key}, ${side.hash}::VARCHAR FROM ${side.table}${conditions(side, hour)} AND ${bucketOf(side)} = ${literal(bucket)} ` +
      `ORDER BY 1, 2 LIMIT ${rowLimit * 100}`,
  )
  const hashes = new Map<string, string>()
  for (const [key, hash] of rows) {
    const name = String(key).replaceAll('\u001f', ' / ')
    const known = hashes.get(name)
    hashes.set(name, known === undefined ? String(hash) : `${known} ${hash}`)
  }
  return hashes
}

const bucketOf = (side: Side) => `MOD(STRTOL(LEFT(MD5(${side.key}), 7), 16), ${bucketCount})::VARCHAR`

function conditions(side: Side, hour?: string): string {
  if (hour === undefined) return side.where
  const inHour = `${side.hour} = ${literal(hour)}`
  return side.where === '' ? ` WHERE ${inHour}` : `${side.where} AND ${inHour}`
}

function differing(left: ReadonlyMap<string, Digest>, right: ReadonlyMap<string, Digest>): readonly string[] {
  const names = new Set([...left.keys(), ...right.keys()])
  return [...names].filter((name) => {
    const [a, b] = [left.get(name), right.get(name)]
    return a?.rows !== b?.rows || a?.hash !== b?.hash
  })
}

const total = (digests_: ReadonlyMap<string, Digest>) =>
  [...digests_.values()].reduce((sum, { rows }) => sum + Number(rows), 0)
