/** `sluice verify`: whether what is in the source topic, in the files, in the ledger and in the tables is the same. */

import { setTimeout as delay } from 'node:timers/promises'
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { foldName } from '../../connectors/redshift/sql.ts'
import { ConfigError, toError } from '../api/errors.ts'
import { subcommand } from './subcommand.ts'
import { checkAnnounced, readAnnouncements } from './verify/announced-check.ts'
import { checkCoverage } from './verify/coverage-check.ts'
import { checkFiles } from './verify/file-check.ts'
import { agreedOn, type Finding, findingOf, type Look } from './verify/finding.ts'
import { checkLedger, type LedgerEntry, readLedger } from './verify/ledger-check.ts'
import { checkTables, type TablePair } from './verify/table-check.ts'
import { type LedgeredTable, nameOf, Warehouse } from './verify/target.ts'

const usage = `Usage: sluice verify <redshift-sink.json> [options]

Compares the ends of a warehouse pipeline while it runs. The file is that of the Redshift sink connector.
  --bootstrap-servers HOST:PORT  also source topic → files and metadata topic → ledger
  --records                      also source topic → files, record by record between the ranges of files: every record
                                 must be in one, so not with transforms that filter (needs --bootstrap-servers)
  --files                        also files → table, row by row, told by partition and offset; not their values
                                 (reads every file; needs --bootstrap-servers)
  --tables A,B                   only these tables (default: all with a ledger)
  --against SCHEMA               also SCHEMA.table ↔ table, e.g. of the old pipeline
  --key COLUMNS                  what tells rows apart with --against
  --columns COLUMNS              what is compared with --against (default: what both have)
  --time COLUMN                  time of a row in epoch ms: compares per hour
  --until ISO-TIME               leaves later rows out with --time (default: 15 minutes ago)
  --attempts N                   looks again N-1 times, 5 s apart: what all looks agree on counts (default 3)
  --json                         one JSON document instead of text
Exit codes: 0 no differences, 1 differences, 2 the comparison could not be made.
`

