import { DataError } from '../../worker/api/errors.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import { type MessageColumn, parseMetadataMessage } from '../common/metadata-message.ts'
import { loadableFormats } from './copy-statement.ts'
import { type FileMessage, isPositional } from './pending-file.ts'
import { parseS3Event } from './s3-event.ts'
import { foldName, isNameTooLong } from './sql.ts'
import type { UpsertSettings } from './upsert-statements.ts'

/** How messages are read. */
export interface MessageOptions {
  readonly format: 'sluice' | 's3-event'
  readonly upsert: UpsertSettings | null
  /** `s3://bucket/prefix` of manifests, or empty: S3 tells of them, too. */
  readonly manifestPrefix: string
  /** Whether tables are made from the columns of messages (`auto.create`, `auto.evolve`). */
  readonly makesColumns: boolean
  /** Whether COPY finds only columns whose names have no capitals in the files (`copy.json.mode=auto`). */
  readonly matchesCase: boolean
  /** Whether rows become one document each (`copy.json.mode=noshred`). */
  readonly noshred: boolean
}

/**
 * The sets of files that a record of the metadata topic tells of; none when there is nothing to load: files of keys
 * and headers lie beside the values, and an append table has no use for files of tombstones.
 * @throws DataError when it is not a message, or its files cannot be loaded
 */
export function readMessages(record: SinkRecord, options: MessageOptions): readonly FileMessage[] {
  const { value } = record
  const text = value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : value
  const json = typeof text === 'string' ? parseJson(text) : text
  const messages = options.format === 's3-event' ? parseS3Event(json, record.originalTopic, options) : [fromSink(json)]
  const loadable = messages.filter(
    ({ role }) => role === 'value' || (role === 'tombstone' && options.upsert?.deletes === true),
  )
  for (const message of loadable) checkLoadable(message, options)
  return loadable
}

function fromSink(json: unknown): FileMessage {
  const message = parseMetadataMessage(json)
  return { ...message, topic: message.source.topic }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The parser's message quotes the text, which does not belong into logs (I8).
    throw new DataError('CONNECT_METADATA_MESSAGE_INVALID', "Metadata message: '(message)' is not JSON")
  }
}

function checkLoadable({ format, compression, columns, metaFields }: FileMessage, options: MessageOptions): void {
  const refuse = (detail: string) => new DataError('CONNECT_REDSHIFT_FORMAT', `Metadata message: ${detail}`)
  const compressions = loadableFormats[format]
  if (compressions === undefined || (options.noshred && format !== 'json')) {
    const accepted = options.noshred ? 'json (copy.json.mode=noshred)' : Object.keys(loadableFormats).join(', ')
    throw refuse(`'format' is '${format}', this sink loads ${accepted}`)
  }
  if (compressions.length > 0 && !compressions.includes(compression)) {
    throw refuse(`'compression' is '${compression}', COPY reads ${compressions.join(', ')} with ${format}`)
  }
  // What S3 tells of has the columns of the table in their order, as COPY by itself expects.
  if (isPositional(format) && columns === null && options.format === 'sluice') {
    throw refuse(
      `'columns' is missing, but ${format} files have no names that COPY reads: set notify.include.schema=true`,
    )
  }
  if ((options.makesColumns && !options.noshred) || isPositional(format)) checkNames(columns ?? [], refuse)
  const capital = columns?.find(({ name }) => foldName(name) !== name)
  if (capital !== undefined && options.makesColumns && options.matchesCase && format === 'json') {
    throw refuse(
      `the column '${capital.name}' has capitals, which COPY does not find with copy.json.mode=auto: set 'auto ignorecase'`,
    )
  }
  if (options.upsert === null) return
  const needed = options.upsert.fence ? ['__offset', '__partition'] : ['__offset']
  const absent = needed.filter((field) => !metaFields.includes(field))
  if (absent.length === 0) return
  throw refuse(
    `'meta_fields' has no ${absent.join(', ')}, which insert.mode=upsert orders rows by: set format.output.meta.fields=offset,partition,op on the S3 sink`,
  )
}

/** Columns that the warehouse cannot tell apart, or cuts, would be lost without a word (I6). */
function checkNames(columns: readonly MessageColumn[], refuse: (detail: string) => DataError): void {
  const names = new Set<string>()
  for (const { name } of columns) {
    const folded = foldName(name)
    if (isNameTooLong(folded)) throw refuse(`the column '${name}' has a name of more than 127 bytes: rename the field`)
    if (names.has(folded)) throw refuse(`two columns are called '${folded}' in the warehouse: rename one of the fields`)
    names.add(folded)
  }
}
