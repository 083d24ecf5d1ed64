import type { RawOptionTexts } from '../../worker/api/config.ts'
import type { ConfigProblem } from '../../worker/api/errors.ts'
import { checkAwsCredentials } from '../common/aws-credentials.ts'
import type { S3SinkConfig } from './config-options.ts'
import { unwritableCodec, writableCodec } from './formats/codec-names.ts'
import type { FormatName } from './formats/format.ts'
import { type NameTemplate, parseNameTemplate } from './name-template.ts'
import { isTimeZone } from './options/choices.ts'

export type PartitionerName = 'Default' | 'Field' | 'TimeBased' | 'Daily' | 'Hourly' | 'Key' | 'Header'
export type ExtractorName = 'Wallclock' | 'Record' | 'RecordField'
export type SchemaCompatibility = 'NONE' | 'BACKWARD' | 'FORWARD' | 'FULL'

/** Members that `format.output.meta.fields` can add, and their names in a row. */
export const metaFieldNames = {
  offset: '__offset',
  partition: '__partition',
  timestamp: '__ts',
  topic: '__topic',
  key: '__key',
  op: '__op',
  headers: '__headers',
} as const
export type MetaField = keyof typeof metaFieldNames

const formats: Readonly<Record<string, FormatName>> = {
  JsonFormat: 'json',
  ByteArrayFormat: 'bytes',
  CsvFormat: 'csv',
  AvroFormat: 'avro',
  ParquetFormat: 'parquet',
}
const partitioners: readonly PartitionerName[] = ['Default', 'Field', 'TimeBased', 'Daily', 'Hourly', 'Key', 'Header']
const extractors: readonly ExtractorName[] = ['Wallclock', 'Record', 'RecordField']

const simpleName = (className: string) => className.slice(className.lastIndexOf('.') + 1)

/** Format of a `*.format.class`; null when it is unknown. */
export function formatOf(className: string): FormatName | null {
  return formats[simpleName(className)] ?? null
}

export function partitionerOf(className: string): PartitionerName | null {
  const name = simpleName(className).replace(/Partitioner$/, '')
  return partitioners.find((p) => p === name) ?? null
}

/** Short names and the Java class names (`…TimeBasedPartitioner$RecordTimestampExtractor`). */
export function extractorOf(text: string): ExtractorName | null {
  const name = text.slice(Math.max(text.lastIndexOf('.'), text.lastIndexOf('$')) + 1).replace(/TimestampExtractor$/, '')
  return extractors.find((e) => e.toLowerCase() === name.toLowerCase()) ?? null
}

/** Anything but the exact names is NONE, also a name in small letters, as in Java. */
export function compatibilityOf(text: string): SchemaCompatibility {
  const known: readonly SchemaCompatibility[] = ['BACKWARD', 'FORWARD', 'FULL']
  return known.find((c) => c === text) ?? 'NONE'
}

/** The template of names; null when they follow the other options. @throws RangeError when it is none */
export function templateOf(config: S3SinkConfig): NameTemplate | null {
  const text = config['file.name.template']
  if (text === '') return null
  const source = config['file.name.timestamp.source'].toLowerCase() === 'event' ? 'event' : 'wallclock'
  return parseNameTemplate(text, { timeZone: config['file.name.timestamp.timezone'], source })
}

export function isMetaField(name: string): name is MetaField {
  return Object.hasOwn(metaFieldNames, name)
}

/** Rules between the options of the S3 sink; every problem, each under the option that the user would change. */
export function checkS3Config(config: S3SinkConfig, raw: RawOptionTexts): readonly ConfigProblem[] {
  return [
    ...checkForeign(raw),
    ...checkTemplate(config),
    ...checkFormats(config),
    ...checkTombstoneRows(config),
    ...checkPartitioner(config),
    ...checkRotation(config),
    ...checkAws(config),
    ...checkNotify(config),
  ]
}

/** Options of Aiven's connector whose meaning another option has here: left out in silence, they would change the data. */
const foreignOptions: readonly (readonly [foreign: string, option: string, remedy: string])[] = [
  ['aws.s3.prefix', 'topics.dir', 'set topics.dir, which stands before every name'],
  ['file.max.records', 'flush.size', 'set flush.size'],
  ['format.output.type', 'format.class', 'choose the class of the format, e.g. JsonFormat for jsonl'],
  ['format.output.fields', 'format.output.meta.fields', 'values are rows here: choose what is added to them'],
  ['format.output.fields.value.encoding', 'format.class', 'choose ByteArrayFormat for values as they are'],
  ['format.output.envelope', 'format.class', 'values are rows here, without an envelope'],
]