const optionTypes = {
  'bootstrap-servers': { type: 'string' },
  records: { type: 'boolean' },
  files: { type: 'boolean' },
  tables: { type: 'string' },
  against: { type: 'string' },
  key: { type: 'string' },
  columns: { type: 'string' },
  time: { type: 'string' },
  until: { type: 'string' },
  attempts: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies ParseArgsConfig['options']

const pauseMs = 5000
const graceMs = 900_000

/** What is compared, as the command line says it. */
export interface VerifyOptions {
  readonly file: string
  readonly bootstrapServers: string | null
  readonly records: boolean
  readonly files: boolean
  /** Null: every table with a ledger. */
  readonly tables: readonly string[] | null
  readonly against: (Omit<TablePair, 'left' | 'right'> & { readonly schema: string }) | null
  readonly attempts: number
  readonly json: boolean
}

/** @returns the exit code */
export async function run(args: readonly string[]): Promise<number> {
  return await subcommand(
    usage,
    () => readOptions(args),
    async (options) => {
      try {
        const findings = await verify(options, new AbortController().signal)
        process.stdout.write(options.json ? `${JSON.stringify({ findings }, null, 2)}\n` : textOf(findings))
        return findings.every(({ differences }) => differences.length === 0) ? 0 : 1
      } catch (error) {
        process.stderr.write(`The comparison could not be made: ${toError(error).message}\n`)
        return 2
      }
    },
  )
}

function readOptions(args: readonly string[]): VerifyOptions | null {
  const { values, positionals } = parseArgs({ args: [...args], options: optionTypes, allowPositionals: true })
  if (values.help === true) return null
  const [file, ...rest] = positionals
  if (file === undefined || rest.length > 0) throw new Error('verify takes one file: the Redshift sink connector')
  const list = (text: string | undefined) =>
    (text ?? '')
      .split(',')
      .map((item) => foldName(item.trim()))
      .filter(Boolean)
  const bootstrapServers = values['bootstrap-servers'] ?? null
  for (const option of ['records', 'files'] as const) {
    if (values[option] === true && bootstrapServers === null) throw new Error(`--${option} needs --bootstrap-servers`)
  }
  const keys = list(values.key)
  if (values.against !== undefined && keys.length === 0) throw new Error('--against needs --key')
  const until = values.until === undefined ? Date.now() - graceMs : Date.parse(values.until)
  if (Number.isNaN(until)) throw new Error(`--until ${values.until} is not a time such as 2026-11-20T23:00:00Z`)
  const attempts = Number(values.attempts ?? '3')
  if (!Number.isInteger(attempts) || attempts < 1)
    throw new Error(`--attempts ${values.attempts} is not a number from 1 on`)
  const time = values.time === undefined ? null : foldName(values.time)
  const against = values.against === undefined ? undefined : foldName(values.against)
  return {
    file,
    bootstrapServers,
    records: values.records ?? false,
    files: values.files ?? false,
    tables: values.tables === undefined ? null : list(values.tables),
    against: against === undefined ? null : { schema: against, keys, columns: list(values.columns), time, until },
    attempts,
    json: values.json ?? false,
  }
}

/**
 * Compares everything that the options ask for. Differences that pass while data is on its way are none: only what
 * several looks agree on counts. @throws ConnectError, ConfigError when the comparison cannot be made
 */
export async function verify(options: VerifyOptions, signal: AbortSignal): Promise<readonly Finding[]> {
  using warehouse = await Warehouse.open(options.file, signal)
  const differs = (found: readonly Look[]) => found.some(({ differences }) => differences.length > 0)
  let looks = await compare(warehouse, options, signal)
  for (let attempt = 1; attempt < options.attempts && differs(looks); attempt++) {
    await delay(pauseMs, undefined, { signal })
    looks = agreedOn(looks, await compare(warehouse, options, signal))
  }
  return looks.map(findingOf)
}

async function compare(warehouse: Warehouse, options: VerifyOptions, signal: AbortSignal): Promise<readonly Look[]> {
  const tables = await chosenTables(warehouse, options.tables)
  const looks: Look[] = []
  if (options.bootstrapServers !== null) {
    const connection = { 'bootstrap.servers': options.bootstrapServers }
    const announcements = await readAnnouncements(warehouse, connection, signal)
    // After the messages, so that what is announced meanwhile is not missed.
    const ledgers = new Map<string, readonly LedgerEntry[]>()
    for (const table of tables) ledgers.set(table.target.table, await readLedger(warehouse, table))
    const chosen = announcements.announced.filter(({ table }) => options.tables === null || ledgers.has(table))
    const coverage = { connection, readsRecords: options.records }
    looks.push(...(await checkCoverage(announcements, coverage, signal)))
    looks.push(checkAnnounced({ ...announcements, announced: chosen }, ledgers))
    if (options.files) {
      const expected = {
        announced: chosen.filter(({ message }) => !announcements.reported.has(message.id)),
        isComplete: announcements.isComplete,
      }
      for (const table of tables) looks.push(await checkFiles(warehouse, table, expected))
    }
  }
  for (const table of tables) looks.push(await checkLedger(warehouse, table))
  if (options.against === null) return looks
  const { schema, ...how } = options.against
  for (const { target } of tables) {
    looks.push(await checkTables(warehouse, { ...how, left: { schema, table: target.table }, right: target }))
  }
  return looks
}

async function chosenTables(warehouse: Warehouse, names: readonly string[] | null): Promise<readonly LedgeredTable[]> {
  const tables = await warehouse.ledgeredTables()
  if (names === null) {
    if (tables.length > 0) return tables
    const { 'redshift.schema': schema, 'ledger.table.format': format } = warehouse.config
    const message = `schema ${schema} has no table with a ledger (${format}): nothing was loaded, or elsewhere`
    throw new ConfigError([{ option: 'redshift.schema', message }])
  }
  const absent = names.filter((name) => !tables.some(({ target }) => target.table === name))
  if (absent.length === 0) return tables.filter(({ target }) => names.includes(target.table))
  const known = tables.map(({ target }) => nameOf(target)).join(', ')
  throw new ConfigError([
    { option: '--tables', message: `no ledger for ${absent.join(', ')}; with a ledger: ${known || 'none'}` },
  ])
}

function textOf(findings: readonly Finding[]): string {
  const lines: string[] = []
  for (const { what, figures, differences, notes } of findings) {
    const numbers = Object.entries(figures).map(([name, figure]) => `${name} ${figure}`)
    lines.push(`${differences.length === 0 ? '✔' : '✖'} ${what}: ${numbers.join(', ')}`)
    for (const difference of differences) lines.push(`    ${difference}`)
    for (const note of notes) lines.push(`    (${note})`)
  }
  const count = findings.reduce((sum, { differences }) => sum + differences.length, 0)
  lines.push('', count === 0 ? 'no differences' : `${count} ${count === 1 ? 'difference' : 'differences'}`)
  return `${lines.join('\n')}\n`
}
