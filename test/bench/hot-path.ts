/**
 * The way of a change from the bytes of the replication stream to the bytes of a record batch, alone: no sockets, no
 * threads, no other process. What it takes of CPU is the floor of `bench cdc`.
 */
import { Catalog } from '../../connectors/postgres-cdc/catalog.ts'
import { ColumnMappers } from '../../connectors/postgres-cdc/column-mappers.ts'
import type { Database } from '../../connectors/postgres-cdc/connection.ts'
import { Filters } from '../../connectors/postgres-cdc/filters.ts'
import { lsn } from '../../connectors/postgres-cdc/lsn.ts'
import { topicNames } from '../../connectors/postgres-cdc/names.ts'
import { StreamPosition } from '../../connectors/postgres-cdc/offsets.ts'
import { ResumeFilter } from '../../connectors/postgres-cdc/resume.ts'
import { StreamDecoder } from '../../connectors/postgres-cdc/stream-decoder.ts'
import { TableSchemas } from '../../connectors/postgres-cdc/table-schema.ts'
import { parseConfig } from '../../worker/config/config-def.ts'
import { JsonConverter, jsonConverterConfig } from '../../worker/converters/json.ts'
import { SimpleHeaderConverter } from '../../worker/converters/simple-header.ts'
import { NO_PRODUCER, RecordBatchBuilder } from '../../worker/kafka/record-batch-builder.ts'
import type { Delivery, Producer, ProducerRecord } from '../../worker/kafka/types.ts'
import { SourcePipeline, type SourcePipelineOptions } from '../../worker/runtime/source-pipeline.ts'
import { SubmittedRecords } from '../../worker/runtime/submitted-records.ts'
import { defaultValueOptions } from '../support/postgres-values.ts'
import { begin, commit, insert, relation, xlogData } from '../unit/connectors/postgres-cdc/pgoutput-messages.ts'

const columns = [
  { name: 'id', oid: 20, key: true },
  { name: 'a', oid: 25 },
  { name: 'b', oid: 25 },
  { name: 'n', oid: 23 },
  { name: 'ts', oid: 1184 },
] as const
const typeNames: Readonly<Record<number, readonly [name: string, category: string]>> = {
  20: ['int8', 'N'],
  23: ['int4', 'N'],
  25: ['text', 'S'],
  1184: ['timestamptz', 'D'],
}

/** Answers the catalog's queries for the table of `bench cdc`. */
const database = {
  rows: async (sql: string) => {
    if (sql.includes('pg_attribute a JOIN pg_type')) {
      return columns.map((c) => ({
        attname: c.name,
        atttypid: String(c.oid),
        atttypmod: '-1',
        notnull: c.name === 'id' ? 't' : 'f',
        dflt: null,
        generated: 'f',
      }))
    }
    if (sql.includes('pg_index')) return [{ relname: 'bench_pkey', indisprimary: 't', attname: 'id' }]
    return Object.entries(typeNames).map(([oid, [typname, typcategory]]) => ({
      oid,
      typname,
      typcategory,
      typtype: 'b',
      typelem: '0',
      typdelim: ',',
      typbasetype: '0',
      typtypmod: '-1',
      labels: null,
    }))
  },
} as unknown as Database

const silent = () => undefined

function decoder(): StreamDecoder {
  const filters = new Filters({
    schemaInclude: null,
    schemaExclude: null,
    tableInclude: null,
    tableExclude: null,
    columnInclude: null,
    columnExclude: null,
    messagePrefixInclude: null,
    messagePrefixExclude: null,
    snapshotTables: null,
    ignoreBuiltin: true,
    keyColumns: null,
  })
  const values = defaultValueOptions('__debezium_unavailable_value')
  const names = { prefix: 'p', delimiter: '.', heartbeatPrefix: 'hb', heartbeatName: null, transaction: 'tx' }
  const catalog = new Catalog(database)
  const topics = topicNames(names)
  const mappers = new ColumnMappers({})
  return new StreamDecoder({
    catalog,
    schemas: new TableSchemas(
      { values, filters, topics, mappers, converters: null, schemaNames: 'none', fieldNames: 'none' },
      catalog,
    ),
    filters,
    constants: { connectorName: 'c', logicalName: 'bench', database: 'bench', failures: { failed: silent } },
    partition: { server: 'p' },
    headers: [],
    messageTopic: 'p.message',
    binary: 'bytes',
    skipped: new Set(['t']),
    tombstones: true,
    skipUnchanged: false,
    position: new StreamPosition(null, lsn(0n)),
    resume: new ResumeFilter(null, null),
    transactions: null,
    nowUs: () => Date.now() * 1000,
    xmin: () => null,
    shown: async () => undefined,
    signals: null,
    until: null,
  })
}

/** Fills batches of `batchBytes` and seals them with lz4, as the producer does; they go nowhere. */
class Sealing {
  bytes = 0
  records = 0
  readonly #batchBytes: number
  #storage: Buffer
  #builder: RecordBatchBuilder
  #delivery: Delivery | null = null
  #owed = 0

