import { identifier, literal, qualified, type TableName } from '../../../connectors/redshift/sql.ts'
import { ConfigError } from '../../api/errors.ts'
import { differencesOf, type Look } from './finding.ts'
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

/** Rows named at most. */
const rowLimit = 1000

/** Count and order-insensitive sum of row hashes; a row that is there twice changes both. */
interface Digest {
  readonly rows: string
  readonly hash: string
}

/**
 * Table ↔ table: counts and hashes per hour; where an hour differs, the rows whose key and hash do not come as often
 * on both sides. The warehouse compares them: only what differs leaves it.
 */
export async function checkTables(warehouse: Warehouse, pair: TablePair): Promise<Look> {
  const { left: before, right: after, notes } = await sidesOf(warehouse, pair)
  const [left, right] = await Promise.all([digests(warehouse, before), digests(warehouse, after)])
  const found = { missing: new Set<string>(), extra: new Set<string>(), changed: new Set<string>() }
  const hours = differing(left, right)
  for (const hour of hours) {
    const named = found.missing.size + found.extra.size + found.changed.size
    if (named >= rowLimit) break
    // None: what was on its way while the hours were read has come by now.
    sortRows(await differingRows(warehouse, { left: before, right: after, hour }), found)
  }
  const differences = differencesOf({
    [`rows of ${nameOf(pair.left)} are not in ${nameOf(pair.right)}`]: [...found.missing].toSorted(),
    [`rows of ${nameOf(pair.right)} are not in ${nameOf(pair.left)}`]: [...found.extra].toSorted(),
    'rows differ': [...found.changed].toSorted(),
  })
  return {
    what: `${nameOf(pair.left)} ↔ ${nameOf(pair.right)}`,
    figures: { left: total(left), right: total(right), 'hours that differ': hours.length },
    differences,
    notes,
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

interface Sides {
  readonly left: Side
  readonly right: Side
}

async function sidesOf(warehouse: Warehouse, pair: TablePair): Promise<Sides & { readonly notes: readonly string[] }> {
  const [left, right] = await Promise.all([warehouse.columnsOf(pair.left), warehouse.columnsOf(pair.right)])
  const own = (columns: ReadonlyMap<string, string>) => [...columns.keys()].filter((column) => !column.startsWith('__'))
  const columns = pair.columns.length === 0 ? own(left).filter((column) => right.has(column)) : pair.columns
  const named = [...pair.keys, ...columns, ...(pair.time === null ? [] : [pair.time])]
  const notes: string[] = []
  for (const [table, has, other] of [
    [pair.left, left, right],
    [pair.right, right, left],
  ] as const) {
    const absent = named.filter((column) => !has.has(column))
    const lacks = has.size === 0 ? 'does not exist' : `has no column ${absent.join(', ')}`
    if (absent.length > 0) throw new ConfigError([{ option: 'table', message: `table ${nameOf(table)} ${lacks}` }])
    const alone = pair.columns.length > 0 ? [] : own(has).filter((column) => !other.has(column))
    if (alone.length > 0) notes.push(`only ${nameOf(table)} has ${alone.join(', ')}: not compared`)
  }
  const timeType = pair.time === null ? 'bigint' : `${left.get(pair.time)}, ${right.get(pair.time)}`
  if (/time|date|char/i.test(timeType)) {
    const message = `must be a number of milliseconds since 1970, ${pair.time} is ${timeType}`
    throw new ConfigError([{ option: '--time', message }])
  }
  if (columns.length === 0) {
    const message = `${nameOf(pair.left)} and ${nameOf(pair.right)} have no column in common that could be compared`
    throw new ConfigError([{ option: '--columns', message }])
  }
  return { left: sideOf(pair, pair.left, columns, left), right: sideOf(pair, pair.right, columns, right), notes }
}

function sideOf(
  { keys, time, until }: TablePair,
  table: TableName,
  columns: readonly string[],
  types: ReadonlyMap<string, string>,
): Side {
  const text = (column: string) => canonicalText(identifier(column), types.get(column) ?? '')
  // A hash each, so that no text can be taken for two, nor all of them be too long for one; null has none.
  const hashes = [...new Set([...keys, ...columns])].map((column) => `NVL(MD5(${text(column)}), '-')`).join(' || ')
  const atTime = time === null ? null : identifier(time)
  return {
    table: qualified(table),
    key: keys.map((column) => `NVL(${text(column)}, 'null')`).join(` || ' / ' || `),
    hash: `MD5(${hashes})`,
    hour: atTime === null ? `'all'` : `NVL((${atTime}::BIGINT/3600000)::VARCHAR, 'none')`,
    // What has no time is never on its way.
    where: until === null || atTime === null ? 'TRUE' : `(${atTime} < ${until} OR ${atTime} IS NULL)`,
  }
}

/**
 * Equal values of two tables have equal text, although the types differ in width, scale or time zone (the session's is
 * UTC).
 */
function canonicalText(name: string, type: string): string {
  if (/^super$/i.test(type)) return `JSON_SERIALIZE(${name})`
  // Redshift casts neither of them to text.
  if (/^bool/i.test(type)) return `CASE WHEN ${name} THEN 'true' WHEN NOT ${name} THEN 'false' END`
  if (/^(binary varying|varbyte)/i.test(type)) return `TO_HEX(${name})`
  if (/^timestamp(tz| with time zone)/i.test(type)) return `(${name} AT TIME ZONE 'UTC')::VARCHAR`
  if (/^(numeric|decimal)/i.test(type)) {
    const digits = `${name}::VARCHAR`
    return `CASE WHEN POSITION('.' IN ${digits}) > 0 THEN RTRIM(RTRIM(${digits}, '0'), '.') ELSE ${digits} END`
  }
  return `${name}::VARCHAR`
}

const asNumber = (hash: string) => `CAST(STRTOL(LEFT(${hash}, 15), 16) AS DECIMAL(38,0))`

async function digests(warehouse: Warehouse, side: Side): Promise<ReadonlyMap<string, Digest>> {
  const rows = await warehouse.query(
    `SELECT ${side.hour}, COUNT(*)::VARCHAR, SUM(${asNumber(side.hash)})::VARCHAR FROM ${side.table} WHERE ${side.where} GROUP BY 1`,
  )
  return new Map(rows.map(([name, count, sum]) => [String(name), { rows: String(count), hash: String(sum) }]))
}

/** How often rows of a key and a content are on each side. */
interface RowDifference {
  readonly key: string
  readonly left: bigint
  readonly right: bigint
}

/** The rows of an hour that do not come as often on both sides, in one statement and so of one moment. */
async function differingRows(
  warehouse: Warehouse,
  { left, right, hour }: Sides & { readonly hour: string },
): Promise<readonly RowDifference[]> {
  const rowsOf = (side: Side, counts: string) =>
    `SELECT ${side.key} AS k, ${side.hash} AS h, ${counts} FROM ${side.table} WHERE ${side.where} AND ${side.hour} = ${literal(hour)}`
  const rows = await warehouse.query(
    `SELECT k, SUM(l)::VARCHAR, SUM(r)::VARCHAR FROM (${rowsOf(left, '1 AS l, 0 AS r')} UNION ALL ${rowsOf(right, '0 AS l, 1 AS r')}) AS both_sides ` +
      `GROUP BY k, h HAVING SUM(l) <> SUM(r) ORDER BY k LIMIT ${2 * rowLimit}`,
  )
  const found = rows.map(([key, l, r]) => ({ key: String(key), left: BigInt(String(l)), right: BigInt(String(r)) }))
  // Of the last key there may be more.
  const whole = rows.length < 2 * rowLimit ? found : found.filter(({ key }) => key !== found.at(-1)?.key)
  return whole.length === 0 ? found : whole
}

function sortRows(
  rows: readonly RowDifference[],
  into: { readonly missing: Set<string>; readonly extra: Set<string>; readonly changed: Set<string> },
): void {
  const sides = new Map<string, { fewer: boolean; more: boolean }>()
  for (const { key, left, right } of rows) {
    const known = sides.get(key) ?? { fewer: false, more: false }
    sides.set(key, { fewer: known.fewer || right < left, more: known.more || right > left })
  }
  for (const [key, { fewer, more }] of sides) {
    if (fewer && more) into.changed.add(key)
    else (fewer ? into.missing : into.extra).add(key)
  }
}

function differing(left: ReadonlyMap<string, Digest>, right: ReadonlyMap<string, Digest>): readonly string[] {
  const names = new Set([...left.keys(), ...right.keys()])
  return [...names].filter((name) => !isEqual(left.get(name), right.get(name)))
}

const isEqual = (a: Digest | undefined, b: Digest | undefined) => a?.rows === b?.rows && a?.hash === b?.hash

const total = (sums: ReadonlyMap<string, Digest>) => [...sums.values()].reduce((sum, { rows }) => sum + Number(rows), 0)
