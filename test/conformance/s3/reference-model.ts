/**
 * What Confluent's S3 sink makes of records, told a second time and as plainly as possible from its documentation and
 * from what is recorded of it: where files begin and end, how they are called, what the lines say. Nothing of the sink
 * under test is used here. Errors of single records go to the dead letter queue; nothing fails.
 */

/** Values as the model needs them; `Double` tells `1.0` from `1`. */
export type ModelValue =
  | null
  | boolean
  | string
  | bigint
  | Double
  | { readonly bytes: Buffer }
  | { readonly unscaled: bigint; readonly scale: number }
  | { readonly list: readonly ModelValue[] }
  | { readonly members: readonly (readonly [string, ModelValue])[]; readonly typed: boolean }

export class Double {
  readonly value: number

  constructor(value: number) {
    this.value = value
  }
}

export interface ModelRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  readonly timestamp: number | null
  /** Text of the key as a line of a keys file; null: no key. */
  readonly key: string | null
  /** Text of the headers as a line of a headers file; null: no headers. */
  readonly headers: string | null
  readonly value: ModelValue
  /** Null: without a schema. */
  readonly schema: ModelSchema | null
}

export interface ModelSchema {
  readonly name: string
  readonly version: number | null
  /** Of `amount`: a parameter of its schema. */
  readonly scale: number
  /** Names of the fields and what stands for one that a record of another version does not have. */
  readonly fields: readonly (readonly [string, ModelValue])[]
}

/** The options that decide; the names are those of the connector, without the dots. */
export interface ModelOptions {
  readonly topicsDir: string
  readonly directoryDelimiter: string
  readonly fileDelimiter: string
  readonly padWidth: number
  readonly format: 'json' | 'bytes' | 'avro' | 'parquet'
  readonly compressionSuffix: string
  readonly separator: string
  readonly numericDecimals: boolean
  readonly flushSize: number
  readonly rotateIntervalMs: number
  readonly rotateScheduleMs: number
  readonly rotateOnChange: boolean
  readonly maxOpenFiles: number
  readonly partitioner: ModelPartitioner
  readonly affix: 'NONE' | 'PREFIX' | 'SUFFIX'
  readonly compatibility: 'NONE' | 'BACKWARD' | 'FORWARD' | 'FULL'
  readonly nulls: 'ignore' | 'write'
  readonly tombstoneDirectory: string
  readonly storeKeys: boolean
  readonly storeHeaders: boolean
}

export type ModelPartitioner =
  | { readonly kind: 'default' }
  | { readonly kind: 'field'; readonly fields: readonly string[] }
  | {
      readonly kind: 'time'
      readonly durationMs: number
      readonly timeZone: string
      /** Writes a local time, given as the UTC fields of a date. */
      readonly path: (local: Date) => string
      readonly extractor: 'wallclock' | 'record' | { readonly field: string }
    }

/** One call of the task: what came, and the clock. */
export interface ModelPoll {
  readonly now: number
  readonly records: readonly ModelRecord[]
}

/** Lines (or rows) of an object, each as the offset of its record and its text. */
export interface ModelRow {
  readonly offset: bigint
  readonly text: string
}

export interface ModelResult {
  readonly objects: ReadonlyMap<string, readonly ModelRow[]>
  readonly reported: readonly string[]
  /** Next offset to read by `topic-partition`; absent when nothing came. */
  readonly offsets: ReadonlyMap<string, bigint>
}

/** A record that cannot be written. */
class BadRecord extends Error {}

interface OpenModelFile {
  readonly first: ModelRecord
  readonly directory: string
  readonly rows: ModelRecord[]
}

/** The state of one topic partition. */
class Writer {
  readonly files = new Map<string, OpenModelFile>()
  /** Of the last record that decided on a file of a directory. */
  readonly schemas = new Map<string, ModelSchema | null>()
  count = 0
  base: number | null = null
  lastDirectory: string | null = null
  handled: bigint | null = null
  nextSchedule: number | null

  constructor(nextSchedule: number | null) {
    this.nextSchedule = nextSchedule
  }
}

export function runModel(options: ModelOptions, startedAt: number, polls: readonly ModelPoll[]): ModelResult {
  const model = new Model(options, startedAt)
  for (const poll of polls) model.poll(poll)
  return model.result()
}

class Model {
  readonly #options: ModelOptions
  readonly #startedAt: number
  readonly #writers = new Map<string, Writer>()
  readonly #objects = new Map<string, readonly ModelRow[]>()
  readonly #reported: string[] = []

  constructor(options: ModelOptions, startedAt: number) {
    this.#options = options
    this.#startedAt = startedAt
  }

