import type { Schema } from '../../worker/api/data.ts'
import type { ServerConnection } from './client.ts'
import { classify, reasonOf, serverErrorType, statusOf } from './errors.ts'
import { type FieldMapping, mappingOf } from './mapping.ts'
import { type RetryContext, withRetries } from './retry.ts'

/** What names stand for; `existing` and `existing-data-stream` are somebody else's, and never created. */
export type ResourceKind = 'index' | 'data-stream' | 'existing' | 'existing-data-stream'

/** A mapping as the server shows it: fields, and anything else that was set. */
interface IndexMapping {
  readonly properties?: object
}

/**
 * Creates indices and data streams, and puts mappings, once per name and task. Tasks race for it: that somebody else
 * was faster is success.
 */
export class Resources {
  readonly #connection: ServerConnection
  readonly #kind: ResourceKind
  readonly #fenceField: string | null
  readonly #retry: RetryContext
  /** Names that exist, and have the field of the fence. */
  readonly #existing = new Set<string>()
  /** Of them, those that have a mapping, their own or that of a schema. */
  readonly #mapped = new Set<string>()

  constructor(options: {
    readonly connection: ServerConnection
    readonly kind: ResourceKind
    /** Field of the fence of merged documents; null when nothing is merged. */
    readonly fenceField: string | null
    readonly retry: RetryContext
  }) {
    this.#connection = options.connection
    this.#kind = options.kind
    this.#fenceField = options.fenceField
    this.#retry = options.retry
  }

