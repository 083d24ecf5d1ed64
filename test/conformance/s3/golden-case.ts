import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import type { SchemaAndValue } from '../../../worker/api/converter.ts'
import { Schemas } from '../../../worker/api/data.ts'
import { ConnectError, kindOf, toError } from '../../../worker/api/errors.ts'
import { SinkRecord } from '../../../worker/api/record.ts'
import { type TopicPartition, TopicPartitionMap } from '../../../worker/api/topic-partition.ts'
import { parseConfig } from '../../../worker/config/config-def.ts'
import { JsonConverter, jsonConverterConfig } from '../../../worker/converters/json.ts'
import { MemoryStore } from './memory-store.ts'
import { ManualClock, SinkHarness } from './sink-harness.ts'

const folder = new URL('../golden/sinks/s3/', import.meta.url)

export const goldenCases: readonly string[] = readdirSync(folder).sort()

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }
type JsonObject = { readonly [name: string]: Json }

interface ExpectedObject {
  readonly key: string
  readonly lines?: readonly string[]
  readonly hex?: string
  readonly gzip?: boolean
  readonly length?: number
  readonly sha256?: string
  readonly tags?: JsonObject
}

interface Expected {
  readonly objects?: readonly ExpectedObject[]
  readonly offsets?: Readonly<Record<string, number>>
  readonly dlq?: readonly { readonly headers: readonly (readonly [string, string])[] }[]
  readonly status?: { readonly connector: string; readonly tasks: readonly { readonly state: string }[] }
}

/** What a run left behind, in terms that the recorded expectation has, too. */
export interface Outcome {
  readonly objects: Readonly<Record<string, string>>
  readonly offsets: Readonly<Record<string, number>>
  /** Sorted: the real worker converts a batch before it puts it, so that refusals of the two come in another order. */
  readonly reported: readonly string[]
  readonly failed: boolean
}

const prefix = 'p'
const fill = (text: string) => text.replaceAll('${p}', prefix).replaceAll('${bucket}', 'lake')

function read(name: string, file: string): string {
  return fill(readFileSync(new URL(`${name}/${file}`, folder), 'utf8'))
}

/** What the reference left behind. */
export function expectedOutcome(name: string): Outcome {
  const { final } = JSON.parse(read(name, 'expected.json')) as { final: Expected }
  const objects: Record<string, string> = {}
  for (const object of final.objects ?? []) objects[object.key] = describe(object)
  const offsets = Object.fromEntries(Object.entries(final.offsets ?? {}).filter(([, offset]) => offset > 0))
  const reported = (final.dlq ?? []).map(({ headers }) => {
    const header = new Map(headers)
    const position = ['topic', 'partition', 'offset'].map((part) => header.get(`__connect.errors.${part}`))
    return position.join('-')
  })
  const states = [final.status?.connector, ...(final.status?.tasks ?? []).map((task) => task.state)]
  const failed = states.includes('FAILED')
  return { objects, offsets, reported: reported.sort(), failed }
}

function describe(object: ExpectedObject): string {
  if (object.lines !== undefined) return object.lines.join('')
  if (object.hex !== undefined) return Buffer.from(object.hex, 'hex').toString('latin1')
  return `sha256 ${object.sha256}`
}

function describeActual(key: string, body: Buffer, expected: Outcome): string {
  const plain = key.endsWith('.gz') ? gunzipSync(body) : body
  const wanted = expected.objects[key]
  if (wanted?.startsWith('sha256 ') === true) return `sha256 ${createHash('sha256').update(plain).digest('hex')}`
  const text = plain.toString('utf8')
  return wanted !== undefined && Buffer.from(text, 'utf8').equals(plain) ? text : plain.toString('latin1')
}

interface Case {
  readonly noBucket?: boolean
  readonly steps: readonly JsonObject[]
  readonly schemas?: Readonly<Record<string, Json>>
  readonly topics: Readonly<Record<string, { readonly partitions?: number }>>
}

/** Plays a recorded case with the task of this repository against a store in memory. */
export async function playCase(name: string): Promise<Outcome> {
  const player = new Player(name)
  for (const step of player.steps) await player.play(step)
  return player.outcome(expectedOutcome(name))
}

