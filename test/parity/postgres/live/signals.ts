/** Signals to both connectors of a round: what they ask for. */
import type { Random } from '../../../support/random.ts'
import { hasLists, leavesColumnsOut } from './options.ts'
import { addColumn, someChanges } from './script.ts'
import { type Column, named, nameOf, type RandomDatabase, type Table } from './tables.ts'
import { pickFrom, quoted } from './types.ts'

export interface Signal {
  readonly type: 'execute-snapshot' | 'stop-snapshot' | 'pause-snapshot' | 'resume-snapshot' | 'log' | 'unheard-of'
  readonly data: object
}

/** Signals that are sent at once, and what both have sent when they are through with them. */
export interface SignalStep {
  readonly signals: readonly Signal[]
  /** The notification of both that says so; a snapshot that completes is never paused any more. Null where nothing tells. */
  readonly until: 'COMPLETED' | 'PAUSED' | null
  /** Changes of rows behind it. */
  readonly changes: readonly string[]
  /** Changes of tables behind those. */
  readonly definitions: readonly string[]
  /** Instead of signals: both are stopped and go on. */
  readonly restarts: boolean
}

/**
 * The table that both connectors take signals from. Each sees the markers of both, and passes over the other's; as they
 * have random names and times, the topic is not compared.
 */
export const signalTable = 'public.asked'
export const signalTableSql = `CREATE TABLE ${signalTable} (id varchar(64) PRIMARY KEY, type varchar(32), data varchar(2048))`
export const signalTopic = /[^a-z]asked$/
export const noticeTopic = 'notices'

/**
 * Whether Debezium finds a table that is to be read chunk by chunk. It takes ids apart: blanks end a name, and what has
 * three parts is in another database. And it knows the tables of its start, but of others only those of which it has read
 * a change. Ours takes the ids as they are, and asks the catalog.
 */
const isReachable = ({ schema, name }: Table, { known }: Asked): boolean =>
  !/[\s.]/.test(`${schema}${name}`) && known.has(`${schema}.${name}`)

/** Debezium's statement for a chunk fails on most tables with columns that the server computes; ours leaves those out. */
const isStored = ({ columns, key }: Table): boolean => columns.every((c) => !c.isGenerated || key.includes(c.name))

/** Debezium has the server send some of the later chunks in binary: in those, times with seconds in their zone have a value. */
const isSettled = ({ columns }: Table): boolean =>
  !columns.some(({ type }) => /^time(?:\(\d\))? with time zone/.test(type.sql))

/**
 * With the first chunk, and a blocking snapshot, Debezium takes the driver's description of a table for that of the stream,
 * until the server announces the table again. It has no size for an unbounded numeric: what is cut to fewer characters then
 * is not, and the propagated size is 0. Ours keeps what the stream says: a signal changes no schema.
 */
const isSized = ({ columns }: Table, options: Asked['options']): boolean =>
  !columns.some(({ type }) => type.sql === 'numeric') ||
  !Object.keys(options).some((name) => /^(?:column\.truncate|column\.propagate|datatype\.propagate)\./.test(name))

/** Types that Debezium gives back to the server as what they were in the next chunk: of others its statement fails. */
const isOrdered = ({ type }: Column): boolean =>
  /^(?:smallint|integer|bigint|text|character varying|varchar|uuid)/.test(type.sql) && !type.sql.endsWith(']')

/** Whether message.key.columns says what the key of a table's events is. */
const hasOtherKey = ({ schema, name }: Table, options: Asked['options']): boolean =>
  (options['message.key.columns'] ?? '').split(';').some((item) => {
    const pattern = item.slice(0, item.lastIndexOf(':'))
    return new RegExp(`^(?:${pattern})$`, 'i').test(`${schema}.${name}`)
  })

/** Whether the columns by which a table is read in chunks are of such types: its key's, or those of an option. */
function isChunked(table: Table, { options }: Asked): boolean {
  if (hasOtherKey(table, options)) return table.columns.every(isOrdered)
  // Those of a unique index where there is no key.
  const columns = table.columns.filter(({ name, isNotNull }) =>
    table.key.length === 0 ? isNotNull : table.key.includes(name),
  )
  return columns.every(isOrdered)
}

const escaped = (text: string): string => text.replaceAll(/[.^$*+?()[\]{}|\\]/g, '\\$&')
const idOf = ({ schema, name }: Table): string => escaped(`${schema}.${name}`)

/** What signals may ask of the tables of a round. */
interface Asked {
  readonly database: RandomDatabase
  readonly options: Readonly<Record<string, string>>
  /** Ids of the tables that were there when the connectors started. */
  readonly known: ReadonlySet<string>
  readonly mayRestart: boolean
}

/**
 * A pattern for this table alone: what others match is, in Debezium, every table that it has ever seen, in no order. Where
 * it captures none that matches, a pattern is an id, and a wrong one.
 */
const patternOf = (random: Random, table: Table, asked: Asked): string =>
  random.next() < 0.3 && !hasLists(asked.options) ? `.*\\.${escaped(table.name)}` : idOf(table)

const step = (
  signals: readonly Signal[],
  until: SignalStep['until'],
  { changes = [], definitions = [], restarts = false }: Partial<Omit<SignalStep, 'signals' | 'until'>> = {},
): SignalStep => ({ signals, until, changes, definitions, restarts })