  get #isOurs(): boolean {
    return this.#kind === 'index' || this.#kind === 'data-stream'
  }

  get #isDataStream(): boolean {
    return this.#kind === 'data-stream' || this.#kind === 'existing-data-stream'
  }

  /** Whether `ensure` has nothing to do for a record with a schema, or for one whose schema does not count. */
  isReady(name: string, schemaCounts: boolean): boolean {
    return this.#mapped.has(name) || (!schemaCounts && this.#existing.has(name))
  }

  /**
   * Makes sure that a resource exists and, with a schema given, that an index without a mapping gets one, and what
   * stands behind an alias or a data stream the fields that it does not have. A failure is not kept: after a restart of
   * the server the next record tries again.
   * @param schema null when there should be one; undefined when it does not count: topics of both kinds may share an index
   * @throws ConnectError
   */
  async ensure(name: string, schema: Schema | null | undefined): Promise<void> {
    const isNew = !this.#existing.has(name)
    if (isNew && this.#isOurs && !(await this.#exists(name))) await this.#create(name)
    const maps = schema !== undefined && !this.#mapped.has(name)
    const fence = isNew ? this.#fenceField : null
    if (maps || fence !== null) {
      const mappings = await this.#mappings(name)
      const hasFence = [...mappings.values()].some(({ properties = {} }) => Object.hasOwn(properties, fence ?? ''))
      if (fence !== null && !hasFence) await this.#putFence(name, fence)
      if (maps) await this.#map(name, schema, mappings)
    }
    if (maps) this.#mapped.add(name)
    this.#existing.add(name)
  }

  /**
   * An index that has a mapping keeps it as it is (E44), and takes records without a schema then. To what has another
   * name than its indices the reference adds the schema's in any case, and stops where that does not fit: here it is
   * given the fields that it does not have, such as a double that documents would make a float of.
   */
  async #map(name: string, schema: Schema | null, mappings: ReadonlyMap<string, IndexMapping>): Promise<void> {
    // A data stream that comes into being with its first document has the fields of its template and of documents.
    if (this.#isDataStream && mappings.size === 0) return
    const all = [...mappings.values()]
    const isMapped = all.some((mapping) => this.#saysAnything(mapping))
    if (!isMapped) {
      await this.#putMapping(name, mappingOf(schema), schemaText(schema))
      return
    }
    if (schema === null || mappings.has(name)) return
    const { properties } = mappingOf(schema)
    if (typeof properties !== 'object') return
    const known = new Set(all.flatMap(({ properties: fields = {} }) => Object.keys(fields)))
    const missing = Object.entries(properties).filter(([field]) => !known.has(field))
    if (missing.length > 0) await this.#addFields(name, Object.fromEntries(missing), schemaText(schema))
  }

  /** A user may be allowed to write and not to map: each document is then judged by the mapping that there is. */
  async #addFields(name: string, properties: FieldMapping, what: string): Promise<void> {
    const put = { method: 'PUT', path: `${pathOf(name)}/_mapping`, json: JSON.stringify({ properties }) } as const
    await withRetries(`create mapping for resource ${name} with ${what}`, this.#retry, async () => {
      try {
        await this.#connection.request(put, this.#retry.signal)
      } catch (error) {
        if (classify(error) !== 'fail' || statusOf(error) === null) throw error
        const { logger } = this.#retry
        logger.warn({ resource: name, error: reasonOf(error) }, 'The fields of the schema could not be mapped')
      }
    })
  }

  /** Creates a resource that has gone since. */
  async recreate(name: string): Promise<void> {
    if (!this.#isOurs) return
    await this.#create(name)
    if (this.#fenceField !== null) await this.#putFence(name, this.#fenceField)
  }

  /** Whether somebody has decided about fields: about one, or about those to come (`dynamic`, `dynamic_templates`). */
  #saysAnything({ properties = {}, ...rest }: IndexMapping): boolean {
    return Object.keys(rest).length > 0 || Object.keys(properties).some((field) => field !== this.#fenceField)
  }

  /** Offsets of a fence are neither searched nor indexed, and partitions must not become fields of the mapping. */
  async #putFence(name: string, field: string): Promise<void> {
    const mapping = { properties: { [field]: { type: 'object', enabled: false } } }
    await this.#putMapping(name, mapping, `the field '${field}'`)
  }

  async #putMapping(name: string, mapping: object, what: string): Promise<void> {
    await this.#request(`create mapping for resource ${name} with ${what}`, {
      method: 'PUT',
      path: `${pathOf(name)}/_mapping`,
      json: JSON.stringify(mapping),
    })
  }

  async #exists(name: string): Promise<boolean> {
    return (await this.#request(`check if index ${name} exists`, { method: 'HEAD', path: pathOf(name) })) === true
  }

  async #create(name: string): Promise<void> {
    const path = this.#kind === 'data-stream' ? `/_data_stream${pathOf(name)}` : pathOf(name)
    await withRetries(
      `create ${this.#kind === 'data-stream' ? 'data stream' : 'index'} ${name}`,
      this.#retry,
      async () => {
        try {
          await this.#connection.request({ method: 'PUT', path }, this.#retry.signal)
        } catch (error) {
          if (classify(error) === 'fail' && serverErrorType(error) === ' resource_already_exists_exception') return
          // A data stream that exists is reported without a type of its own; and a distribution without the route for
          // data streams still makes them, from their template, when the first document arrives.
          const untyped = this.#kind === 'data-stream' && (statusOf(error) === 400 || statusOf(error) === 405)
          if (untyped && (serverErrorType(error) === '' || (await this.#exists(name)))) return
          throw error
        }
      },
    )
  }

  /** By index: of this one, or of each that an alias or a data stream stands for. */
  async #mappings(name: string): Promise<ReadonlyMap<string, IndexMapping>> {
    const found = new Map<string, IndexMapping>()
    const answer = await withRetries(`get mapping for index ${name}`, this.#retry, async () => {
      try {
        return await this.#connection.request({ method: 'GET', path: `${pathOf(name)}/_mapping` }, this.#retry.signal)
      } catch (error) {
        if (this.#isDataStream && statusOf(error) === 404) return null
        throw error
      }
    })
    if (typeof answer !== 'object' || answer === null) return found
    for (const [index, { mappings = {} }] of Object.entries(answer as Record<string, { mappings?: IndexMapping }>)) {
      found.set(index, mappings)
    }
    return found
  }

  async #request(what: string, request: Parameters<ServerConnection['request']>[0]): Promise<unknown> {
    return await withRetries(what, this.#retry, () => this.#connection.request(request, this.#retry.signal))
  }
}

/** A schema as Java prints it. */
function schemaText(schema: Schema | null): string {
  if (schema === null) return 'schema null'
  return `schema Schema{${schema.name === null ? '' : `${schema.name}:`}${schema.type}}`
}

function pathOf(name: string): string {
  return `/${encodeURIComponent(name)}`
}
