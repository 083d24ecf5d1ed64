/** Post processor that reads columns again which the server did not send: Debezium's ReselectColumnsPostProcessor. */
import type { RawConfig } from '../../worker/api/connector.ts'
import type { Clock, Logger } from '../../worker/api/context.ts'
import { type ConfigProblem, ConnectError, toError } from '../../worker/api/errors.ts'
import { SourceRecord } from '../../worker/api/record.ts'
import type { Database } from './connection.ts'
import { EnvelopeView } from './envelope.ts'
import { classify, sqlStateOf } from './errors.ts'
import { listProblem, PatternList, splitList } from './pattern-list.ts'
import { copyTuple, isNull, isUnchanged, TupleIndex } from './pgoutput.ts'
import { qualifiedName, quoteIdentifier, quoteLiteral } from './sql.ts'
import type { TableSchema, TableSchemas } from './table-schema.ts'
import { untilVisible } from './visibility.ts'

const className = 'io.debezium.processors.reselect.ReselectColumnsPostProcessor'

/** Options of one processor, named `<name>.reselect.…`. */
export interface ReselectRules {
  /** Whether a column, `schema.table:column`, is read again. */
  readonly selects: (column: string) => boolean
  readonly unavailable: boolean
  readonly nulls: boolean
  /** Rows are found by the event's key, not by the primary key. */
  readonly byEventKey: boolean
  /** A row that cannot be read fails the task. */
  readonly fails: boolean
}

const prefixOf = (name: string) => `${name}.reselect.`

/** Processors that `post.processors` names, in order. The options must have no problem. */
export function reselectRules(raw: RawConfig): readonly ReselectRules[] {
  return splitList(raw['post.processors'] ?? '').map((name) => {
    const option = (key: string, otherwise: string) => raw[prefixOf(name) + key] ?? otherwise
    const include = option('columns.include.list', '')
    const exclude = option('columns.exclude.list', '')
    const list = new PatternList(include === '' ? exclude : include)
    const isOn = (key: string, otherwise: boolean) => option(key, String(otherwise)).trim().toLowerCase() === 'true'
    return {
      selects: (column) => (include === '' ? exclude === '' || !list.matches(column) : list.matches(column)),
      unavailable: isOn('unavailable.values', true),
      nulls: isOn('null.values', true),
      byEventKey: isOn('use.event.key', false),
      fails: option('error.handling.mode', 'warn') === 'fail',
    }
  })
}

/** Problems of options whose names carry the name of a processor. */
export function postProcessorProblems(raw: RawConfig): readonly ConfigProblem[] {
  return splitList(raw['post.processors'] ?? '').flatMap((name) => {
    const type = `${name}.type`
    if (raw[type] === undefined) return [{ option: type, message: `The post processor ${name} needs a type.` }]
    if (raw[type] !== className) {
      return [{ option: type, message: `${raw[type]} cannot be loaded; the only post processor is ${className}.` }]
    }
    const problems: ConfigProblem[] = []
    const option = (key: string) => prefixOf(name) + key
    const [include, exclude] = [option('columns.include.list'), option('columns.exclude.list')]
    for (const list of [include, exclude]) {
      const message = listProblem(raw[list] ?? '')
      if (message !== null) problems.push({ option: list, message })
    }
    if (raw[include] !== undefined && raw[exclude] !== undefined) {
      problems.push({ option: exclude, message: `"${include}" is already specified` })
    }
    const mode = raw[option('error.handling.mode')]
    if (mode !== undefined && mode !== 'warn' && mode !== 'fail') {
      problems.push({ option: option('error.handling.mode'), message: `'${mode}' is neither warn nor fail` })
    }
    return problems
  })
}

/** An event with columns to be read again. */
interface Wanted {
  /** Its place among the records. */
  readonly at: number
  readonly event: EnvelopeView
  readonly columns: readonly number[]
  /** Text of the key's columns. */
  readonly key: readonly string[]
}

