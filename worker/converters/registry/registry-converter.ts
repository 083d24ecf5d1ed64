import { GrowingByteWriter } from '../../api/byte-writer.ts'
import type { ByteWriter, Converter, ConverterRole, SchemaAndValue } from '../../api/converter.ts'
import { type Schema, StructView, type Value } from '../../api/data.ts'
import { DataError, toError } from '../../api/errors.ts'
import { type Headers, lastHeader } from '../../api/record.ts'
import { BoundedMap } from './bounded-map.ts'
import { type RegisteredSchema, RegistryClient } from './client.ts'
import type { Decoding, Encoding, ReferencedSchema, SchemaFormat } from './format.ts'
import { frameBytes, frameOf, schemaIdOf } from './frame.ts'
import type { RegistryConfig } from './options.ts'
import { type SubjectStrategy, subjectOf, subjectStrategy } from './subject.ts'

const nothing: SchemaAndValue = Object.freeze({ schema: null, value: null })
/** How long a refusal of the registry counts for the records that follow, in ms; not each of them asks again. */
const refusalMs = 10_000
/** Deepest chain of references. */
const maxReferenceDepth = 32

/** A schema of the write side: how it is encoded, and the bytes before the data per topic. */
interface Prepared {
  readonly encoding: Encoding
  readonly frames: Map<string, { readonly frame: Uint8Array; readonly expiresAt: number }>
}

/**
 * A converter whose messages carry the id of a schema in a registry. Both ways are synchronous once a schema is known;
 * the registry is asked in `prepare`, once per schema and subject.
 */
export class RegistryConverter<C extends RegistryConfig> implements Converter<C> {
  readonly #createFormat: (config: C) => SchemaFormat
  #format: SchemaFormat | null = null
  #loading: Promise<void> | null = null
  #loaded = false
  #client: RegistryClient | null = null
  #config: RegistryConfig | null = null
  #role: 'key' | 'value' = 'value'
  /** Of messages that must not be read by their first bytes; null: all are. */
  #headerName: string | null = null
  #strategy: SubjectStrategy = 'topic'
  #prepared = new WeakMap<Schema, Prepared>()
  #ids = new BoundedMap<string, number>(1000)
  #decodings = new BoundedMap<number, Decoding>(1000)
  #refusals = new BoundedMap<string, { readonly error: Error; readonly until: number }>(1000)
  readonly #scratch = new GrowingByteWriter(1024)

  constructor(createFormat: (config: C) => SchemaFormat) {
    this.#createFormat = createFormat
  }

  configure(config: C, role: ConverterRole): void {
    this.#role = role === 'key' ? 'key' : 'value'
    const option = `${this.#role}.subject.name.strategy` as const
    const reader = config[`${this.#role}.schema.id.deserializer`]
    this.#headerName = reader.endsWith('PrefixSchemaIdDeserializer') ? null : `__${this.#role}_schema_id`
    this.#strategy = subjectStrategy(option, config[option])
    this.#client = new RegistryClient(config)
    this.#config = config
    this.#format = this.#createFormat(config)
    this.#loaded = this.#format.load === undefined
    const limit = config['max.schemas.per.subject']
    this.#ids = new BoundedMap(limit)
    this.#decodings = new BoundedMap(limit)
  }

  get #parts(): { readonly format: SchemaFormat; readonly client: RegistryClient; readonly config: RegistryConfig } {
    if (this.#format === null || this.#client === null || this.#config === null) {
      throw new TypeError('configure comes first')
    }
    return { format: this.#format, client: this.#client, config: this.#config }
  }

