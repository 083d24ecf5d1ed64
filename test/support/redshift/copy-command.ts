import { identifierName, SqlSyntaxError, TokenReader, wordOf } from './sql-tokens.ts'

/** How time columns are read. */
export type TimeFormat = 'default' | 'auto' | 'epochsecs' | 'epochmillisecs'

/** How JSON members find their columns. */
export type JsonMode =
  | { readonly kind: 'auto'; readonly ignoreCase: boolean }
  | { readonly kind: 'noshred' }
  | { readonly kind: 'jsonpaths'; readonly url: string }

/** Options of delimited text. */
export interface CsvOptions {
  readonly quote: string | null
  readonly delimiter: string
  readonly ignoreHeader: number
  readonly nullAs: string
  readonly emptyAsNull: boolean
  readonly blanksAsNull: boolean
  readonly fillRecord: boolean
}

/** A parsed COPY. */
export interface CopyCommand {
  readonly schema: string | null
  readonly table: string
  /** Null: all columns of the table. */
  readonly columns: readonly string[] | null
  readonly url: string
  readonly iamRole: string | null
  readonly isManifest: boolean
  readonly format:
    | { readonly kind: 'json'; readonly mode: JsonMode }
    | { readonly kind: 'csv'; readonly options: CsvOptions }
    /** `serialise`: structures become SUPER (`SERIALIZETOJSON`). */
    | { readonly kind: 'parquet'; readonly serialise: boolean }
    | { readonly kind: 'avro'; readonly ignoreCase: boolean }
  readonly compression: 'none' | 'gzip' | 'zstd'
  readonly timeFormat: TimeFormat
  readonly truncateColumns: boolean
  /** Replacement for characters that are not UTF-8; null: an error. */
  readonly acceptInvalidCharacters: string | null
  /** The load fails when this many rows are bad. */
  readonly maxErrors: number
  readonly isDryRun: boolean
}

/** Mutable picture of the command while its options are read. */
interface Draft {
  iamRole: string | null
  isManifest: boolean
  format: 'json' | 'csv' | 'delimited' | 'parquet' | 'avro'
  jsonMode: JsonMode
  compression: 'none' | 'gzip' | 'zstd'
  timeFormat: TimeFormat
  truncateColumns: boolean
  acceptInvalidCharacters: string | null
  maxErrors: number
  isDryRun: boolean
  quote: string
  delimiter: string | null
  ignoreHeader: number
  nullAs: string
  emptyAsNull: boolean
  blanksAsNull: boolean
  fillRecord: boolean
  region: string | null
  serialise: boolean
  avroIgnoreCase: boolean
}

/** Takes the noise word AS where the grammar allows it. */
function optionalAs(reader: TokenReader): void {
  reader.accept('as')
}

function jsonMode(text: string): JsonMode {
  const mode = text.toLowerCase()
  if (mode === 'auto') return { kind: 'auto', ignoreCase: false }
  if (mode === 'auto ignorecase') return { kind: 'auto', ignoreCase: true }
  if (mode === 'noshred') return { kind: 'noshred' }
  if (mode.startsWith('s3://')) return { kind: 'jsonpaths', url: text }
  throw new SqlSyntaxError(`invalid JSON option "${text}"`)
}

function avroMode(text: string): boolean {
  const mode = text.toLowerCase()
  if (mode === 'auto' || mode === 'auto ignorecase') return mode !== 'auto'
  throw new SqlSyntaxError(`AVRO '${text}' is not supported by the emulator (auto, auto ignorecase are)`)
}

function readFormat(reader: TokenReader, draft: Draft): void {
  const token = reader.next()
  switch (wordOf(token)) {
    case 'json':
      draft.format = 'json'
      optionalAs(reader)
      if (reader.peek()?.kind === 'string') draft.jsonMode = jsonMode(reader.string())
      return
    case 'csv':
      draft.format = 'csv'
      return
    case 'parquet':
      draft.format = 'parquet'
      return
    case 'avro':
      draft.format = 'avro'
      optionalAs(reader)
      if (reader.peek()?.kind === 'string') draft.avroIgnoreCase = avroMode(reader.string())
      return
    default:
      throw new SqlSyntaxError(`syntax error at or near "${token.text}"`)
  }
}

