/** State of an incremental snapshot: the table that is read, and the members of offsets that let it go on elsewhere. */
import { parseJson } from '../../worker/api/json.ts'
import { isStruct } from '../../worker/api/values.ts'
import type { Catalog, CatalogColumn, CatalogTable } from './catalog.ts'
import type { ChunkKeyColumn, ChunkTable, KeyText } from './chunk-query.ts'
import type { Filters } from './filters.ts'
import { type JavaValue, readKey, writeKey } from './java-serialization.ts'
import type { TableSchema, TableSchemas } from './table-schema.ts'
import { resolveType } from './types.ts'

/** A table that is to be read. */
export interface Collection {
  /** `schema.table` */
  readonly id: string
  readonly condition: string
  readonly surrogateKey: string
  /** Id of the signal that asked for it. */
  readonly correlationId: string
}

interface OpenTable {
  readonly schema: TableSchema
  readonly source: ChunkTable
  /** Columns of the event key, and where they stand in a row of a chunk. */
  readonly eventKey: readonly string[]
  readonly eventKeyColumns: readonly number[]
  /** Columns of the order, and their types. */
  readonly orderColumns: readonly number[]
  readonly orderTypes: readonly string[]
}

/** The table that is being read. */
export interface CurrentTable extends OpenTable {
  /** Key of the last row that was emitted; null before the first. */
  readonly lower: KeyText | null
  /** Greatest key when the table was begun. */
  readonly upper: KeyText
  /** Null where nobody asks for it: counting reads the table once more. */
  readonly totalRows: number | null
  readonly chunks: number
  readonly rows: number
}

export interface IncrementalState {
  readonly collections: readonly Collection[]
  readonly correlationId: string
  readonly last: KeyText | null
  readonly maximum: KeyText | null
  /** Rows of the table as they were counted when it began; null where they were not. */
  readonly totalRows: number | null
}

/** Columns that the chunks are ordered by. */
export function keyOf(source: ChunkTable): readonly string[] {
  return source.key.map(({ name }) => name)
}

/** What reading the table needs; null for a table without a key. */
export async function openTable(
  table: CatalogTable,
  collection: Collection,
  with_: { readonly catalog: Catalog; readonly schemas: TableSchemas; readonly filters: Filters },
): Promise<OpenTable | null> {
  const { catalog, schemas, filters } = with_
  const details = await catalog.details(table.oid)
  const eventKey =
    filters.keyColumns(
      table.schema,
      table.table,
      details.columns.map(({ name }) => name),
    ) ??
    details.key?.columns ??
    []
  const order = collection.surrogateKey === '' ? eventKey : [collection.surrogateKey]
  const byName = new Map(details.columns.map((column) => [column.name, column]))
  const ordering = order.map((name) => byName.get(name)).filter((column) => column !== undefined)
  if (eventKey.length === 0 || ordering.length < order.length) return null
  // Key columns that events leave out are read behind the others, where no field looks.
  // Generated columns are not streamed: a chunk has the schema of the events around it (statement P130).
  const captured = details.columns.filter(
    (c) => !c.generated && filters.capturesColumn(table.schema, table.table, c.name),
  )
  const needed = [...new Set([...order, ...eventKey])].map((name) => byName.get(name)).filter((c) => c !== undefined)
  const tuple = [...captured, ...needed.filter((column) => !captured.includes(column))]
  await catalog.loadTypes(tuple.map((column) => column.typeOid))
  const columns = tuple.map(({ name }) => name)
  const key: ChunkKeyColumn[] = []
  for (const column of ordering) {
    key.push({ name: column.name, nullable: !column.notNull, literalType: await literalType(catalog, column) })
  }
  return {
    schema: schemas.build({ schema: table.schema, table: table.table, tuple, details, from: 'snapshot' }),
    source: {
      schema: table.schema,
      table: table.table,
      columns,
      key,
      condition: collection.condition,
    },
    eventKey,
    eventKeyColumns: eventKey.map((name) => columns.indexOf(name)),
    orderColumns: order.map((name) => columns.indexOf(name)),
    orderTypes: ordering.map((column) => catalog.type(column.typeOid)?.name ?? ''),
  }
}