  fromConnectData(topic: string, headers: Headers, schema: Schema | null, value: Value): Uint8Array | null {
    this.#scratch.reset()
    if (!this.write(topic, headers, schema, value, this.#scratch)) return null
    return Uint8Array.from(this.#scratch.since(0))
  }

  /** A null is a tombstone, also under a schema, unless the schema has a default. */
  write(topic: string, _headers: Headers, schema: Schema | null, value: Value | StructView, out: ByteWriter): boolean {
    if (schema === null) {
      if (value === null) return false
      throw new DataError(
        'CONNECT_REGISTRY_SCHEMA',
        'A value without a schema cannot be written with a schema registry',
      )
    }
    if (value === null && schema.defaultValue === null && schema.optional) return false
    const prepared = this.#prepared.get(schema)
    const frame = prepared?.frames.get(topic)
    if (prepared === undefined || frame === undefined) throw notPrepared()
    out.bytes(frame.frame)
    prepared.encoding.write(value, out)
    return true
  }

  toConnectData(_topic: string, headers: Headers, bytes: Uint8Array | null): SchemaAndValue {
    if (bytes === null) return nothing
    if (headers.length > 0 && this.#headerName !== null) refuseIdInHeader(headers, this.#headerName)
    const decoding = this.#decodings.get(schemaIdOf(bytes))
    if (decoding === undefined) throw notPrepared()
    return decoding.read(bytes, frameBytes)
  }

  needsPrepare(topic: string, item: Schema | Uint8Array | null): boolean {
    if (item === null) return false
    if (!this.#loaded) return true
    if (item instanceof Uint8Array) {
      // A message without a frame is refused by the conversion itself.
      return item.length >= frameBytes && item[0] === 0 && !this.#decodings.has(schemaIdOf(item))
    }
    const frame = this.#prepared.get(item)?.frames.get(topic)
    return frame === undefined || frame.expiresAt < performance.now()
  }

  async prepare(topic: string, item: Schema | Uint8Array | null, signal: AbortSignal): Promise<void> {
    await this.#load()
    if (item === null || !this.needsPrepare(topic, item)) return
    if (item instanceof Uint8Array) await this.#prepareRead(topic, schemaIdOf(item), signal)
    else await this.#prepareWrite(topic, item, signal)
  }

  async #load(): Promise<void> {
    if (this.#loaded) return
    this.#loading ??= this.#parts.format.load?.() ?? Promise.resolve()
    await this.#loading
    this.#loaded = true
  }

  async #prepareWrite(topic: string, schema: Schema, signal: AbortSignal): Promise<void> {
    const { format, config } = this.#parts
    let prepared = this.#prepared.get(schema)
    if (prepared === undefined) {
      prepared = { encoding: format.encoding(schema), frames: new Map() }
      this.#prepared.set(schema, prepared)
    }
    const { encoding, frames } = prepared
    const subject = subjectOf(this.#strategy, topic, this.#role, encoding.recordName)
    const id = await this.#refusing(`${subject}\n${encoding.text}`, () => this.#idOf(subject, encoding, signal))
    const ttlSeconds = config['use.latest.version'] ? config['latest.cache.ttl.sec'] : -1
    const expiresAt = ttlSeconds < 0 ? Number.POSITIVE_INFINITY : performance.now() + ttlSeconds * 1000
    // A source of very many topics must not keep all of them for ever.
    if (frames.size >= config['max.schemas.per.subject']) frames.clear()
    frames.set(topic, { frame: frameOf(id, encoding.head), expiresAt })
  }

  async #idOf(subject: string, encoding: Encoding, signal: AbortSignal): Promise<number> {
    const { client, config } = this.#parts
    if (config['use.schema.id'] >= 0) {
      const target = await client.byId(config['use.schema.id'], subject, signal)
      return checked(target, encoding, config['id.compatibility.strict'], 'use.schema.id')
    }
    // As with Confluent's converters, auto.register.schemas comes first where both are set.
    if (config['use.latest.version'] && !config['auto.register.schemas']) {
      const target = await client.version(subject, 'latest', signal)
      return checked(target, encoding, config['latest.compatibility.strict'], 'use.latest.version')
    }
    const key = `${subject}\n${encoding.text}`
    let id = this.#ids.get(key)
    if (id === undefined) {
      id = config['auto.register.schemas']
        ? await client.register(subject, encoding, signal)
        : await client.lookUp(subject, encoding, signal)
      this.#ids.set(key, id)
    }
    return id
  }

  async #prepareRead(topic: string, id: number, signal: AbortSignal): Promise<void> {
    const { client, format } = this.#parts
    const subject = this.#strategy === 'topic' ? subjectOf('topic', topic, this.#role, null) : ''
    const decoding = await this.#refusing(`id ${id}`, async () => {
      const found = await client.byId(id, subject, signal)
      if (found.type !== format.type) {
        const message = `Schema ${id} is of type ${found.type}, which this converter (${format.type}) does not read`
        throw new DataError('CONNECT_REGISTRY_SCHEMA', message)
      }
      const references = await this.#references(found, signal)
      return format.decoding(found.text, references, found.version)
    })
    this.#decodings.set(id, decoding)
  }

  /** All schemas that a schema uses, each after those that it uses itself. */
  async #references(schema: RegisteredSchema, signal: AbortSignal): Promise<readonly ReferencedSchema[]> {
    const { client } = this.#parts
    const resolved = new Map<string, ReferencedSchema>()
    const visit = async (from: RegisteredSchema, depth: number): Promise<void> => {
      if (depth > maxReferenceDepth) {
        throw new DataError('CONNECT_REGISTRY_SCHEMA', `References are nested deeper than ${maxReferenceDepth} levels`)
      }
      for (const { name, subject, version } of from.references) {
        if (resolved.has(name)) continue
        const target = await client.version(subject, version, signal)
        await visit(target, depth + 1)
        resolved.set(name, { name, text: target.text })
      }
    }
    await visit(schema, 0)
    return [...resolved.values()]
  }

  /** Remembers for a while that the registry refused something: the next record would be refused just so. */
  async #refusing<T>(key: string, ask: () => Promise<T>): Promise<T> {
    const refusal = this.#refusals.get(key)
    if (refusal !== undefined && refusal.until > performance.now()) throw refusal.error
    try {
      const answer = await ask()
      this.#refusals.delete(key)
      return answer
    } catch (error) {
      if (error instanceof DataError) {
        this.#refusals.set(key, { error: toError(error), until: performance.now() + refusalMs })
      }
      throw error
    }
  }

  async close(): Promise<void> {
    this.#client?.close()
  }
}

/** A schema that was prescribed may replace the record's own only where it reads the same bytes (I6). */
function checked(target: RegisteredSchema, encoding: Encoding, strict: boolean, option: string): number {
  const depends = encoding.type !== 'JSON' || strict
  if (target.type === encoding.type && (!depends || encoding.isReadableBy(target.text))) return target.id
  const message = `Schema ${target.id}, which ${option} prescribes, does not describe the data: it would be read as other data. Schema of the data: ${encoding.text}`
  throw new DataError('CONNECT_REGISTRY_SCHEMA', message)
}

/** Data without a frame may look like framed data of any other schema; to read it so would be other data (I6). */
function refuseIdInHeader(headers: Headers, name: string): void {
  const header = lastHeader(headers, name)
  if (header === null || header.value === null) return
  const message =
    `The id of the schema stands in the header ${name}, which is not supported: let the producer write it before the ` +
    'data (PrefixSchemaIdSerializer)'
  throw new DataError('CONNECT_REGISTRY_FRAME', message)
}

function notPrepared(): DataError {
  return new DataError('CONNECT_REGISTRY_UNAVAILABLE', 'The schema has not been loaded from the registry')
}
