import type { Schema } from '../../worker/api/data.ts'
import type { ServerConnection } from './client.ts'
import { classify, serverErrorType, statusOf } from './errors.ts'
import { mappingOf } from './mapping.ts'
import { type RetryContext, withRetries } from './retry.ts'

export type ResourceKind = 'index' | 'data-stream' | 'existing'

/**
 * Creates indices and data streams, and puts mappings, once per name and task. Tasks race for it: that somebody else
 * was faster is success.
 */
export class Resources {
  readonly #connection: ServerConnection
  readonly #kind: ResourceKind
  readonly #putsMappings: boolean
  readonly #fenceField: string | null
  readonly #retry: RetryContext
  readonly #created = new Set<string>()
  readonly #ready = new Map<string, Promise<void>>()

  constructor(options: {
    readonly connection: ServerConnection
    readonly kind: ResourceKind
    /** Whether mappings may be put at all; aliases and data streams have their own. */
    readonly putsMappings: boolean
    /** Field of the fence of merged documents; null when nothing is merged. */
    readonly fenceField: string | null
    readonly retry: RetryContext
  }) {
    this.#connection = options.connection
    this.#kind = options.kind
    this.#putsMappings = options.putsMappings
    this.#fenceField = options.fenceField
    this.#retry = options.retry
  }

  /** Whether `ensure` has nothing to wait for. */
  isReady(name: string): boolean {
    return this.#done.has(name)
  }

  readonly #done = new Set<string>()

  /**
   * Makes sure that a resource exists and, with a schema given, that an index without fields has a mapping.
   * @param schema undefined when schemas are ignored
   * @throws ConnectError
   */
  async ensure(name: string, schema: Schema | null | undefined): Promise<void> {
    let ready = this.#ready.get(name)
    if (ready === undefined) {
      ready = this.#prepare(name, schema)
      this.#ready.set(name, ready)
      // A failure is not kept: after a restart of the server the next record tries again.
      ready.then(
        () => this.#done.add(name),
        () => this.#ready.delete(name),
      )
    }
    await ready
  }

  /** As `ensure`, for a record that has no value and so cannot say what the mapping is: the next one is asked again. */
  async ensureForTombstone(name: string): Promise<void> {
    if (this.#created.has(name)) return
    await this.#prepare(name, undefined)
    this.#created.add(name)
  }

  /** Creates a resource that has gone since. */
  async recreate(name: string): Promise<void> {
    if (this.#kind === 'existing') return
    await this.#create(name)
    if (this.#fenceField !== null) await this.#putFence(name, this.#fenceField)
  }

  async #prepare(name: string, schema: Schema | null | undefined): Promise<void> {
    if (this.#kind !== 'existing' && !(await this.#exists(name))) await this.#create(name)
    const needsMapping = schema !== undefined && this.#putsMappings
    if (!needsMapping && this.#fenceField === null) return
    const fields = await this.#fieldNames(name)
    if (this.#fenceField !== null && !fields.includes(this.#fenceField)) await this.#putFence(name, this.#fenceField)
    if (!needsMapping || fields.some((field) => field !== this.#fenceField)) return
    // Only now: an index that has its mapping takes records without a schema, too.
    await this.#putMapping(name, mappingOf(schema))
  }

  /** Offsets of a fence are neither searched nor indexed, and partitions must not become fields of the mapping. */
  async #putFence(name: string, field: string): Promise<void> {
    await this.#putMapping(name, { properties: { [field]: { type: 'object', enabled: false } } })
  }

  async #putMapping(name: string, mapping: object): Promise<void> {
    await this.#request(`put the mapping of '${name}'`, {
      method: 'PUT',
      path: `${pathOf(name)}/_mapping`,
      json: JSON.stringify(mapping),
    })
  }

  async #exists(name: string): Promise<boolean> {
    return (await this.#request(`look for '${name}'`, { method: 'HEAD', path: pathOf(name) })) === true
  }

  async #create(name: string): Promise<void> {
    const path = this.#kind === 'data-stream' ? `/_data_stream${pathOf(name)}` : pathOf(name)
    await withRetries(`create '${name}'`, this.#retry, async () => {
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
    })
  }

  async #fieldNames(name: string): Promise<readonly string[]> {
    const answer = await this.#request(`read the mapping of '${name}'`, {
      method: 'GET',
      path: `${pathOf(name)}/_mapping`,
    })
    if (typeof answer !== 'object' || answer === null) return []
    return Object.values(answer).flatMap((index: { mappings?: { properties?: object } }) => {
      return Object.keys(index.mappings?.properties ?? {})
    })
  }

  async #request(what: string, request: Parameters<ServerConnection['request']>[0]): Promise<unknown> {
    return await withRetries(what, this.#retry, () => this.#connection.request(request, this.#retry.signal))
  }
}

function pathOf(name: string): string {
  return `/${encodeURIComponent(name)}`
}