/**
 * The server takes a literal that is compared with a composite type for one of no certain type, which it cannot read:
 * "input of anonymous composite types is not implemented". Literals of all others get the type of their column.
 */
async function literalType(catalog: Catalog, { typeOid, typmod }: CatalogColumn): Promise<string | null> {
  const base = resolveType(typeOid, typmod, catalog.type)?.base
  return base?.kind === 'c' ? await catalog.sqlName(base.oid) : null
}

const prefix = 'incremental_snapshot_'
const item = `${prefix}collections_`

function javaValue(text: string | null, type: string): JavaValue {
  if (text === null) return null
  if (type === 'int2' || type === 'int4') return { type: 'int', value: Number(text) }
  if (type === 'int8') return { type: 'long', value: BigInt(text) }
  return type === 'uuid' ? { type: 'uuid', value: text } : { type: 'string', value: text }
}

/**
 * Members that Debezium adds to offsets while a snapshot runs.
 * @param correlationId id of the signal that came last
 */
export function offsetMembers(
  collections: readonly Collection[],
  current: CurrentTable | null,
  correlationId: string,
): Readonly<Record<string, string>> {
  const java = (key: KeyText | null) =>
    writeKey(key === null ? null : key.map((text, i) => javaValue(text, current?.orderTypes[i] ?? '')))
  return {
    [`${prefix}primary_key`]: java(current?.lower ?? null),
    [`${prefix}maximum_key`]: java(current?.upper ?? null),
    ...(current === null || current.totalRows === null ? {} : { [`${prefix}total_rows`]: String(current.totalRows) }),
    [`${prefix}collections`]: JSON.stringify(
      collections.map(({ id, condition, surrogateKey, correlationId: own }) => ({
        [`${item}id`]: id,
        [`${item}additional_condition`]: condition === '' ? null : `(${condition})`,
        [`${item}surrogate_key`]: surrogateKey === '' ? null : surrogateKey,
        [`${item}correlation_id`]: own,
      })),
    ),
    [`${prefix}correlation_id`]: correlationId,
  }
}

/** The snapshot that an offset says was running; null when none was. */
export function stateOf(offset: Readonly<Record<string, unknown>>): IncrementalState | null {
  const text = offset[`${prefix}collections`]
  if (typeof text !== 'string') return null
  const collections = collectionsOf(text)
  if (collections.length === 0) return null
  const correlationId = offset[`${prefix}correlation_id`]
  const maximum = keyText(offset[`${prefix}maximum_key`])
  const total = offset[`${prefix}total_rows`]
  return {
    collections,
    correlationId: typeof correlationId === 'string' ? correlationId : '',
    // Without its maximum a key means nothing: the table starts over.
    last: maximum === null ? null : keyText(offset[`${prefix}primary_key`]),
    maximum,
    totalRows: maximum !== null && typeof total === 'string' && /^\d+$/.test(total) ? Number(total) : null,
  }
}

function collectionsOf(text: string): readonly Collection[] {
  const json = parseJson(text)
  if (!Array.isArray(json)) return []
  return json.filter(isStruct).flatMap((entry) => {
    const member = (name: string) => (typeof entry[item + name] === 'string' ? String(entry[item + name]) : '')
    const condition = member('additional_condition').replace(/^\(([\s\S]*)\)$/, '$1')
    const correlationId = member('correlation_id')
    const id = member('id')
    return id === '' ? [] : [{ id, condition, surrogateKey: member('surrogate_key'), correlationId }]
  })
}

function keyText(value: unknown): KeyText | null {
  const key = typeof value === 'string' ? readKey(value) : null
  return key == null ? null : key.map((element) => (element === null ? null : String(element.value)))
}
