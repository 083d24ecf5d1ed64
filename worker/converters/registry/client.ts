import { ConnectError, DataError, toError } from '../../api/errors.ts'
import type { RegistryConfig } from './options.ts'
import { type RegistryRequest, RegistryTransport } from './transport.ts'

export type SchemaType = 'AVRO' | 'PROTOBUF' | 'JSON'

/** How a schema names another one that it uses. */
export interface SchemaReference {
  readonly name: string
  readonly subject: string
  readonly version: number
}

/** A schema as the registry keeps it. */
export interface RegisteredSchema {
  readonly id: number
  readonly type: SchemaType
  readonly text: string
  readonly references: readonly SchemaReference[]
  /** Of the subject that was asked for; null when it is not known there. */
  readonly version: number | null
}

export interface NewSchema {
  readonly type: SchemaType
  readonly text: string
  readonly references: readonly SchemaReference[]
}

type Json = { readonly [name: string]: unknown }

/** The part of Confluent's REST API that converters need; without caches. */
export class RegistryClient {
  readonly #transport: RegistryTransport
  readonly #normalize: string

  /** @throws ConfigError */
  constructor(config: RegistryConfig) {
    this.#transport = new RegistryTransport(config)
    this.#normalize = config['normalize.schemas'] ? '?normalize=true' : ''
  }

  /** Registers a schema under a subject, or finds it there. @returns its id */
  async register(subject: string, schema: NewSchema, signal: AbortSignal): Promise<number> {
    const path = `/subjects/${encodeURIComponent(subject)}/versions${this.#normalize}`
    return idOf(await this.#call({ method: 'POST', path, body: bodyOf(schema) }, signal))
  }

  /** Id of a schema that the subject has. @throws DataError CONNECT_REGISTRY_NOT_FOUND */
  async lookUp(subject: string, schema: NewSchema, signal: AbortSignal): Promise<number> {
    const path = `/subjects/${encodeURIComponent(subject)}${this.#normalize}`
    return idOf(await this.#call({ method: 'POST', path, body: bodyOf(schema) }, signal))
  }

  /** A version of a subject; `latest` is the newest. */
  async version(subject: string, version: number | 'latest', signal: AbortSignal): Promise<RegisteredSchema> {
    const path = `/subjects/${encodeURIComponent(subject)}/versions/${version}`
    const json = await this.#call({ method: 'GET', path }, signal)
    return registered(json, idOf(json), typeof json['version'] === 'number' ? json['version'] : null)
  }

  /** The schema of an id, with its version under `subject` where it has one. */
  async byId(id: number, subject: string, signal: AbortSignal): Promise<RegisteredSchema> {
    const path = `/schemas/ids/${id}?subject=${encodeURIComponent(subject)}`
    const json = await this.#call({ method: 'GET', path }, signal)
    return registered(json, id, await this.#versionOf(id, subject, signal))
  }

  async #versionOf(id: number, subject: string, signal: AbortSignal): Promise<number | null> {
    try {
      const versions = await this.#fetch({ method: 'GET', path: `/schemas/ids/${id}/versions` }, signal)
      if (!Array.isArray(versions)) return null
      const found = (versions as readonly unknown[]).find((entry) => isObject(entry) && entry['subject'] === subject)
      return isObject(found) && typeof found['version'] === 'number' ? found['version'] : null
    } catch (error) {
      // An older registry does not have this route; then the version stays unknown.
      if (error instanceof ConnectError && error.code === 'CONNECT_REGISTRY_NOT_FOUND') return null
      throw error
    }
  }

  async #call(request: RegistryRequest, signal: AbortSignal): Promise<Json> {
    const json = await this.#fetch(request, signal)
    if (!isObject(json)) throw refused(request, 'the answer is no JSON object')
    return json
  }

  async #fetch(request: RegistryRequest, signal: AbortSignal): Promise<unknown> {
    const { status, body } = await this.#transport.send(request, signal)
    let json: unknown
    try {
      json = JSON.parse(body)
    } catch (error) {
      if (status === 200) throw refused(request, `the answer is no JSON: ${toError(error).message}`)
    }
    if (status >= 200 && status < 300) return json
    throw failure(request, status, isObject(json) ? json : {})
  }

  close(): void {
    this.#transport.close()
  }
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function bodyOf({ type, text, references }: NewSchema): string {
  return JSON.stringify({
    schema: text,
    ...(type === 'AVRO' ? {} : { schemaType: type }),
    ...(references.length === 0 ? {} : { references }),
  })
}

function idOf(json: Json): number {
  const id = json['id']
  if (typeof id === 'number') return id
  throw new DataError('CONNECT_REGISTRY_REFUSED', 'The schema registry answered without an id')
}

function registered(json: Json, id: number, version: number | null): RegisteredSchema {
  const { schema, schemaType, references } = json
  if (typeof schema !== 'string') {
    throw new DataError('CONNECT_REGISTRY_REFUSED', `The schema registry answered without the schema of id ${id}`)
  }
  return {
    id,
    version,
    type: schemaType === 'PROTOBUF' || schemaType === 'JSON' ? schemaType : 'AVRO',
    text: schema,
    references: Array.isArray(references) ? (references as readonly SchemaReference[]) : [],
  }
}

function refused({ method, path }: RegistryRequest, reason: string): DataError {
  return new DataError('CONNECT_REGISTRY_REFUSED', `Schema registry, ${method} ${path}: ${reason}`)
}

function failure({ method, path }: RegistryRequest, status: number, json: Json): ConnectError {
  const reason = typeof json['message'] === 'string' ? json['message'] : `HTTP ${status}`
  const message = `Schema registry, ${method} ${path}: ${reason}`
  const context = { status, errorCode: typeof json['error_code'] === 'number' ? json['error_code'] : status }
  if (status === 401 || status === 403) {
    return new ConnectError('fatal', 'CONNECT_REGISTRY_ACCESS', message, { context })
  }
  if (status === 404) return new DataError('CONNECT_REGISTRY_NOT_FOUND', message, { context })
  if (status === 409) return new DataError('CONNECT_REGISTRY_INCOMPATIBLE', message, { context })
  return new DataError('CONNECT_REGISTRY_REFUSED', message, { context })
}
