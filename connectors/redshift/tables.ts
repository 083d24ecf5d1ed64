import { randomUUID } from 'node:crypto'
import type { Clock, Logger } from '../../worker/api/context.ts'
import { ConnectError } from '../../worker/api/errors.ts'
import type { MessageColumn } from '../common/metadata-message.ts'
import type { CopyRunner } from './copy-runner.ts'
import type { ResultRow } from './data-api.ts'
import { classifyStatement } from './errors.ts'
import { createLedger, purgeLedger } from './ledger.ts'
import type { FileMessage } from './pending-file.ts'
import { foldName, literal, type TableName } from './sql.ts'
import {
  addColumn,
  type ColumnDefinition,
  columnDefinitions,
  createTable,
  type TableOptions,
  textBytes,
  widenColumn,
} from './table-definition.ts'

export interface TablesOptions {
  readonly autoCreate: boolean
  readonly autoEvolve: boolean
  readonly definition: TableOptions
  readonly maxRetries: number
  /** How long ledgers remember. */
  readonly ledgerRetentionMs: number
}

/** Columns of a table by name. */
export type Columns = ReadonlyMap<string, ColumnDefinition>

interface KnownTable {
  readonly columns: Map<string, ColumnDefinition>
  /** Lengths in bytes that the warehouse would not give a VARCHAR, by its name. */
  readonly refused: Map<string, number>
  readonly readAt: number
}

/** Another task, or a second statement of ours, made the same thing at the same time. */
const alreadyThere = /already exists|concurrently updated|pg_type_typname|pg_class_relname|duplicate key/i
/** A definition is looked up again after this time, in case somebody else changed the table. */
const definitionAgeMs = 600_000
const purgeIntervalMs = 3_600_000

/**
 * Creates and widens tables, each statement by itself and before the load: DDL inside of it would commit the load, or
 * could not run (statement R47). Remembers what is there.
 */
export class Tables {
  readonly options: TablesOptions
  readonly #runner: CopyRunner
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #known = new Map<string, KnownTable>()
  /** Ledgers that exist, with the time of their last purge. */
  readonly #ledgers = new Map<string, number>()

  constructor(
    runner: CopyRunner,
    options: TablesOptions,
    services: { readonly clock: Clock; readonly logger: Logger },
  ) {
    this.options = options
    this.#runner = runner
    this.#clock = services.clock
    this.#logger = services.logger
  }

  /** Makes ledger and, as far as the options allow, the target ready for these messages. @throws ConnectError */
  async prepare(
    { target, ledger }: { readonly target: TableName; readonly ledger: TableName },
    messages: readonly FileMessage[],
    signal: AbortSignal,
  ): Promise<void> {
    await this.#prepareLedger(ledger, signal)
    const { autoCreate, autoEvolve, definition } = this.options
    if (!autoCreate && !autoEvolve) return
    for (const message of messages) {
      const wanted = columnDefinitions(message, definition)
      if (wanted === null || wanted.length === 0) continue
      if (autoCreate && !this.#known.has(target.table)) {
        await this.#execute(createTable(target, wanted, definition), signal)
        // Only what a look into the catalog says: the table may have been there with other columns.
        await this.columnsOf(target, signal)
      }
      if (!autoEvolve) continue
      const columns = await this.columnsOf(target, signal)
      // No columns, no table: the load says so.
      if (columns.size === 0) continue
      for (const column of wanted) {
        const present = columns.get(column.name)
        if (present !== undefined) {
          await this.#widen({ target, present, message }, signal)
          continue
        }
        checkNullable(message, column, target)
        await this.#execute(addColumn(target, column), signal)
        this.#known.get(target.table)?.columns.set(column.name, column)
      }
    }
  }

