import type { Load } from './copy-statement.ts'
import { identifier, qualified } from './sql.ts'
import { type Stage, stagedValue } from './stage.ts'

/** `insert.mode=upsert`. */
export interface UpsertSettings {
  /** Columns of the key, lower case; at least one. */
  readonly keys: readonly string[]
  /** Whether rows with `__op` = `d` delete; otherwise they are passed over. */
  readonly deletes: boolean
  /** Whether rows of an older offset leave a newer row of their source partition alone. */
  readonly fence: boolean
}

/** What is upserted: the filled stage, and conditions that its rows must meet. */
interface UpsertSource {
  readonly stage: Stage
  readonly upsert: UpsertSettings
  readonly outside: readonly string[]
}

/**
 * Rows of the stage into the target, by key: the newest row of each key replaces what the target has, or removes it.
 * Not MERGE, which takes no deletes beside updates and fails when a key comes twice.
 *
 * The newest row is the one with the highest offset; where a batch holds rows of several source partitions, the one
 * with the latest record time. With the fence a row of the target stays when it is from the same source partition
 * and not older; as it stays, the insert of its key is left out. A row without a key is no version of another one: it
 * is added, where the table takes it.
 */
export function upsertStatements(load: Load, { stage, upsert, outside }: UpsertSource): readonly string[] {
  const has = (column: string) => stage.copied.some(({ name }) => name === column)
  const source = identifier(stage.name)
  const newest = identifier(`${stage.name}_latest`)
  const target = qualified(load.target)
  const table = identifier(load.target.table)
  const keys = upsert.keys.map(identifier)
  const sameKey = (left: string, right: string) => keys.map((key) => `${left}.${key}=${right}.${key}`).join(' AND ')
  const isDelete = load.messages[0]?.op === 'delete' ? 'TRUE' : has('__op') ? `NVL(n."__op",'u')='d'` : 'FALSE'

  const conditions = [...outside]
  if (!upsert.deletes && has('__op')) conditions.push(`NVL("__op",'u')<>'d'`)
  const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`
  const order = orderColumns(load, has).map((column) => `${identifier(column)} DESC NULLS LAST`)
  const latest =
    `CREATE TEMP TABLE ${newest} AS SELECT * FROM (SELECT s.*, ROW_NUMBER() OVER (PARTITION BY ${keys.join(', ')} ` +
    `ORDER BY ${order.join(', ')}) AS "kc_row" FROM ${source} AS s${where}) AS ranked WHERE ${['"kc_row"=1', ...keys.map((key) => `${key} IS NULL`)].join(' OR ')}`

  const fence = upsert.fence ? ` AND (${fenceConditions(table, stage).join(' OR ')})` : ''
  const columns = stage.loaded.map(({ name }) => identifier(name)).join(', ')
  const values = stage.loaded.map((column) => stagedValue('n', column)).join(', ')
  return [
    latest,
    `DELETE FROM ${target} USING ${newest} AS n WHERE ${sameKey(table, 'n')}${fence}`,
    `INSERT INTO ${target} (${columns}) SELECT ${values} ` +
      `FROM ${newest} AS n LEFT JOIN ${target} AS t ON ${sameKey('t', 'n')} WHERE t.${keys[0] ?? ''} IS NULL AND NOT (${isDelete})`,
    `DROP TABLE ${newest}`,
  ]
}

/** Offsets order the rows of one source partition; between partitions only the time of the records can. */
function orderColumns(load: Load, has: (column: string) => boolean): readonly string[] {
  const partitions = new Set(load.messages.map(({ source }) => `${source?.topic} ${source?.partition}`))
  const columns = partitions.size > 1 ? ['__ts', '__partition', '__offset'] : ['__offset']
  return columns.filter(has)
}

/** When a row of the target may go: it is older, of another source partition, or does not say. */
function fenceConditions(table: string, stage: Stage): readonly string[] {
  const conditions = [
    `${table}."__offset" IS NULL`,
    `${table}."__partition"<>n."__partition"`,
    `${table}."__offset"<n."__offset"`,
  ]
  if (stage.loaded.some(({ name }) => name === '__topic')) conditions.push(`${table}."__topic"<>n."__topic"`)
  return conditions
}