/** What connectors pass over, or only log. */
const idle: readonly Signal[] = [
  { type: 'log', data: { message: 'at {}' } },
  { type: 'unheard-of', data: {} },
  { type: 'execute-snapshot', data: {} },
  { type: 'execute-snapshot', data: { 'data-collections': [], type: 'INCREMENTAL' } },
  { type: 'stop-snapshot', data: { 'data-collections': ['public.t0'], type: 'incremental' } },
  { type: 'pause-snapshot', data: {} },
  { type: 'resume-snapshot', data: {} },
]

function blocking(random: Random, asked: Asked): SignalStep | null {
  const { database, options } = asked
  const { tables } = database
  // It describes all tables anew, those that it does not read too: unbounded numerics, and as required what events leave out
  // of a key. And Debezium's statement lacks what events leave out, on which the snapshot of a table keyed by it ends.
  if (tables.length === 0 || leavesColumnsOut(options) || !tables.every((table) => isSized(table, options))) return null
  const chosen = tables.filter(() => random.next() < 0.6).map((table) => patternOf(random, table, asked))
  const table = pickFrom(random, tables)
  // Of these, the ids are no patterns: one with escapes names nothing.
  const id = isReachable(table, asked) && random.next() < 0.7 ? `${table.schema}.${table.name}` : idOf(table)
  const conditions = [{ 'data-collection': id, filter: `SELECT * FROM ${nameOf(table)} LIMIT 2` }]
  const data = { type: random.pick(['BLOCKING', 'blocking']), 'data-collections': chosen }
  if (chosen.length === 0) return null
  // An id with blanks fails the signal as a whole.
  const more = random.next() < 0.4 && !/\s/.test(id) ? { 'additional-conditions': conditions } : {}
  return step([{ type: 'execute-snapshot', data: { ...data, ...more } }], 'COMPLETED')
}

function incremental(random: Random, asked: Asked): Signal | null {
  const { tables } = asked.database
  const reachable = tables.filter(
    (table) =>
      isReachable(table, asked) &&
      isStored(table) &&
      isSettled(table) &&
      isChunked(table, asked) &&
      isSized(table, asked.options),
  )
  const chosen = reachable.filter(() => random.next() < 0.6)
  const collections = chosen.map((table) => patternOf(random, table, asked))
  if (random.next() < 0.2) collections.push('none.such')
  if (collections.length === 0) return null
  const table = pickFrom(random, tables)
  const filter = `${named(pickFrom(random, table.columns).name)} IS NOT NULL`
  const [only] = chosen
  // Of a table without a key Debezium emits one row per chunk, which is all that it tells apart; ours refuses it.
  // Nor does it order by a column that events leave out.
  const isWhole = !leavesColumnsOut(asked.options)
  const keys = isWhole && only?.key.length ? only.columns.filter((column) => column.isNotNull && isOrdered(column)) : []
  const surrogate = keys.length > 0 && collections.length === 1 ? pickFrom(random, keys).name : null
  const data = {
    ...(random.next() < 0.8 ? { type: random.pick(['incremental', 'INCREMENTAL']) } : {}),
    'data-collections': collections,
    ...(random.next() < 0.3 ? { 'additional-conditions': [{ 'data-collection': idOf(table), filter }] } : {}),
    ...(surrogate !== null && random.next() < 0.5 ? { 'surrogate-key': surrogate } : {}),
  }
  return { type: 'execute-snapshot', data }
}

/**
 * Steps that read some tables again; an incremental snapshot is now and then held up after its first chunk.
 * @param later numbers of its own for what came after the seeds were given out
 */
export function* signalSteps(random: Random, later: Random, asked: Asked): Generator<SignalStep> {
  if (random.next() < 0.15) yield step([pickFrom(random, idle)], null)
  if (random.next() < 0.3) {
    const whole = blocking(random, asked)
    if (whole !== null) yield whole
    return
  }
  const execute = incremental(random, asked)
  if (execute === null) return
  if (random.next() < 0.4) yield step([execute], 'COMPLETED')
  else {
    const changes = random.next() < 0.5 ? someChanges(random, asked.database) : []
    const definitions =
      later.next() < 0.3 ? addColumn(later, asked.database, pickFrom(later, asked.database.tables)) : []
    yield step([execute, { type: 'pause-snapshot', data: {} }], 'PAUSED', { changes, definitions })
    // No stop meanwhile: Debezium obeys it where it would read the next chunk, which may be after it is resumed.
    // Nobody is told that it was held up: after a restart it goes on.
    if (later.next() < 0.3 && asked.mayRestart) yield step([], 'COMPLETED', { restarts: true })
    else yield step([{ type: 'resume-snapshot', data: {} }], 'COMPLETED')
  }
}

/** The rows by which both get signals at once. */
export function signalRows(signals: readonly Signal[], token: string): string {
  const rows = signals.map(
    ({ type, data }, i) => `(${[`${token}-${i}`, type, JSON.stringify(data)].map(quoted).join(', ')})`,
  )
  return `INSERT INTO public.asked VALUES ${rows.join(', ')}`
}

/** How the chunks of incremental snapshots are read. */
export const chunkOptions = (random: Random): Readonly<Record<string, string>> => ({
  'incremental.snapshot.chunk.size': random.pick(['1', '2', '2', '3', '1024']),
  ...(random.next() < 0.3 ? { 'incremental.snapshot.watermarking.strategy': 'insert_delete' } : {}),
  ...(random.next() < 0.2 ? { 'incremental.snapshot.allow.schema.changes': 'true' } : {}),
})

/** Where notifications go beside their topic. */
export const noticeOptions = (random: Random): Readonly<Record<string, string>> => ({
  'notification.enabled.channels': random.pick(['sink', 'sink', 'sink,log', 'log , sink', 'sink,log,jmx']),
})