  poll({ now, records }: ModelPoll): void {
    const byPartition = new Map<Writer, ModelRecord[]>([...this.#writers.values()].map((writer) => [writer, []]))
    for (const record of records) {
      const writer = this.#writerOf(record)
      const list = byPartition.get(writer)
      if (list === undefined) byPartition.set(writer, [record])
      else list.push(record)
    }
    for (const [writer, list] of byPartition) {
      const { nextSchedule } = writer
      if (writer.count === 0 && nextSchedule !== null && now >= nextSchedule) this.#moveSchedule(writer, now)
      for (const record of list) this.#record(writer, record, now)
      if (writer.count > 0 && writer.nextSchedule !== null && now >= writer.nextSchedule) this.#commit(writer, now)
    }
  }

  result(): ModelResult {
    const offsets = new Map<string, bigint>()
    for (const [name, writer] of this.#writers) {
      const open = [...writer.files.values()].map(({ first }) => first.offset)
      const first = open.reduce<bigint | null>((min, o) => (min === null || o < min ? o : min), null)
      const next = first ?? writer.handled
      if (next !== null) offsets.set(name, next)
    }
    return { objects: this.#objects, reported: this.#reported, offsets }
  }

  #writerOf({ topic, partition }: ModelRecord): Writer {
    const name = `${topic}-${partition}`
    let writer = this.#writers.get(name)
    if (writer === undefined) {
      writer = new Writer(this.#scheduleAfter(this.#startedAt))
      this.#writers.set(name, writer)
    }
    return writer
  }

  /** Multiples of the period from local midnight on. Only with UTC here, where every midnight is a multiple of a day. */
  #scheduleAfter(now: number): number | null {
    const { rotateScheduleMs } = this.#options
    if (rotateScheduleMs <= 0) return null
    const midnight = Math.floor(now / 86_400_000) * 86_400_000
    const next = midnight + (Math.floor((now - midnight) / rotateScheduleMs) + 1) * rotateScheduleMs
    return Math.min(next, midnight + 86_400_000)
  }

  #moveSchedule(writer: Writer, now: number): void {
    writer.nextSchedule = this.#scheduleAfter(now)
  }

  #record(writer: Writer, record: ModelRecord, now: number): void {
    if (record.value === null && this.#options.nulls === 'ignore') {
      this.#report(record)
    } else {
      try {
        this.#write(writer, record, now)
      } catch (error) {
        if (!(error instanceof BadRecord)) throw error
        this.#report(record)
      }
    }
    writer.handled = record.offset + 1n
  }