  /**
   * Makes a VARCHAR as long as a message says that its texts may be. Redshift refuses this for some columns (of a key,
   * with a default, of certain encodings); the load tells then which rows do not fit.
   */
  async #widen(
    {
      target,
      present,
      message,
    }: { readonly target: TableName; readonly present: ColumnDefinition; readonly message: FileMessage },
    signal: AbortSignal,
  ): Promise<void> {
    const wanted = message.columns?.find((c) => isText(c) && foldName(c.name) === present.name)
    const wantedBytes = wanted === undefined ? 0 : (textBytes(wanted) ?? 0)
    const hasBytes = varcharBytes(present.type)
    const isKey = this.options.definition.primaryKey.some((name) => foldName(name) === present.name)
    const known = this.#known.get(target.table)
    const refusedBytes = known?.refused.get(present.name) ?? Number.POSITIVE_INFINITY
    if (hasBytes === null || wantedBytes <= hasBytes || wantedBytes >= refusedBytes || isKey) return
    const column = { name: present.name, type: `VARCHAR(${wantedBytes})` }
    try {
      await this.#execute(widenColumn(target, column), signal)
    } catch (error) {
      if (!(error instanceof ConnectError) || error.code !== 'CONNECT_REDSHIFT_STATEMENT') throw error
      // Not asked for again before the definition is read anew. The column stays what it is, and a stage with it: texts
      // that are too long are found by COPY, which names their file, and not by the INSERT behind it.
      known?.refused.set(present.name, wantedBytes)
      return
    }
    known?.columns.set(column.name, column)
  }

  /** Columns of a table in their order, from memory while that is fresh; empty when there is no such table. */
  async columnsOf({ schema, table }: TableName, signal: AbortSignal): Promise<Columns> {
    const known = this.#known.get(table)
    if (known !== undefined && this.#clock.monotonicMs() - known.readAt < definitionAgeMs) return known.columns
    const rows = await this.#runner.query(
      'SELECT column_name, data_type, character_maximum_length, numeric_precision, numeric_scale FROM svv_columns ' +
        `WHERE table_schema = ${literal(schema)} AND table_name = ${literal(table)} ORDER BY ordinal_position`,
      signal,
    )
    const columns = new Map(rows.map(definitionOf).map((column) => [column.name, column]))
    if (columns.size > 0) this.#known.set(table, { columns, refused: new Map(), readAt: this.#clock.monotonicMs() })
    return columns
  }

  /** After an error that tells of a table or column: look again next time. */
  forget({ table }: TableName): void {
    this.#known.delete(table)
  }

  /** The purge is a statement of its own: what it removes concerns no load, and it may fail without harm. */
  async #prepareLedger(ledger: TableName, signal: AbortSignal): Promise<void> {
    const purgedAt = this.#ledgers.get(ledger.table)
    if (purgedAt === undefined) await this.#execute(createLedger(ledger), signal)
    else if (this.#clock.monotonicMs() - purgedAt < purgeIntervalMs) return
    this.#ledgers.set(ledger.table, this.#clock.monotonicMs())
    try {
      await this.#execute(purgeLedger(ledger, this.options.ledgerRetentionMs), signal)
    } catch (error) {
      if (!(error instanceof ConnectError) || error.code !== 'CONNECT_REDSHIFT_STATEMENT') throw error
      this.#logger.warn({ ledger: ledger.table, error: error.message }, 'the ledger is not purged; it grows')
    }
  }

  async #execute(sql: string, signal: AbortSignal): Promise<void> {
    // Not the text: the service answers a token that it knows with the statement of hours ago, and runs nothing.
    const name = randomUUID()
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.#runner.run([sql], name, attempt, signal)
      if (outcome.kind === 'finished' || alreadyThere.test(outcome.error)) return
      const mayPass = outcome.kind === 'unknown' || classifyStatement(outcome.error) === 'transient'
      if (!mayPass || attempt > this.options.maxRetries || signal.aborted) {
        const statement = sql.slice(0, 120)
        throw new ConnectError('fatal', 'CONNECT_REDSHIFT_STATEMENT', `${outcome.error} (in: ${statement}…)`)
      }
      await this.#runner.backOff(attempt, signal)
    }
  }
}

function isText({ type }: MessageColumn): boolean {
  return type === 'string'
}

/** Length of a VARCHAR type; null for other types. */
function varcharBytes(type: string): number | null {
  const match = /^(?:character varying|varchar)\((\d+)\)$/i.exec(type)
  return match === null ? null : Number(match[1])
}

/** Rows that are there already would have nothing in the new column (statement R46). */
function checkNullable({ columns }: FileMessage, { name }: ColumnDefinition, { table }: TableName): void {
  const column = columns?.find((candidate) => foldName(candidate.name) === name)
  if (column === undefined || column.nullable) return
  const message = `Column ${name} of the files may not be null, and table ${table} lacks it: add it with a default, or make it optional`
  throw new ConnectError('fatal', 'CONNECT_REDSHIFT_EVOLUTION', message)
}

/** A row of `svv_columns` as a column definition that CREATE TABLE takes. */
function definitionOf([name, dataType, length, precision, scale]: ResultRow): ColumnDefinition {
  const type = String(dataType)
  const isSized = length !== null && /char/i.test(type)
  const isScaled = precision !== null && /^(numeric|decimal)/i.test(type)
  const size = isSized ? `(${length})` : isScaled ? `(${precision},${scale ?? 0})` : ''
  return { name: foldName(String(name)), type: `${type}${size}` }
}