/** Keys of one statement. */
const keysPerQuery = 200

const index = new TupleIndex()
const lenderIndex = new TupleIndex()

/**
 * Replaces unchanged TOAST values, and nulls where asked for, by what the table holds now: a later state than the
 * event's when the row has changed since. The rows of a batch are read by one statement per table and 200 keys.
 */
export class Reselect {
  readonly #rules: ReselectRules
  readonly #database: Database
  readonly #schemas: TableSchemas
  readonly #logger: Logger
  readonly #clock: Clock

  constructor(
    rules: ReselectRules,
    services: {
      readonly database: Database
      readonly schemas: TableSchemas
      readonly logger: Logger
      readonly clock: Clock
    },
  ) {
    this.#rules = rules
    this.#database = services.database
    this.#schemas = services.schemas
    this.#logger = services.logger
    this.#clock = services.clock
  }

  /** @throws RetriableError when the connection is lost; ConnectError under `error.handling.mode=fail` */
  async apply(records: readonly SourceRecord[]): Promise<readonly SourceRecord[]> {
    const wanted = this.#wanted(records)
    if (wanted.size === 0) return records
    await this.#untilVisible(wanted)
    const result = [...records]
    for (const [table, events] of wanted) {
      for (let from = 0; from < events.length; from += keysPerQuery) {
        await this.#fill(table, events.slice(from, from + keysPerQuery), result)
      }
    }
    return result
  }

  /** A row as it was before its event would lack what the event's transaction wrote, or not be there yet. */
  async #untilVisible(wanted: ReadonlyMap<TableSchema, readonly Wanted[]>): Promise<void> {
    const ids = [...wanted.values()].flat().map(({ event }) => event.transactionId)
    try {
      const services = { database: this.#database, clock: this.#clock }
      if (await untilVisible(new Set(ids.filter((id) => id !== null)), services)) return
    } catch (error) {
      throw classify(error, { what: 'ask which transactions run' })
    }
    this.#logger.warn({}, 'A transaction has been sent that does not show yet: columns are read as they were before it')
  }