  #report({ topic, partition, offset }: ModelRecord): void {
    this.#reported.push(`${topic}-${partition}@${offset}`)
  }

  /** Checks a to h, in this order; a commit lets the record be looked at again. */
  #write(writer: Writer, record: ModelRecord, now: number): void {
    const { compatibility, flushSize, maxOpenFiles, tombstoneDirectory } = this.#options
    const isTombstone = record.value === null
    const timestamp = this.#timestampOf(record, now)
    for (;;) {
      writer.base ??= timestamp
      const directory = isTombstone ? tombstoneDirectory : this.#directoryOf(record, now)
      const known = writer.schemas.get(directory)
      if (known === undefined) writer.schemas.set(directory, record.schema)
      const current = known === undefined ? record.schema : known
      if (writer.count > 0 && this.#isTimeUp(writer, directory, timestamp, now, isTombstone)) {
        this.#commit(writer, now)
        continue
      }
      if (needsNewFile(compatibility, record.schema, current)) {
        writer.schemas.set(directory, record.schema)
        if (writer.count > 0) {
          this.#commit(writer, now)
          // The schema that the directory now has is the record's.
          writer.schemas.set(directory, record.schema)
          continue
        }
      }
      if (!writer.files.has(directory) && maxOpenFiles > 0 && writer.files.size >= maxOpenFiles) {
        this.#commit(writer, now)
        continue
      }
      this.#append(writer, projected(compatibility, record, writer.schemas.get(directory) ?? null), directory)
      writer.lastDirectory = directory
      writer.count++
      writer.handled = record.offset + 1n
      if (writer.count >= flushSize) this.#commit(writer, now)
      return
    }
  }

  #isTimeUp(writer: Writer, directory: string, timestamp: number | null, now: number, isTombstone: boolean): boolean {
    const { rotateIntervalMs, rotateOnChange, tombstoneDirectory } = this.#options
    if (rotateIntervalMs > 0 && timestamp !== null && writer.base !== null) {
      if (timestamp - writer.base >= rotateIntervalMs) return true
      const wasTombstone = writer.lastDirectory === tombstoneDirectory
      const moved = writer.lastDirectory !== null && writer.lastDirectory !== directory
      if (rotateOnChange && moved && !isTombstone && !wasTombstone) return true
    }
    return writer.nextSchedule !== null && now >= writer.nextSchedule
  }

  #append(writer: Writer, record: ModelRecord, directory: string): void {
    const { storeKeys, storeHeaders, format } = this.#options
    if (storeKeys && record.key === null) throw new BadRecord('no key')
    if (storeHeaders && record.headers === null) throw new BadRecord('no headers')
    if (record.value !== null) {
      if (format === 'bytes' && !isBytes(record.value)) throw new BadRecord('no bytes')
      if ((format === 'avro' || format === 'parquet') && record.schema === null) throw new BadRecord('no schema')
    }
    const file = writer.files.get(directory)
    if (file === undefined) writer.files.set(directory, { first: record, directory, rows: [record] })
    else file.rows.push(record)
  }

  #commit(writer: Writer, now: number): void {
    for (const file of writer.files.values()) this.#complete(file)
    writer.files.clear()
    writer.count = 0
    writer.base = null
    writer.schemas.clear()
    if (writer.nextSchedule !== null && now >= writer.nextSchedule) this.#moveSchedule(writer, now)
  }

  #complete({ first, directory, rows }: OpenModelFile): void {
    const options = this.#options
    const { topic, partition, offset } = first
    const name = [topic, partition, String(offset).padStart(options.padWidth, '0')].join(options.fileDelimiter)
    const path = [options.topicsDir, topic, directory, name].filter((part, i) => i > 0 || part !== '')
    const stem = path.join(options.directoryDelimiter)
    const put = (extension: string, textOf: (record: ModelRecord) => string) =>
      this.#objects.set(
        `${stem}${extension}${options.compressionSuffix}`,
        rows.map((record) => ({ offset: record.offset, text: textOf(record) })),
      )
    if (options.storeKeys) put('.keys.json', ({ key }) => `${key}\n`)
    if (options.storeHeaders) put('.headers.json', ({ headers }) => `${headers}\n`)
    if (first.value === null) return
    const extension = { json: '.json', bytes: '.bin', avro: '.avro', parquet: '.snappy.parquet' }[options.format]
    put(extension, (record) => this.#textOf(record))
  }

  #textOf({ value }: ModelRecord): string {
    if (isBytes(value)) return `${value.bytes.toString('latin1')}${this.#options.separator}`
    return `${jacksonText(value, this.#options.numericDecimals)}\n`
  }

  #timestampOf(record: ModelRecord, now: number): number | null {
    const { partitioner } = this.#options
    if (partitioner.kind !== 'time') return null
    const { extractor } = partitioner
    if (record.value === null && this.#options.nulls === 'write') return record.timestamp
    if (extractor === 'wallclock') return now
    if (extractor === 'record') {
      if (record.timestamp === null) throw new BadRecord('no timestamp')
      return record.timestamp
    }
    const value = memberOf(record.value, extractor.field)
    if (typeof value === 'bigint') return Number(value)
    if (value instanceof Double) return Math.trunc(value.value)
    if (typeof value === 'string' && /^\d{1,19}$/.test(value)) return Number(value)
    if (typeof value === 'string' && /^\d{4}-\d\d-\d\dT/.test(value)) return Date.parse(value)
    const [, year, day, time] = (typeof value === 'string' && /^(\d{4})-(\d{3})(T.*)$/.exec(value)) || []
    if (day !== undefined) return Date.parse(`${year}-01-01${time}`) + (Number(day) - 1) * 86_400_000
    throw new BadRecord('no time')
  }

  #directoryOf(record: ModelRecord, now: number): string {
    const { affix, directoryDelimiter } = this.#options
    const schema = `schema_name=${record.schema?.name ?? 'null'}`
    const path = this.#pathOf(record, now)
    if (affix === 'NONE') return path
    return (affix === 'PREFIX' ? [schema, path] : [path, schema]).join(directoryDelimiter)
  }

  #pathOf(record: ModelRecord, now: number): string {
    const { partitioner, directoryDelimiter } = this.#options
    switch (partitioner.kind) {
      case 'default':
        return `partition=${record.partition}`
      case 'field':
        return partitioner.fields
          .map((field) => `${field}=${directoryText(memberOf(record.value, field))}`)
          .join(directoryDelimiter)
      case 'time': {
        const timestamp = this.#timestampOf(record, now) ?? 0
        const local = localTime(timestamp, partitioner.timeZone)
        return partitioner.path(new Date(Math.floor(local / partitioner.durationMs) * partitioner.durationMs))
      }
    }
  }
}

function needsNewFile(
  mode: ModelOptions['compatibility'],
  schema: ModelSchema | null,
  current: ModelSchema | null,
): boolean {
  if (schema === null || current === null) return schema !== current
  if (mode === 'NONE') return schema.name !== current.name || schema.version !== current.version
  if (schema.name === current.name && schema.version === current.version) return false
  if (schema.version === null || current.version === null) throw new BadRecord('no version')
  if (schema.name !== current.name || schema.scale !== current.scale) return true
  return mode === 'FORWARD' ? schema.version < current.version : schema.version > current.version
}