function readTimeFormat(text: string): TimeFormat {
  const format = text.toLowerCase()
  if (format === 'auto' || format === 'epochsecs' || format === 'epochmillisecs') return format
  throw new SqlSyntaxError(
    `TIMEFORMAT '${text}' is not supported by the emulator (auto, epochsecs, epochmillisecs are)`,
  )
}

function skipSwitch(reader: TokenReader): void {
  if (['on', 'off', 'true', 'false', 'preset'].includes(wordOf(reader.peek()))) reader.next()
}

/** One option each; the key is the option's first word. */
const options: Readonly<Record<string, (reader: TokenReader, draft: Draft) => void>> = {
  iam_role: (reader, draft) => {
    optionalAs(reader)
    draft.iamRole = reader.accept('default') ? 'default' : reader.string()
  },
  region: (reader, draft) => {
    optionalAs(reader)
    draft.region = reader.string()
  },
  manifest: (_, draft) => {
    draft.isManifest = true
  },
  format: (reader, draft) => {
    optionalAs(reader)
    readFormat(reader, draft)
  },
  json: (reader, draft) => {
    draft.format = 'json'
    optionalAs(reader)
    if (reader.peek()?.kind === 'string') draft.jsonMode = jsonMode(reader.string())
  },
  csv: (_, draft) => {
    draft.format = 'csv'
  },
  quote: (reader, draft) => {
    optionalAs(reader)
    draft.quote = reader.string()
  },
  delimiter: (reader, draft) => {
    optionalAs(reader)
    draft.delimiter = reader.string()
  },
  gzip: (_, draft) => {
    draft.compression = 'gzip'
  },
  zstd: (_, draft) => {
    draft.compression = 'zstd'
  },
  timeformat: (reader, draft) => {
    optionalAs(reader)
    draft.timeFormat = readTimeFormat(reader.string())
  },
  dateformat: (reader) => {
    optionalAs(reader)
    const format = reader.string()
    if (format.toLowerCase() !== 'auto') {
      throw new SqlSyntaxError(`DATEFORMAT '${format}' is not supported by the emulator (auto is)`)
    }
  },
  truncatecolumns: (_, draft) => {
    draft.truncateColumns = true
  },
  acceptinvchars: (reader, draft) => {
    optionalAs(reader)
    draft.acceptInvalidCharacters = reader.peek()?.kind === 'string' ? reader.string() : '?'
  },
  maxerror: (reader, draft) => {
    optionalAs(reader)
    draft.maxErrors = Math.max(1, reader.integer())
  },
  noload: (_, draft) => {
    draft.isDryRun = true
  },
  ignoreheader: (reader, draft) => {
    optionalAs(reader)
    draft.ignoreHeader = reader.integer()
  },
  null: (reader, draft) => {
    optionalAs(reader)
    draft.nullAs = reader.string()
  },
  emptyasnull: (_, draft) => {
    draft.emptyAsNull = true
  },
  blanksasnull: (_, draft) => {
    draft.blanksAsNull = true
  },
  fillrecord: (_, draft) => {
    draft.fillRecord = true
  },
  serializetojson: (_, draft) => {
    draft.serialise = true
  },
  compupdate: skipSwitch,
  statupdate: skipSwitch,
}

function newDraft(): Draft {
  return {
    iamRole: null,
    isManifest: false,
    format: 'delimited',
    jsonMode: { kind: 'auto', ignoreCase: false },
    compression: 'none',
    timeFormat: 'default',
    truncateColumns: false,
    acceptInvalidCharacters: null,
    maxErrors: 1,
    isDryRun: false,
    quote: '"',
    delimiter: null,
    ignoreHeader: 0,
    nullAs: '\\N',
    emptyAsNull: false,
    blanksAsNull: false,
    fillRecord: false,
    region: null,
    serialise: false,
    avroIgnoreCase: false,
  }
}