class Player {
  readonly steps: readonly JsonObject[]
  readonly #config: Readonly<Record<string, string>>
  readonly #partitions: readonly TopicPartition[]
  readonly #phases: ReadonlyMap<number, readonly Produced[]>
  readonly #store: MemoryStore
  readonly #clock = new ManualClock()
  readonly #committed = new TopicPartitionMap<bigint>()
  readonly #log: SinkRecord[] = []
  readonly #reported = new Set<string>()
  #harness: SinkHarness | null = null
  #failed = false

  constructor(name: string) {
    const definition = JSON.parse(read(name, 'case.json')) as Case
    const config = JSON.parse(read(name, 'connector.json')) as Record<string, string>
    this.steps = definition.steps
    this.#config = { ...config, 'store.url': 'http://127.0.0.1:1' }
    this.#phases = loadRecords(name, definition, config)
    this.#store = new MemoryStore(definition.noBucket === true ? [] : ['lake'])
    const sources = Object.entries(definition.topics).filter(
      ([topic]) => config['topics']?.split(',').includes(topic) ?? true,
    )
    this.#partitions = sources.flatMap(([topic, { partitions = 1 }]) =>
      Array.from({ length: partitions }, (_, partition) => ({ topic, partition })),
    )
  }

  async play(step: JsonObject): Promise<void> {
    const [kind, argument] = Object.entries(step)[0] ?? ['', null]
    try {
      if (kind === 'produce') this.#produce(Number(argument))
      else if (kind === 's3put')
        this.#store.objects.set(String(argument), decodeBytes(step['body'] ?? null) ?? Buffer.alloc(0))
      else if (kind === 's3delete') this.#store.objects.delete(String(argument))
      else if (kind === 'create' || argument === 'resume') await this.#start()
      else if (argument === 'restart') await this.#start()
      else if (argument === 'resetOffsets') this.#committed.clear()
      else if (kind === 'action') await this.#stop()
      else if (kind === 'wait' && !this.#failed) await this.#harness?.settle(Number(step['settle'] ?? 1) * 1000)
    } catch (error) {
      // The worker would show the task as FAILED; nothing else of the case depends on the error.
      assert.ok(error instanceof ConnectError, toError(error))
      this.#failed = true
    }
  }

  outcome(expected: Outcome): Outcome {
    const objects: Record<string, string> = {}
    for (const [key, body] of this.#store.objects) objects[key] = describeActual(key, body, expected)
    const offsets: Record<string, number> = {}
    for (const [tp, offset] of this.#committed.entries()) {
      if (offset > 0n) offsets[`${tp.topic}-${tp.partition}`] = Number(offset)
    }
    return { objects, offsets, reported: [...this.#reported].sort(), failed: this.#failed }
  }

  #produce(phase: number): void {
    const records: SinkRecord[] = []
    for (const produced of this.#phases.get(phase) ?? []) {
      // What the converter refuses never reaches the task; the worker reports it.
      if (typeof produced === 'string') this.#reported.add(produced)
      else records.push(produced)
    }
    this.#log.push(...records)
    this.#harness?.append(records)
  }

  async #start(): Promise<void> {
    await this.#stop()
    const harness = await SinkHarness.start({
      config: this.#config,
      store: this.#store,
      clock: this.#clock,
      committed: this.#committed,
      onReport: ({ originalTopic, originalPartition, offset }) => {
        this.#reported.add([originalTopic, originalPartition, offset].join('-'))
      },
    })
    await harness.assign(...this.#partitions)
    harness.append(this.#log)
    this.#harness = harness
  }

  async #stop(): Promise<void> {
    await this.#harness?.revoke()
    await this.#harness?.stop()
    this.#harness = null
  }
}

/** A record, or the position of one that could not be converted. */
type Produced = SinkRecord | string

function loadRecords(name: string, definition: Case, config: Readonly<Record<string, string>>) {
  const phases = new Map<number, Produced[]>()
  const offsets = new Map<string, bigint>()
  const convert = valueConverter(config)
  for (const line of read(name, 'records.jsonl').split('\n')) {
    if (line === '') continue
    const item = JSON.parse(line) as JsonObject
    const topic = String(item['topic'])
    const partition = Number(item['partition'] ?? 0)
    const offset = offsets.get(`${topic}-${partition}`) ?? 0n
    offsets.set(`${topic}-${partition}`, offset + 1n)
    const bytes = valueBytes(line, item, definition)
    const record = toRecord({ item, topic, partition, offset }, () => convert(topic, bytes))
    const phase = Number(item['phase'] ?? 1)
    const records = phases.get(phase)
    if (records === undefined) phases.set(phase, [record])
    else records.push(record)
  }
  return phases
}

interface Position {
  readonly item: JsonObject
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
}

function toRecord({ item, topic, partition, offset }: Position, convert: () => SchemaAndValue): Produced {
  let converted: SchemaAndValue
  try {
    converted = convert()
  } catch (error) {
    assert.equal(kindOf(error), 'record')
    return [topic, partition, offset].join('-')
  }
  const key = decodeBytes(item['key'] ?? null)
  const headers = ((item['headers'] ?? []) as readonly (readonly [string, Json])[]).map(([headerKey, raw]) => {
    return { key: headerKey, schema: Schemas.string, value: decodeBytes(raw)?.toString() ?? null }
  })
  return new SinkRecord({
    topic,
    partition,
    offset,
    keySchema: key === null ? null : Schemas.optionalString,
    key: key?.toString() ?? null,
    valueSchema: converted.schema,
    value: converted.value,
    timestamp: typeof item['ts'] === 'number' ? item['ts'] : Date.UTC(2024, 0, 1),
    headers,
  })
}

function valueConverter(config: Readonly<Record<string, string>>) {
  if (config['value.converter']?.endsWith('ByteArrayConverter') === true) {
    return (_: string, bytes: Buffer | null) => ({ schema: Schemas.optionalBytes, value: bytes })
  }
  const converter = new JsonConverter()
  const raw = { 'converter.type': 'value', 'schemas.enable': config['value.converter.schemas.enable'] ?? 'true' }
  converter.configure(parseConfig(jsonConverterConfig, raw), 'value')
  return (topic: string, bytes: Buffer | null) => converter.toConnectData(topic, [], bytes)
}

/** JSON values keep the text of the recording, so that numbers do not pass through a double. */
function valueBytes(line: string, item: JsonObject, { schemas = {} }: Case): Buffer | null {
  const value = item['value'] ?? null
  if (value === null || (typeof value === 'object' && Object.keys(value)[0]?.startsWith('$') === true)) {
    return decodeBytes(value)
  }
  const text = memberText(line, 'value')
  const schema = item['valueSchema']
  if (typeof schema !== 'string') return Buffer.from(text)
  return Buffer.from(`{"schema":${JSON.stringify(schemas[schema])},"payload":${text}}`)
}

function memberText(line: string, name: string): string {
  let found: string | undefined
  const root = JSON.parse(line, function (this: Json, key: string, value: Json, context?: { source?: string }) {
    if (typeof value === 'number' && context?.source !== undefined) return `\u0001${context.source}\u0001`
    void key
    return value
  }) as JsonObject
  found = JSON.stringify(root[name] ?? null).replaceAll(/"\\u0001([^"\\]*)\\u0001"/g, '$1')
  return found
}

function decodeBytes(value: Json): Buffer | null {
  if (value === null) return null
  if (typeof value === 'object' && !Array.isArray(value)) {
    const object = value as JsonObject
    if (typeof object['$text'] === 'string') return Buffer.from(object['$text'])
    if (typeof object['$hex'] === 'string') return Buffer.from(object['$hex'], 'hex')
    if (typeof object['$base64'] === 'string') return Buffer.from(object['$base64'], 'base64')
    const repeat = object['$repeat']
    if (Array.isArray(repeat)) return Buffer.from(String(repeat[0]).repeat(Number(repeat[1])))
  }
  return Buffer.from(JSON.stringify(value))
}
