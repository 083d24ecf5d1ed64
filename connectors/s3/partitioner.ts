import { Float64, type Schema, type Value } from '../../worker/api/data.ts'
import { ConfigError, DataError, toError } from '../../worker/api/errors.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import type { S3SinkConfig } from './config-options.ts'
import { extractorOf, partitionerOf, templateOf } from './config-rules.ts'
import { FieldPath, type TypedValue } from './field-access.ts'
import { keyText, percentEncode } from './key-text.ts'
import { headerSegment, type NameTemplate, renderName } from './name-template.ts'
import { TimePattern, TimeZone } from './time-pattern.ts'
import { type TimestampExtractor, timestampExtractor } from './timestamp-extractor.ts'

/** Chooses the directory of each record. */
export interface Partitioner {
  /** @param now one clock reading per write call. @throws DataError CONNECT_S3_PARTITION */
  encode(record: SinkRecord, now: number): string
  /** Time by which `rotate.interval.ms` counts; null for partitioners without time, which ignore that option. */
  readonly timestampOf: TimestampExtractor | null
}

/** @throws ConfigError when the path format has letters that are not supported */
export function createPartitioner(config: S3SinkConfig): Partitioner {
  const partitioner = basePartitioner(config)
  const affix = config['s3.schema.partition.affix.type'].toUpperCase()
  if (affix === 'NONE') return partitioner
  const delimiter = config['directory.delim']
  return {
    timestampOf: partitioner.timestampOf,
    encode(record, now) {
      const name = `schema_name=${record.valueSchema?.name ?? 'null'}`
      const path = partitioner.encode(record, now)
      return affix === 'PREFIX' ? `${name}${delimiter}${path}` : `${path}${delimiter}${name}`
    },
  }
}

function basePartitioner(config: S3SinkConfig): Partitioner {
  const template = templateOf(config)
  if (template?.kind === 'files') return templatePartitioner(template)
  switch (partitionerOf(config['partitioner.class'])) {
    case 'Field':
      return fieldPartitioner(config['partition.field.name'], config['directory.delim'])
    case 'Key':
      return keyPartitioner
    case 'Header':
      return headerPartitioner(config['partition.field.name'], config['directory.delim'])
    case 'TimeBased':
      return timePartitioner(config, config['path.format'], config['partition.duration.ms'])
    case 'Daily':
      return timePartitioner(config, byDelimiter(["'year'=YYYY", "'month'=MM", "'day'=dd"], config), 86_400_000)
    case 'Hourly':
      return timePartitioner(
        config,
        byDelimiter(["'year'=YYYY", "'month'=MM", "'day'=dd", "'hour'=HH"], config),
        3_600_000,
      )
    case 'Default':
      return defaultPartitioner
    case null:
      throw new ConfigError([
        { option: 'partitioner.class', message: `'${config['partitioner.class']}' is not supported` },
      ])
  }
}

const byDelimiter = (parts: readonly string[], config: S3SinkConfig) => parts.join(config['directory.delim'])

const defaultPartitioner: Partitioner = {
  timestampOf: null,
  encode: (record) => `partition=${record.partition ?? record.originalPartition}`,
}

const keyPartitioner: Partitioner = {
  timestampOf: null,
  encode: (record) => `key=${percentEncode(keyText(record))}`,
}

function headerPartitioner(names: readonly string[], delimiter: string): Partitioner {
  return {
    timestampOf: null,
    encode: (record) => names.map((name) => `${name}=${headerSegment(record, name)}`).join(delimiter),
  }
}

/** The name of the file itself takes the place of a directory. */
function templatePartitioner(template: NameTemplate): Partitioner {
  return { timestampOf: null, encode: (record, now) => renderName(template, record, now) }
}

function fieldPartitioner(names: readonly string[], delimiter: string): Partitioner {
  const fields = names.map((name) => ({ name, path: new FieldPath(name) }))
  return {
    timestampOf: null,
    encode(record) {
      let directory = ''
      for (const { name, path } of fields) {
        if (directory !== '') directory += delimiter
        directory += `${name}=${directoryValue(fieldOf(record, path))}`
      }
      return directory
    },
  }
}

/** Integers, boolean, text and null make a directory; floats, times and structures do not. */
function directoryValue({ schema, value }: TypedValue): string {
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'bigint':
      return String(value)
    case 'number':
      if (isInteger(schema, value)) return String(value)
      break
    default:
      if (value === null) return 'null'
      if (value instanceof Date && schema !== null) return String(epoch(schema, value))
  }
  const type = value instanceof Float64 ? 'a float' : `a ${schema?.type ?? typeof value}`
  throw encodingError(new DataError('CONNECT_S3_PARTITION', `${type} cannot name a directory`))
}

/** What a struct lacks is said in the words of the Java connector; anything else has no fields there. */
function fieldOf(record: SinkRecord, path: FieldPath): TypedValue {
  try {
    return path.read(record)
  } catch (error) {
    throw record.valueSchema?.type === 'STRUCT' ? error : encodingError(toError(error))
  }
}

/** The text that dead letter consumers know from the Java connector; what is wrong is in the cause. */
const encodingError = (cause: Error) => new DataError('CONNECT_S3_PARTITION', 'Error encoding partition.', { cause })

function isInteger(schema: Schema | null, value: number): boolean {
  if (schema === null) return Number.isInteger(value)
  return schema.type === 'INT8' || schema.type === 'INT16' || schema.type === 'INT32' || schema.type === 'INT64'
}

/** Logical times by the number that they are stored as. */
function epoch(schema: Schema, value: Date): Value {
  return schema.type === 'INT32' && schema.name?.endsWith('.Date') === true
    ? Math.floor(value.getTime() / 86_400_000)
    : value.getTime()
}

/** `Date` ends here, 275 000 years away; a zone may still lie a day behind. */
const furthestMs = 8_640_000_000_000_000 - 86_400_000

function beyondCalendar(timestamp: number): DataError {
  return new DataError(
    'CONNECT_S3_PARTITION',
    `${timestamp} is no time in ms that a directory could be named by: are these micro- or nanoseconds?`,
  )
}

function timePartitioner(config: S3SinkConfig, format: string, durationMs: number): Partitioner {
  const delimiter = config['directory.delim']
  const zone = new TimeZone(config.timezone)
  const hasEnd = delimiter.trim() !== '' && format.endsWith(delimiter)
  const pattern = compilePattern(hasEnd ? format.slice(0, -delimiter.length) : format, zone, config)
  const timestampOf = timestampExtractor(
    extractorOf(config['timestamp.extractor']) ?? 'Wallclock',
    config['timestamp.field'],
  )
  // Records come in runs of one bucket; formatting is the dear part.
  let last = { bucket: Number.NaN, path: '' }
  return {
    timestampOf,
    encode(record, now) {
      const timestamp = timestampOf(record, now)
      if (Math.abs(timestamp) > furthestMs) throw beyondCalendar(timestamp)
      // Buckets are counted in local time, so that a day starts at local midnight.
      const bucket = Math.trunc((timestamp + zone.offsetAt(timestamp)) / durationMs)
      if (bucket !== last.bucket) last = { bucket, path: pattern.format(zone.toInstant(bucket * durationMs)) }
      return last.path
    },
  }
}

function compilePattern(format: string, zone: TimeZone, config: S3SinkConfig): TimePattern {
  try {
    return new TimePattern(format, zone, config.locale)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new ConfigError([{ option: 'path.format', message: error.message }], { cause: error })
  }
}
