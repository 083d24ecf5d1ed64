import { type ConfigOf, defineConfig, nonEmptyString } from '../worker/api/config.ts'
import * as tools from '../worker/api/data.ts'
import { ConnectError, DataError, toError } from '../worker/api/errors.ts'
import { defineTransformation } from '../worker/api/plugin.ts'
import { type ConnectRecord, type RecordChanges, SinkRecord, SourceRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { loadScript, type ScriptModule } from './script-module.ts'
import { misfit } from './value-fits.ts'

const config = defineConfig({
  module: {
    type: 'STRING',
    importance: 'HIGH',
    valid: nonEmptyString,
    doc: 'JavaScript or TypeScript module (.js, .mjs, .cjs, .ts, .mts) below an entry of the worker’s plugin.path, by a path from the working directory or from that entry. A folder of scripts there needs no index module. Its default export, or `transform`, gets a record and answers with a changed one, an object of what changes (value, valueSchema, topic, headers, …), or null to drop it; an export `predicate` says which records it gets.',
  },
})

const changeable: ReadonlySet<string> = new Set<keyof RecordChanges>([
  'topic',
  'partition',
  'keySchema',
  'key',
  'valueSchema',
  'value',
  'timestamp',
  'headers',
])

/** Runs a function of the user's on every record. */
class Script implements Transformation<ConfigOf<typeof config>> {
  readonly #pluginPath: readonly string[]
  #module: ScriptModule | null = null
  #path = ''

  constructor(pluginPath: readonly string[]) {
    this.#pluginPath = pluginPath
  }

  configure(options: ConfigOf<typeof config>): void {
    this.#path = options.module
    this.#module = loadScript(options.module, this.#pluginPath)
  }

  apply<R extends ConnectRecord>(record: R): R | null {
    const script = this.#module
    if (script === null) return record
    if (script.predicate !== null && !this.#call(script.predicate, record)) return record
    const answer: unknown = this.#call(script.transform, record)
    if (answer === null) return null
    if (answer === record) return record
    const changed = this.#changed(record, answer)
    this.#check('key', record.key, changed.keySchema, changed.key)
    this.#check('value', record.value, changed.valueSchema, changed.value)
    return changed
  }

  /** An error of ours keeps its kind, so that a script may ask for a retry; any other concerns the record. */
  #call<T>(run: (record: ConnectRecord, given: typeof tools) => T, record: ConnectRecord): T {
    try {
      return run(record, tools)
    } catch (error) {
      if (error instanceof ConnectError) throw error
      throw this.#failure(`threw ${toError(error).name}: ${toError(error).message}`, error)
    }
  }

  #changed<R extends ConnectRecord>(record: R, answer: unknown): R {
    if (answer instanceof Promise) {
      // Nobody else waits for it; what it rejects with has been answered by this error.
      answer.catch(() => undefined)
      throw this.#failure('answered with a promise; a transform answers at once, so it cannot be async')
    }
    if (answer instanceof SourceRecord || answer instanceof SinkRecord) {
      if (answer.constructor === record.constructor) return answer as unknown as R
      throw this.#failure('answered with a record of the other kind; use record.with({ … })')
    }
    if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) {
      const found = answer === undefined ? 'nothing: return the record, what changes, or null' : `a ${typeof answer}`
      throw this.#failure(`answered with ${found}`)
    }
    const unknown = Object.keys(answer).find((name) => !changeable.has(name))
    if (unknown !== undefined) {
      throw this.#failure(`wants to change ${unknown}, which a record does not have: ${[...changeable].join(', ')}`)
    }
    return record.with(checkedChanges(answer, (message) => this.#failure(message)))
  }

  /** A value that does not fit its schema would fail later, under another name. */
  #check(part: string, before: tools.Value, schema: tools.Schema | null, value: tools.Value): void {
    if (schema === null || value === before) return
    const found = misfit(schema, value, part)
    if (found !== null) throw this.#failure(`gave a ${part} that its schema does not allow: ${found}`)
  }

  #failure(what: string, cause?: unknown): DataError {
    return new DataError('CONNECT_TRANSFORM_SCRIPT', `The script ${this.#path} ${what}`, { cause })
  }
}

function checkedChanges(answer: object, failure: (message: string) => DataError): RecordChanges {
  const changes: RecordChanges = answer
  const { topic, partition, timestamp, headers } = changes
  if (topic !== undefined && (typeof topic !== 'string' || topic === '')) throw failure('gave a topic that is no text')
  if (partition !== undefined && partition !== null && !(Number.isInteger(partition) && partition >= 0)) {
    throw failure('gave a partition that is no number from 0')
  }
  if (timestamp !== undefined && timestamp !== null && !Number.isSafeInteger(timestamp)) {
    throw failure('gave a timestamp that is no number of milliseconds')
  }
  const isHeaders = (list: unknown): boolean =>
    Array.isArray(list) &&
    list.every((h: unknown) => typeof h === 'object' && h !== null && 'key' in h && 'schema' in h && 'value' in h)
  if (headers !== undefined && !isHeaders(headers)) {
    throw failure('gave headers that are no list of { key, schema, value }')
  }
  return changes
}

export const script = defineTransformation({
  name: 'sluice.transforms.Script',
  aliases: ['Script'],
  version: '1.0.0',
  config,
  create: async (context) => new Script(context?.pluginPath ?? []),
})
