import { ConnectError } from '../../worker/api/errors.ts'
import type { MetadataMessage } from '../common/metadata-message.ts'
import type { CopyRunner } from './copy-runner.ts'
import { classifyStatement } from './errors.ts'
import { createLedger } from './ledger.ts'
import { literal, type TableName } from './sql.ts'
import { addColumn, columnDefinitions, createTable, type TableOptions } from './table-definition.ts'

export interface TablesOptions {
  readonly autoCreate: boolean
  readonly autoEvolve: boolean
  readonly definition: TableOptions
  readonly maxRetries: number
}

/** Another task, or a second statement of ours, made the same thing at the same time. */
const alreadyThere = /already exists|concurrently updated|pg_type_typname|pg_class_relname|duplicate key/i

/**
 * Creates and widens tables, each statement by itself and before the load: DDL inside of it would commit the load, or
 * could not run. Remembers what is there.
 */
export class Tables {
  readonly #runner: CopyRunner
  readonly #options: TablesOptions
  /** Columns of the tables that are known, by table name. */
  readonly #known = new Map<string, Set<string>>()
  readonly #ledgers = new Set<string>()

  constructor(runner: CopyRunner, options: TablesOptions) {
    this.#runner = runner
    this.#options = options
  }

  /** Makes ledger and, as far as the options allow, the target ready for these messages. @throws ConnectError */
  async prepare(
    { target, ledger }: { readonly target: TableName; readonly ledger: TableName },
    messages: readonly MetadataMessage[],
    signal: AbortSignal,
  ): Promise<void> {
    if (!this.#ledgers.has(ledger.table)) {
      await this.#execute(createLedger(ledger), signal)
      this.#ledgers.add(ledger.table)
    }
    const { autoCreate, autoEvolve, definition } = this.#options
    if (!autoCreate && !autoEvolve) return
    for (const message of messages) {
      const columns = columnDefinitions(message, definition)
      if (columns === null) continue
      if (autoCreate && !this.#known.has(target.table)) {
        await this.#execute(createTable(target, columns, definition), signal)
        // Only what a look into the catalog says: the table may have been there with other columns.
        this.#known.set(target.table, autoEvolve ? await this.#columnsOf(target, signal) : new Set())
      }
      if (!autoEvolve) continue
      const known = this.#known.get(target.table) ?? (await this.#columnsOf(target, signal))
      this.#known.set(target.table, known)
      for (const column of columns) {
        if (known.has(column.name) || known.size === 0) continue
        await this.#execute(addColumn(target, column), signal)
        known.add(column.name)
      }
    }
  }

  /** After an error that tells of a table or column: look again next time. */
  forget({ table }: TableName): void {
    this.#known.delete(table)
  }

  async #columnsOf({ schema, table }: TableName, signal: AbortSignal): Promise<Set<string>> {
    const where = `table_schema = ${literal(schema)} AND table_name = ${literal(table)}`
    const rows = await this.#runner.query(`SELECT column_name FROM svv_columns WHERE ${where}`, signal)
    return new Set(rows.map(([name]) => String(name).toLowerCase()))
  }

  async #execute(sql: string, signal: AbortSignal): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.#runner.run([sql], sql, attempt, signal)
      if (outcome.kind === 'finished' || alreadyThere.test(outcome.error)) return
      const mayPass = outcome.kind === 'unknown' || classifyStatement(outcome.error) === 'transient'
      if (!mayPass || attempt > this.#options.maxRetries || signal.aborted) {
        const statement = sql.slice(0, 120)
        throw new ConnectError('fatal', 'CONNECT_REDSHIFT_STATEMENT', `${outcome.error} (in: ${statement}…)`)
      }
      await this.#runner.backOff(attempt, signal)
    }
  }
}
