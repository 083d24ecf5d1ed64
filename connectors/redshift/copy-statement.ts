import type { ObjectAddress } from '../common/object-store.ts'
import type { FileMessage } from './pending-file.ts'
import { identifier, literal, type TableName } from './sql.ts'

/** What the COPY of every batch shares. */
export interface CopySettings {
  readonly iamRole: string
  /** Region of the files when it is not that of the warehouse; empty otherwise. */
  readonly region: string
  readonly jsonMode: string
  /** Whether CSV files begin with a line of column names. */
  readonly csvHeader: boolean
  readonly options: string
  readonly maxErrors: number
  readonly verifyCounts: boolean
  /** Columns to load; empty loads all. */
  readonly fields: readonly string[]
}

/** One load: a batch of file sets into one table. */
export interface Load {
  readonly target: TableName
  readonly ledger: TableName
  readonly messages: readonly FileMessage[]
  readonly manifest: ObjectAddress
  readonly batch: string
  readonly connector: string
}

/** Options of `copy.options` that columnar formats refuse. */
const textOnly =
  /\b(?:TIMEFORMAT|DATEFORMAT)\s+(?:AS\s+)?'[^']*'|\b(?:ACCEPTINVCHARS(?:\s+(?:AS\s+)?'[^']*')?|TRUNCATECOLUMNS|COMPUPDATE\s+\w+)/gi

/** COPY of a manifest into a table. */
export function copyStatement(into: string, load: Load, settings: CopySettings): string {
  const { format, compression } = load.messages[0] ?? { format: 'json', compression: 'none' }
  const columns = settings.fields.length === 0 ? '' : ` (${settings.fields.map(identifier).join(', ')})`
  const role = settings.iamRole === 'default' ? 'default' : literal(settings.iamRole)
  const parts = [
    `COPY ${into}${columns} FROM ${literal(`s3://${load.manifest.bucket}/${load.manifest.key}`)}`,
    `IAM_ROLE ${role} MANIFEST FORMAT AS ${formatClause(format, settings)}`,
  ]
  if (format === 'parquet') {
    // Structures become documents only when COPY is told so.
    if (load.messages.some(hasStructures)) parts.push('SERIALIZETOJSON')
    const rest = settings.options.replaceAll(textOnly, '').replaceAll(/\s+/g, ' ').trim()
    return [...parts, ...(rest === '' ? [] : [rest])].join(' ')
  }
  // Avro files are compressed by their own codec.
  if (format !== 'avro' && compression !== 'none') parts.push(compression.toUpperCase())
  if (settings.region !== '') parts.push(`REGION ${literal(settings.region)}`)
  if (settings.maxErrors > 0) parts.push(`MAXERROR ${settings.maxErrors}`)
  if (settings.options !== '') parts.push(settings.options)
  return parts.join(' ')
}

const structures: ReadonlySet<string> = new Set(['array', 'map', 'struct'])
const hasStructures = ({ columns }: FileMessage) => columns?.some(({ type }) => structures.has(type)) ?? false

/** What a message's `format` is in COPY's words; the formats are those of `loadableFormats`. */
function formatClause(format: string, { jsonMode, csvHeader }: CopySettings): string {
  switch (format) {
    case 'csv':
      // A null is an empty field, so empty text in CSV comes as null, too.
      return `CSV QUOTE '"'${csvHeader ? ' IGNOREHEADER 1' : ''} EMPTYASNULL`
    case 'parquet':
      return 'PARQUET'
    case 'avro':
      return `AVRO 'auto ignorecase'`
    default:
      return `JSON ${literal(jsonMode)}`
  }
}

/** Formats that COPY reads, with the compressions that it undoes. */
export const loadableFormats: Readonly<Record<string, readonly string[]>> = {
  json: ['none', 'gzip', 'zstd'],
  csv: ['none', 'gzip', 'zstd'],
  // Compressed inside of the file, by whatever codec.
  parquet: [],
  avro: [],
}