function checkForeign(raw: RawOptionTexts): ConfigProblem[] {
  return foreignOptions
    .filter(([foreign]) => Object.hasOwn(raw, foreign))
    .map(([foreign, option, remedy]) => ({ option, message: `${foreign} has no effect in this sink: ${remedy}` }))
}

/** One object per key has no commits of files, so what belongs to those does not go with it. */
function checkTemplate(config: S3SinkConfig): ConfigProblem[] {
  const option = 'file.name.template'
  const template = config[option]
  if (template === '') {
    if (config['compact.merge']) {
      return [{ option: 'compact.merge', message: `needs one object per key: set ${option}={{key}}` }]
    }
    if (config['behavior.on.null.values'].toLowerCase() !== 'delete') return []
    return [{ option: 'behavior.on.null.values', message: `delete needs one object per key: set ${option}={{key}}` }]
  }
  const zone = config['file.name.timestamp.timezone']
  if (!isTimeZone(zone))
    return [{ option: 'file.name.timestamp.timezone', message: `'${zone}' is not a known time zone` }]
  let parsed: NameTemplate | null
  try {
    parsed = templateOf(config)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return [{ option, message: error.message }]
  }
  const problems: ConfigProblem[] = []
  if (parsed?.kind === 'files') return checkFileTemplate(config, parsed)
  const refuse = (other: string) => problems.push({ option: other, message: `does not go with ${option}` })
  if (config['notify.topic'] !== '') refuse('notify.topic')
  if (config['store.kafka.keys']) refuse('store.kafka.keys')
  if (config['store.kafka.headers']) refuse('store.kafka.headers')
  if (config['commit.journal.prefix'] !== '') refuse('commit.journal.prefix')
  if (config['s3.object.tagging']) refuse('s3.object.tagging')
  if (!config['compact.merge']) return problems
  const refuseMerge = (other: string, message: string) =>
    problems.push({ option: other, message: `compact.merge ${message}` })
  if (formatOf(config['format.class']) !== 'json') refuseMerge('format.class', 'merges JSON: choose JsonFormat')
  if (config['s3.compression.type'].toLowerCase() !== 'none') refuseMerge('s3.compression.type', 'needs none')
  if (config['format.output.meta.fields'].length > 0)
    refuseMerge('format.output.meta.fields', 'adds no members: leave it empty')
  return problems
}

/** Names of files by a template have no directories, neither of tombstones nor of schemas. */
function checkFileTemplate(config: S3SinkConfig, { splitsPartitions }: NameTemplate): ConfigProblem[] {
  const option = 'file.name.template'
  const problems: ConfigProblem[] = []
  const nulls = config['behavior.on.null.values'].toLowerCase()
  const refuse = (other: string, message: string) => problems.push({ option: other, message: `${option}: ${message}` })
  if (nulls === 'delete') refuse('behavior.on.null.values', 'delete needs one object per key')
  if (nulls === 'write') refuse('behavior.on.null.values', 'tombstones have no directory of their own')
  if (config['s3.schema.partition.affix.type'].toUpperCase() === 'SUFFIX') {
    refuse('s3.schema.partition.affix.type', 'there is no directory behind which a schema could stand')
  }
  if (config['compact.merge']) refuse('compact.merge', 'needs one object per key')
  // Offsets of such files interleave in one directory, which a loader takes for repeated rows.
  if (config['notify.topic'] !== '' && splitsPartitions)
    refuse('notify.topic', 'goes with topic, partition, start_offset')
  if (config['notify.topic'] !== '' && config['notify.group.from'] !== 'topic') {
    refuse('notify.group.from', 'names have no directory to take a key from: choose topic')
  }
  return problems
}

type FormatOption = 'format.class' | 'keys.format.class' | 'headers.format.class'

function checkFormats(config: S3SinkConfig): ConfigProblem[] {
  const problems: ConfigProblem[] = []
  if (simpleName(config['storage.class']) !== 'S3Storage') {
    problems.push({ option: 'storage.class', message: 'must be io.confluent.connect.s3.storage.S3Storage' })
  }
  const checked: FormatOption[] = ['format.class']
  if (config['store.kafka.keys']) checked.push('keys.format.class')
  if (config['store.kafka.headers']) checked.push('headers.format.class')
  for (const option of checked) {
    if (formatOf(config[option]) !== null) continue
    const choice = Object.keys(formats).join(', ')
    problems.push({ option, message: `'${config[option]}' is not supported by this version: choose one of ${choice}` })
  }
  if (config['store.kafka.headers'] && formatOf(config['headers.format.class']) === 'bytes') {
    problems.push({ option: 'headers.format.class', message: 'ByteArrayFormat cannot hold headers: choose JsonFormat' })
  }
  const metaFields = config['format.output.meta.fields']
  for (const name of metaFields) {
    if (isMetaField(name)) continue
    const known = Object.keys(metaFieldNames).join(', ')
    problems.push({ option: 'format.output.meta.fields', message: `'${name}' is unknown: choose among ${known}` })
  }
  const values = formatOf(config['format.class'])
  if (metaFields.length > 0 && (values === 'bytes' || values === 'avro')) {
    const message = 'needs JsonFormat, CsvFormat or ParquetFormat as format.class'
    problems.push({ option: 'format.output.meta.fields', message })
  }
  problems.push(...checkCompression(config), ...checkCodecs(config, checked))
  if (config['behavior.on.null.values'].toLowerCase() === 'write' && !config['store.kafka.keys']) {
    const message = 'Writing Kafka record keys to storage is mandatory when tombstone writing is enabled.'
    problems.push({ option: 'behavior.on.null.values', message }, { option: 'store.kafka.keys', message })
  }
  return problems
}

