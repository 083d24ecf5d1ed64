import { createHash } from 'node:crypto'
import { DataError } from '../../worker/api/errors.ts'
import type { FileMessage } from './pending-file.ts'
import { isNameTooLong, normaliseName } from './sql.ts'

/** What `table.name.format` may hold. */
export const tableVariables = ['table', 'event_key', 'topic', 'bucket'] as const
type TableVariable = (typeof tableVariables)[number]

/** All in one pass: a value may hold the text of a variable. */
const variable = new RegExp(`\\$\\{(${tableVariables.join('|')})\\}`, 'g')

/** Which tables a sink writes to (`table.name.map`, `table.name.format`, `ledger.table.format`). */
export interface NameOptions {
  readonly map: ReadonlyMap<string, string>
  readonly format: string
  readonly ledgerFormat: string
}

/**
 * Table of a message. The map wins over the format; names are normalised in this one place.
 * @throws DataError when it has none, or that of a ledger: event keys come from records, and whoever writes those must
 *   not be able to write into the memory of what is loaded
 */
export function tableFor(message: FileMessage, { map, format, ledgerFormat }: NameOptions): string {
  const eventKey = message.eventKey ?? message.topic
  const mapped = map.get(eventKey) ?? map.get(message.topic)
  if (mapped !== undefined) return normaliseName(mapped)
  const values: Readonly<Record<TableVariable, string>> = {
    table: message.table ?? eventKey,
    event_key: eventKey,
    topic: message.topic,
    bucket: message.files[0]?.bucket ?? '',
  }
  const name = normaliseName(format.replaceAll(variable, (_, named: TableVariable) => values[named]))
  if (name === '') throw refuse('its event key is empty: put text around the variable in table.name.format')
  const [before = '', after = ''] = normaliseParts(ledgerFormat)
  if (name.length > before.length + after.length && name.startsWith(before) && name.endsWith(after)) {
    throw refuse(`'${name}' is the name of a ledger (ledger.table.format): give it another one with table.name.map`)
  }
  return name
}

/** Ledger of a table. Where the two together are too long, a hash keeps ledgers of different tables apart. */
export function ledgerFor(table: string, ledgerFormat: string): string {
  const name = normaliseParts(ledgerFormat).join(table)
  if (!isNameTooLong(name)) return name
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 16)
  return `${name.slice(0, 110)}_${hash}`
}

/** What stands before and after the table's name. */
function normaliseParts(ledgerFormat: string): readonly string[] {
  return ledgerFormat.split('${table}').map(normaliseName)
}

function refuse(detail: string): DataError {
  return new DataError('CONNECT_REDSHIFT_FORMAT', `Metadata message: it has no table to go to, ${detail}`)
}