  constructor(batchBytes: number) {
    this.#batchBytes = batchBytes
    this.#storage = Buffer.allocUnsafeSlow(batchBytes)
    this.#builder = new RecordBatchBuilder(this.#storage, batchBytes)
  }

  append({ key, value, headers }: ProducerRecord, delivery: Delivery): void {
    const bound = RecordBatchBuilder.sizeUpperBound(key, value, headers)
    if (!this.#builder.tryAppend(1_700_000_000_000, key, value, headers, bound)) {
      this.bytes += this.#builder.seal('lz4', null, NO_PRODUCER).length
      this.#storage = this.#builder.buffer
      this.#builder = new RecordBatchBuilder(this.#storage, this.#batchBytes)
      this.#builder.tryAppend(1_700_000_000_000, key, value, headers, bound)
    }
    if (this.#delivery !== delivery) {
      this.#delivery?.delivered(this.#owed, 'p.public.bench', 0, -1n)
      this.#delivery = delivery
      this.#owed = 0
    }
    this.#owed += 1
    this.records += 1
  }
}

const rowsPerTransaction = 10_000
const segmentBytes = 64 * 1024

/** `count` inserts in transactions of 10,000, cut into segments as the socket would. */
function segments(count: number): readonly { readonly bytes: Buffer; readonly count: number }[] {
  const result: { bytes: Buffer; count: number }[] = []
  let frames: Buffer[] = []
  let size = 0
  const add = (frame: Buffer) => {
    frames.push(frame)
    size += frame.length
    if (size >= segmentBytes) cut()
  }
  const cut = () => {
    if (frames.length > 0) result.push({ bytes: Buffer.concat(frames), count: frames.length })
    frames = []
    size = 0
  }
  add(xlogData(0n, relation(9, 'public', 'bench', columns)))
  const at = (i: number) => 0x2_1234_5678n + BigInt(i) * 256n
  for (let i = 0; i < count; i++) {
    if (i % rowsPerTransaction === 0) add(xlogData(at(i), begin(at(i + rowsPerTransaction), 7000 + i, 820_000_000n)))
    const md5 = i.toString(16).padStart(32, '7e3a')
    const time = `2026-01-01 0${i % 10}:1${i % 7}:2${i % 9}.${String(i % 1000).padStart(3, '0')}+00`
    const text = `row number ${i} with a text`
    add(xlogData(at(i), insert(9, [String(i), md5 + md5 + md5, text, String(i % 1000), time])))
    if (i % rowsPerTransaction === rowsPerTransaction - 1) add(xlogData(at(i), commit(at(i), at(i + 1))))
  }
  cut()
  return result
}

/** Prints CPU time per record, of this process, for each of `runs` passes over the same bytes. */
export async function benchHotPath(records: number, runs: number): Promise<void> {
  const stream = segments(records)
  const value = new JsonConverter()
  value.configure(parseConfig(jsonConverterConfig, { 'schemas.enable': 'false', 'converter.type': 'value' }), 'value')
  const key = new JsonConverter()
  key.configure(parseConfig(jsonConverterConfig, { 'schemas.enable': 'false', 'converter.type': 'key' }), 'key')
  for (let run = 0; run < runs; run++) {
    const sink = new Sealing(1_000_000)
    const producer = { isFull: false, append: sink.append.bind(sink) } as unknown as Producer
    const submitted = new SubmittedRecords({ onDelivered: silent, onFailed: () => true })
    const pipeline = new SourcePipeline({
      producer,
      submitted,
      chain: { empty: true } as unknown as SourcePipelineOptions['chain'],
      converters: {
        key: { converter: key, className: 'JsonConverter' },
        value: { converter: value, className: 'JsonConverter' },
        header: { converter: new SimpleHeaderConverter(), className: 'SimpleHeaderConverter' },
      } as unknown as SourcePipelineOptions['converters'],
      errors: {} as unknown as SourcePipelineOptions['errors'],
      prepareTopic: async () => undefined,
      onSkipped: silent,
    })
    const decode = decoder()
    const { signal } = new AbortController()
    const before = process.cpuUsage()
    const began = performance.now()
    for (const { bytes, count } of stream) {
      decode.feed({ bytes, start: 0, end: bytes.length, count })
      while (decode.hasMore) await pipeline.send(await decode.decode(2048), signal)
      submitted.takeCommittable()
    }
    const seconds = (performance.now() - began) / 1000
    const { user, system } = process.cpuUsage(before)
    const cpu = (user + system) / 1e6
    console.log(
      `  hot path, run ${run + 1}: ${sink.records} records, ${((cpu / sink.records) * 1e6).toFixed(2)} CPU µs and ${((seconds / sink.records) * 1e6).toFixed(2)} µs of this thread per record, ${(sink.records / cpu / 1000).toFixed(0)}k per CPU s, ${(sink.bytes / sink.records).toFixed(0)} B sent per record`,
    )
  }
}