/** The record as the schema of its file has it: fields that are not there are left out, those that are new have defaults. */
function projected(mode: ModelOptions['compatibility'], record: ModelRecord, target: ModelSchema | null): ModelRecord {
  const { value, schema } = record
  if (mode === 'NONE' || schema === null || target === null || schema.version === target.version) return record
  if (value === null || typeof value !== 'object' || !('members' in value)) return record
  const had = new Map(value.members)
  const members = target.fields.map(([name, missing]) => [name, had.get(name) ?? missing] as const)
  return { ...record, value: { members, typed: true } }
}

function isBytes(value: ModelValue): value is { readonly bytes: Buffer } {
  return value !== null && typeof value === 'object' && 'bytes' in value
}

function memberOf(value: ModelValue, path: string): ModelValue {
  let at = value
  for (const name of path.split('.')) {
    if (at === null) return null
    if (typeof at !== 'object' || !('members' in at)) throw new BadRecord('no members')
    const found = at.members.find(([member]) => member === name)
    if (found === undefined) throw new BadRecord('no such member')
    at = found[1]
  }
  return at
}

function directoryText(value: ModelValue): string {
  if (value === null || typeof value === 'string' || typeof value === 'boolean' || typeof value === 'bigint') {
    return String(value)
  }
  throw new BadRecord('not for a directory')
}

/** Local time as ms, as if it were UTC. */
function localTime(instant: number, timeZone: string): number {
  const text = new Date(instant).toLocaleString('sv-SE', { timeZone })
  const ms = ((instant % 1000) + 1000) % 1000
  return Date.parse(`${text.replace(' ', 'T')}Z`) + ms
}

/** A value as Jackson prints the Java object that Connect makes of it. */
function jacksonText(value: ModelValue, numericDecimals: boolean): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'bigint') return String(value)
  if (typeof value === 'string') return jacksonString(value)
  if (value instanceof Double) return javaDoubleText(value.value)
  if ('bytes' in value) return `"${value.bytes.toString('base64')}"`
  if ('unscaled' in value) return decimalText(value, numericDecimals)
  if ('list' in value) return `[${value.list.map((item) => jacksonText(item, numericDecimals)).join(',')}]`
  const members = value.typed ? value.members : asHashMap(value.members)
  return `{${members.map(([name, member]) => `${jacksonString(name)}:${jacksonText(member, numericDecimals)}`).join(',')}}`
}

function jacksonString(text: string): string {
  let result = ''
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    const char = text.charAt(i)
    const short = { 8: 'b', 9: 't', 10: 'n', 12: 'f', 13: 'r', 34: '"', 92: '\\' }[unit]
    if (short !== undefined) result += `\\${short}`
    else if (unit < 32 || (unit >= 0xd800 && unit < 0xe000)) {
      result += `\\u${unit.toString(16).toUpperCase().padStart(4, '0')}`
    } else result += char
  }
  return `"${result}"`
}

/** `Double.toString`, for the doubles that the cases hold. */
function javaDoubleText(value: number): string {
  const size = Math.abs(value)
  if (size === 0) return Object.is(value, -0) ? '-0.0' : '0.0'
  const withPoint = (text: string) => (text.includes('.') ? text : `${text}.0`)
  if (size >= 0.001 && size < 10_000_000) return withPoint(String(value))
  const [mantissa = '', exponent = ''] = value.toExponential().split('e')
  return `${withPoint(mantissa)}E${exponent.replace('+', '')}`
}

function decimalText({ unscaled, scale }: { unscaled: bigint; scale: number }, numeric: boolean): string {
  if (!numeric) {
    let size = 1
    while (unscaled < -(1n << BigInt(8 * size - 1)) || unscaled >= 1n << BigInt(8 * size - 1)) size++
    const hex = BigInt.asUintN(8 * size, unscaled)
      .toString(16)
      .padStart(2 * size, '0')
    return `"${Buffer.from(hex, 'hex').toString('base64')}"`
  }
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0')
  return `${unscaled < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

/** The entries of a Java `HashMap` into which the members were put: a table of lists that doubles when three quarters full. */
function asHashMap(members: readonly (readonly [string, ModelValue])[]): readonly (readonly [string, ModelValue])[] {
  const unique = [...new Map(members)]
  let size = 16
  while (unique.length > 0.75 * size) size *= 2
  const table: (readonly [string, ModelValue])[][] = Array.from({ length: size }, () => [])
  for (const entry of unique) {
    let hash = 0
    for (let i = 0; i < entry[0].length; i++) hash = (Math.imul(31, hash) + entry[0].charCodeAt(i)) | 0
    table[(hash ^ (hash >>> 16)) & (size - 1)]?.push(entry)
  }
  return table.flat()
}
