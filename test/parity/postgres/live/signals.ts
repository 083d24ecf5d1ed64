/** Signals to both connectors of a round: what they ask for, and how they get there. */
import { appendFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Random } from '../../../support/random.ts'
import { named, nameOf, type RandomDatabase, type Table } from './tables.ts'
import { pickFrom, quoted } from './types.ts'

export interface Signal {
  readonly type: 'execute-snapshot' | 'stop-snapshot' | 'pause-snapshot' | 'resume-snapshot' | 'log'
  readonly data: object
}

/** Signals that are sent at once, and what both have sent when they are through with them. */
export interface SignalStep {
  readonly signals: readonly Signal[]
  /** The notification of both that says so; a snapshot that completes is never paused any more. */
  readonly until: 'COMPLETED' | 'PAUSED'
}

/** How a round sends signals: by rows that the stream carries, or by a file with nothing written to the database. */
export type SignalWay = 'table' | 'file'

/**
 * The table that both connectors take signals from. Each sees the markers of both, and passes over the other's; as they
 * have random names and times, the topic is not compared.
 */
export const signalTableSql = `CREATE TABLE public.asked (id varchar(64) PRIMARY KEY, type varchar(32), data varchar(2048))`
export const signalTopic = /[^a-z]asked$/
export const noticeTopic = 'notices'

/** Once a signal has made Debezium read a table with generated columns, it has them in later changes as well. */
const isSimple = ({ columns, key }: Table): boolean => columns.every((c) => !c.isGenerated || key.includes(c.name))

const tableIds = (random: Random, tables: readonly Table[]): readonly string[] =>
  tables.filter((table) => isSimple(table) && random.next() < 0.6).map(({ schema, name }) => `${schema}.${name}`)

const escaped = (text: string): string => text.replaceAll(/[.^$*+?()[\]{}|\\]/g, '\\$&')

/** Steps that read some tables again; an incremental snapshot is now and then held up after its first chunk. */
export function* signalSteps(random: Random, database: RandomDatabase): Generator<SignalStep> {
  // By name: what a pattern matches is, in Debezium, the tables that it has seen so far, and the signal table, too.
  const collections = [...tableIds(random, database.tables).map(escaped), ...(random.next() < 0.2 ? ['none.such'] : [])]
  if (collections.length === 0) return
  const table = pickFrom(random, database.tables)
  const id = escaped(`${table.schema}.${table.name}`)
  if (random.next() < 0.3) {
    const condition = { 'data-collection': id, filter: `SELECT * FROM ${nameOf(table)} LIMIT 2` }
    const conditions = random.next() < 0.4 ? { 'additional-conditions': [condition] } : {}
    const data = { type: 'BLOCKING', 'data-collections': collections, ...conditions }
    yield { signals: [{ type: 'execute-snapshot', data }], until: 'COMPLETED' }
    return
  }
  const column = pickFrom(random, table.columns)
  const filter = `${named(column.name)} IS NOT NULL`
  const data = {
    type: 'incremental',
    'data-collections': collections,
    ...(random.next() < 0.3 ? { 'additional-conditions': [{ 'data-collection': id, filter }] } : {}),
  }
  const execute: Signal = { type: 'execute-snapshot', data }
  if (random.next() < 0.5) yield { signals: [execute], until: 'COMPLETED' }
  else {
    yield { signals: [execute, { type: 'pause-snapshot', data: {} }], until: 'PAUSED' }
    yield { signals: [{ type: 'resume-snapshot', data: {} }], until: 'COMPLETED' }
  }
}

/** The rows by which both get signals at once. */
export function signalRows(signals: readonly Signal[], token: string): string {
  const rows = signals.map(
    ({ type, data }, i) => `(${[`${token}-${i}`, type, JSON.stringify(data)].map(quoted).join(', ')})`,
  )
  return `INSERT INTO public.asked VALUES ${rows.join(', ')}`
}

/** Options by which a connector takes signals and tells what they led to, and its file of signals. */
export class SignalLine implements AsyncDisposable {
  readonly options: Readonly<Record<string, string>>
  readonly way: SignalWay
  readonly #file: string
  readonly #folder: string

  private constructor(way: SignalWay, folder: string, prefix: string) {
    this.way = way
    this.#folder = folder
    this.#file = join(folder, 'signals.txt')
    const byWay =
      way === 'table'
        ? { 'signal.data.collection': 'public.asked' }
        : {
            'read.only': 'true',
            'signal.enabled.channels': 'file',
            'signal.file': this.#file,
            'signal.poll.interval.ms': '100',
            // Debezium's read-only chunks end with a change or a heartbeat behind them.
            'heartbeat.interval.ms': '200',
          }
    this.options = {
      ...byWay,
      'incremental.snapshot.chunk.size': '2',
      'notification.enabled.channels': 'sink',
      'notification.sink.topic.name': `${prefix}.${noticeTopic}`,
    }
  }

  static async open(way: SignalWay, prefix: string): Promise<SignalLine> {
    return new SignalLine(way, await mkdtemp(join(tmpdir(), 'signals-')), prefix)
  }

  /** Sends signals at once by the file. */
  async write(signals: readonly Signal[], token: string): Promise<void> {
    const lines = signals.map(({ type, data }, i) => `${JSON.stringify({ id: `${token}-${i}`, type, data })}\n`)
    await appendFile(this.#file, lines.join(''))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
  }
}