  #wanted(records: readonly SourceRecord[]): ReadonlyMap<TableSchema, Wanted[]> {
    const wanted = new Map<TableSchema, Wanted[]>()
    for (const [at, { rawValue: event }] of records.entries()) {
      if (!(event instanceof EnvelopeView) || event.rows.after < 0) continue
      const table = this.#schemas.ofEnvelope(event.schema)
      if (table === null) continue
      const columns = this.#columns(table, event)
      const key = columns.length === 0 ? null : this.#key(table)
      if (key === null) continue
      const { bytes } = event.rows
      const texts = key.map((column) => {
        const start = index.start(column)
        return start < 0 ? null : bytes.toString('utf8', start, index.end(column))
      })
      // A row that has no key cannot be found again.
      if (texts.some((text) => text === null)) continue
      const list = wanted.get(table) ?? []
      list.push({ at, event, columns, key: texts.filter((text) => text !== null) })
      wanted.set(table, list)
    }
    return wanted
  }

  /** Columns of the event to be read again; leaves its row in `index`. */
  #columns(table: TableSchema, event: EnvelopeView): readonly number[] {
    const { unavailable, nulls, selects } = this.#rules
    const { bytes, after, lender } = event.rows
    index.load(bytes, after)
    if (lender >= 0) lenderIndex.load(bytes, lender)
    return table.value.fields.flatMap(({ column }) => {
      const start = index.start(column)
      const lent = lender >= 0 && lenderIndex.start(column) >= 0
      const missing = (start === isUnchanged && unavailable && !lent) || (start === isNull && nulls)
      return missing && selects(`${table.id}:${table.columns[column] ?? ''}`) ? [column] : []
    })
  }

  #key(table: TableSchema): readonly number[] | null {
    const columns = this.#rules.byEventKey
      ? (table.key?.fields ?? []).map(({ column }) => column)
      : table.primaryKey.map((name) => table.columns.indexOf(name))
    return columns.length === 0 || columns.some((column) => column < 0) ? null : columns
  }

  async #fill(table: TableSchema, events: readonly Wanted[], result: SourceRecord[]): Promise<void> {
    const key = this.#key(table) ?? []
    const columns = [...new Set(events.flatMap((event) => event.columns))]
    const rows = await this.#read(table, { key, columns, events })
    if (rows === null) return
    for (const { at, event, columns: needed, key: texts } of events) {
      const row = rows.get(JSON.stringify(texts))
      const record = result[at]
      if (row === undefined) {
        this.#logger.warn(
          { table: table.id },
          'A row whose columns were to be read again is gone: they stay as they are',
        )
      } else if (record !== undefined) {
        const values = new Map(needed.map((column) => [column, row[columns.indexOf(column)] ?? null]))
        result[at] = withValue(record, table, event, values)
      }
    }
  }

  /** Values of the columns by the text of the key; null when the statement failed and that is to be borne. */
  async #read(
    table: TableSchema,
    query: { readonly key: readonly number[]; readonly columns: readonly number[]; readonly events: readonly Wanted[] },
  ): Promise<ReadonlyMap<string, readonly (string | null)[]> | null> {
    const name = (column: number) => quoteIdentifier(table.columns[column] ?? '')
    const keys = [...new Set(query.events.map(({ key }) => `(${key.map(quoteLiteral).join(', ')})`))]
    const list = [...query.key, ...query.columns].map((column, i) => `${name(column)} AS c${i}`)
    const sql =
      `SELECT ${list.join(', ')} FROM ${qualifiedName(table)} ` +
      `WHERE (${query.key.map(name).join(', ')}) IN (${keys.join(', ')})`
    try {
      const rows = await this.#database.rows<Record<string, string | null>>(sql)
      return new Map(
        rows.map((row) => {
          const values = list.map((_, i) => row[`c${i}`] ?? null)
          return [JSON.stringify(values.slice(0, query.key.length)), values.slice(query.key.length)]
        }),
      )
    } catch (error) {
      const state = sqlStateOf(error)
      if (state === null || /^(?:08|57)/.test(state))
        throw classify(error, { what: `read columns of ${table.id} again` })
      if (this.#rules.fails) {
        const message = `Columns of ${table.id} could not be read again: ${toError(error).message}. Grant SELECT on the table, or set reselect.error.handling.mode=warn.`
        throw new ConnectError('fatal', 'CONNECT_POSTGRES_SERVER', message, { cause: toError(error) })
      }
      this.#logger.warn({ error, table: table.id }, 'Columns could not be read again: they stay as they are')
      return null
    }
  }
}

/** The record with other texts in some columns of its new row. */
function withValue(
  record: SourceRecord,
  table: TableSchema,
  event: EnvelopeView,
  values: ReadonlyMap<number, string | null>,
): SourceRecord {
  const { bytes, before, after, lender } = event.rows
  const parts: Buffer[] = []
  let length = 0
  const place = (tuple: Buffer): number => {
    parts.push(tuple)
    length += tuple.length
    return length - tuple.length
  }
  const none = new Map<number, string | null>()
  const newAfter = place(copyTuple(bytes, after, values))
  const newBefore = before < 0 ? -1 : place(copyTuple(bytes, before, none))
  const newLender = lender < 0 ? -1 : lender === before ? newBefore : place(copyTuple(bytes, lender, none))
  const value = event.withRows(table, {
    bytes: Buffer.concat(parts),
    before: newBefore,
    after: newAfter,
    lender: newLender,
  })
  return new SourceRecord({
    sourcePartition: record.sourcePartition,
    sourceOffset: record.sourceOffset,
    topic: record.topic,
    partition: record.partition,
    keySchema: record.keySchema,
    key: record.rawKey,
    valueSchema: record.valueSchema,
    value,
    timestamp: record.timestamp,
    headers: record.headers,
  })
}