/** Rows for tombstones: what tells them apart must be in the row, and nothing may look into the value. */
function checkTombstoneRows(config: S3SinkConfig): ConfigProblem[] {
  const option = 'behavior.on.null.values'
  if (config[option].toLowerCase() !== 'row') return []
  const problems: ConfigProblem[] = []
  const refuse = (other: string, message: string) =>
    problems.push({ option, message: `row: ${message}` }, { option: other, message: `${option}=row: ${message}` })
  if (!config['format.output.meta.fields'].includes('op')) {
    refuse('format.output.meta.fields', 'op must be among the added fields, or deletes look like rows')
  }
  if (formatOf(config['format.class']) !== 'json') refuse('format.class', 'needs JsonFormat, whose rows may differ')
  if (config['schema.compatibility'].toUpperCase() !== 'NONE') refuse('schema.compatibility', 'needs NONE')
  const partitioner = partitionerOf(config['partitioner.class'])
  const isByTime = partitioner === 'TimeBased' || partitioner === 'Daily' || partitioner === 'Hourly'
  const readsValue =
    partitioner === 'Field' || (isByTime && extractorOf(config['timestamp.extractor']) === 'RecordField')
  if (readsValue) refuse('partitioner.class', 'needs a partitioner that does not look into the value')
  return problems
}

/** Files of Avro and Parquet have codecs of their own inside. */
function checkCompression(config: S3SinkConfig): ConfigProblem[] {
  const type = config['s3.compression.type'].toLowerCase()
  if (type === 'none') return []
  const problems: ConfigProblem[] = []
  const refuse = (role: string, ...options: readonly [FormatOption, ...string[]]) => {
    const message = `Compression Type ${type} not valid for ${role} format class: ( ${config[options[0]]} ).`
    for (const option of [...options, 's3.compression.type']) problems.push({ option, message })
  }
  if (hasOwnCodec(config['format.class'])) refuse('data', 'format.class')
  if (config['store.kafka.keys'] && hasOwnCodec(config['keys.format.class'])) {
    refuse('keys', 'keys.format.class', 'store.kafka.keys')
  }
  if (config['store.kafka.headers'] && hasOwnCodec(config['headers.format.class'])) {
    refuse('headers', 'headers.format.class', 'store.kafka.headers')
  }
  return problems
}

/** Codecs that Java has and this sink has not, where they would be used. */
function checkCodecs(config: S3SinkConfig, used: readonly FormatOption[]): ConfigProblem[] {
  const problems: ConfigProblem[] = []
  const uses = (name: FormatName) => used.some((option) => formatOf(config[option]) === name)
  for (const format of ['avro', 'parquet'] as const) {
    const option = `${format}.codec` as const
    const codec = config[option]
    if (uses(format) && writableCodec(option, codec) === null) problems.push(unwritableCodec(option, codec))
  }
  return problems
}

function hasOwnCodec(className: string): boolean {
  const format = formatOf(className)
  return format === 'avro' || format === 'parquet'
}