function formatOf(draft: Draft): CopyCommand['format'] {
  if (draft.format === 'json') return { kind: 'json', mode: draft.jsonMode }
  if (draft.format === 'parquet') return { kind: 'parquet', serialise: draft.serialise }
  if (draft.format === 'avro') return { kind: 'avro', ignoreCase: draft.avroIgnoreCase }
  const { ignoreHeader, nullAs, emptyAsNull, blanksAsNull, fillRecord } = draft
  const isCsv = draft.format === 'csv'
  const options: CsvOptions = {
    quote: isCsv ? draft.quote : null,
    delimiter: draft.delimiter ?? (isCsv ? ',' : '|'),
    ignoreHeader,
    nullAs,
    emptyAsNull,
    blanksAsNull,
    fillRecord,
  }
  return { kind: 'csv', options }
}

/**
 * Parses COPY … FROM 's3://…'.
 * @throws SqlSyntaxError for an unknown option, a missing role, and what cannot be combined
 */
export function parseCopy(sql: string): CopyCommand {
  const reader = new TokenReader(sql)
  reader.expect('copy')
  const { schema, name } = reader.qualifiedName()
  const columns = readColumns(reader)
  reader.expect('from')
  const url = reader.string()
  if (!url.startsWith('s3://'))
    throw new SqlSyntaxError(`COPY from "${url}" is not supported by the emulator, only s3://`)
  const draft = newDraft()
  const seen = new Set<string>()
  while (reader.peek() !== undefined && !reader.accept(';')) {
    const token = reader.next()
    const word = wordOf(token)
    const option = Object.hasOwn(options, word) ? options[word] : undefined
    if (option === undefined) throw new SqlSyntaxError(`syntax error at or near "${token.text}"`)
    if (seen.has(word)) throw new SqlSyntaxError('conflicting or redundant options')
    seen.add(word)
    option(reader, draft)
  }
  checkFormatOptions(draft, seen)
  if (draft.iamRole === null)
    throw new SqlSyntaxError('No authorization specified, IAM_ROLE or CREDENTIALS required for COPY from S3')
  const {
    iamRole,
    isManifest,
    compression,
    timeFormat,
    truncateColumns,
    acceptInvalidCharacters,
    maxErrors,
    isDryRun,
  } = draft
  return {
    schema,
    table: name,
    columns,
    url,
    iamRole,
    isManifest,
    format: formatOf(draft),
    compression,
    timeFormat,
    truncateColumns,
    acceptInvalidCharacters,
    maxErrors,
    isDryRun,
  }
}

function readColumns(reader: TokenReader): readonly string[] | null {
  if (!reader.accept('(')) return null
  const columns: string[] = []
  do columns.push(identifierName(reader.next()))
  while (reader.accept(','))
  reader.expect(')')
  return columns
}

/** Parquet takes few options, Avro is compressed by its own codec. */
const refusedOptions: Readonly<Record<string, readonly string[]>> = {
  parquet: [
    'region',
    'maxerror',
    'gzip',
    'zstd',
    'timeformat',
    'dateformat',
    'ignoreheader',
    'compupdate',
    'emptyasnull',
  ],
  avro: ['gzip', 'zstd', 'ignoreheader'],
}

function checkFormatOptions({ format, serialise }: Draft, seen: ReadonlySet<string>): void {
  const refused = refusedOptions[format]?.find((option) => seen.has(option))
  if (refused !== undefined) {
    throw new SqlSyntaxError(
      `${refused.toUpperCase()} argument is not supported for ${format.toUpperCase()} based COPY`,
    )
  }
  if (serialise && format !== 'parquet')
    throw new SqlSyntaxError('SERIALIZETOJSON is only supported for columnar formats')
}