function checkPartitioner(config: S3SinkConfig): ConfigProblem[] {
  const name = partitionerOf(config['partitioner.class'])
  if (name === null) {
    const message = `'${config['partitioner.class']}' is not supported: choose ${partitioners.map((p) => `${p}Partitioner`).join(', ')}`
    return [{ option: 'partitioner.class', message }]
  }
  const problems: ConfigProblem[] = []
  const fields = config['partition.field.name']
  if (name === 'Header' && (fields.length === 0 || fields.includes(''))) {
    problems.push({ option: 'partition.field.name', message: 'must name at least one header for HeaderPartitioner' })
  }
  if (name === 'Field' && (fields.length === 0 || fields.some((f) => f.endsWith('.')))) {
    problems.push({
      option: 'partition.field.name',
      message: 'Partition field name cannot be null or empty when using FieldPartitioner.',
    })
  }
  if (name !== 'TimeBased' && name !== 'Daily' && name !== 'Hourly') return problems
  if (name === 'TimeBased' && config['partition.duration.ms'] <= 0) {
    problems.push({
      option: 'partition.duration.ms',
      message: 'must be a positive number of ms for TimeBasedPartitioner',
    })
  }
  const pattern = config['path.format']
  if (name === 'TimeBased' && (pattern === '' || pattern === config['directory.delim'])) {
    problems.push({ option: 'path.format', message: 'must not be empty for TimeBasedPartitioner' })
  }
  if (config.locale === '')
    problems.push({ option: 'locale', message: 'must not be empty for a time-based partitioner' })
  if (config.timezone === '') {
    problems.push({ option: 'timezone', message: 'must not be empty for a time-based partitioner' })
  }
  if (extractorOf(config['timestamp.extractor']) === null) {
    problems.push({
      option: 'timestamp.extractor',
      message: `'${config['timestamp.extractor']}' is not supported: choose ${extractors.join(', ')}`,
    })
  }
  return problems
}

function checkRotation(config: S3SinkConfig): ConfigProblem[] {
  if (config['rotate.schedule.interval.ms'] <= 0 || config.timezone !== '') return []
  const message = 'timezone configuration must be set when using rotate.schedule.interval.ms'
  return [
    { option: 'timezone', message },
    { option: 'rotate.schedule.interval.ms', message },
  ]
}

/** Whether the credentials provider is the one that assumes a role. */
export function assumesRole(config: S3SinkConfig): boolean {
  return simpleName(config['s3.credentials.provider.class']) === 'AwsAssumeRoleCredentialsProvider'
}

const defaultChains: readonly string[] = ['DefaultAWSCredentialsProviderChain', 'DefaultCredentialsProvider']

function checkCredentials(config: S3SinkConfig): ConfigProblem[] {
  const option = 's3.credentials.provider.class'
  if (assumesRole(config)) {
    const needed = ['arn', 'session.name', 'external.id'] as const
    return needed
      .map((part) => `s3.credentials.provider.sts.role.${part}` as const)
      .filter((name) => config[name] === '')
      .map((name) => ({ option: name, message: `must be set with ${option}=AwsAssumeRoleCredentialsProvider` }))
  }
  if (defaultChains.includes(simpleName(config[option]))) return []
  const message = `'${config[option]}' is not supported by this version: choose AwsAssumeRoleCredentialsProvider, aws.access.key.id and aws.secret.access.key, or the default chain`
  return [{ option, message }]
}

function checkProxy(config: S3SinkConfig): ConfigProblem[] {
  const url = config['s3.proxy.url']
  if (url === '' || URL.canParse(url.includes('://') ? url : `http://${url}`)) return []
  return [{ option: 's3.proxy.url', message: 'is not a URL' }]
}

function checkAws(config: S3SinkConfig): ConfigProblem[] {
  const problems: ConfigProblem[] = [...checkCredentials(config), ...checkProxy(config)]
  if (config['s3.wan.mode'] && config['s3.path.style.access.enabled']) {
    const message =
      'Both accelerate mode and path style access are being enabled. These options are mutually exclusive and cannot be enabled together. Please disable one of them'
    problems.push({ option: 's3.wan.mode', message }, { option: 's3.path.style.access.enabled', message })
  }
  problems.push(...checkAwsCredentials(config))
  for (const pair of config['s3.object.tagging.key.value.pairs']) {
    // The Java connector takes `a:b:c`, too; here the value keeps its colons.
    if (!/^[^:]+:/.test(pair)) {
      problems.push({ option: 's3.object.tagging.key.value.pairs', message: `'${pair}' is not of the form name:value` })
    }
  }
  return problems
}

function checkNotify(config: S3SinkConfig): ConfigProblem[] {
  if (config['notify.topic'] === '') return []
  const option = 'notify.group.from'
  const from = config[option]
  if (from === 'topic' || from === 'partition' || /^partition:.+$/.test(from)) return []
  const partitioner = partitionerOf(config['partitioner.class'])
  // A file has one event key only if files are told apart by it.
  if (from === 'key') {
    if (partitioner === 'Key') return []
    return [{ option, message: 'key needs partitioner.class=KeyPartitioner, so that a file has one key' }]
  }
  if (from.startsWith('header:')) {
    const header = from.slice('header:'.length)
    if (partitioner === 'Header' && config['partition.field.name'].includes(header)) return []
    const message = `${from} needs partitioner.class=HeaderPartitioner and '${header}' among partition.field.name, so that a file has one`
    return [{ option, message }]
  }
  const message = `'${from}' is not supported: choose topic, partition, partition:<name>, key or header:<name>`
  return [{ option, message }]
}
