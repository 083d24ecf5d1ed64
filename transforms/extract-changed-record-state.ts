import { type ConfigOf, defineConfig } from '../worker/api/config.ts'
import { makeSchema, type Schema, Schemas, type Struct, type Value, valueEquals } from '../worker/api/data.ts'
import { defineTransformation } from '../worker/api/plugin.ts'
import { type ConnectRecord, type Header, SourceRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { isStruct } from '../worker/api/values.ts'
import { debeziumVersion, isEnvelope, rawMember } from './change-event.ts'

const config = defineConfig({
  'header.changed.name': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    doc: 'Header that lists the columns an update changed; no header when unset.',
  },
  'header.unchanged.name': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    doc: 'Header that lists the columns an update left alone; no header when unset.',
  },
})

/** Named after the header. */
const namesSchema = (name: string): Schema =>
  makeSchema({ type: 'ARRAY', name, optional: true, valueSchema: Schemas.optionalString })

/**
 * Debezium's ExtractChangedRecordState: headers name the changed and unchanged columns. The lists are empty where
 * there is nothing to compare: inserts, deletes, tombstones, and updates without the old row (REPLICA IDENTITY FULL).
 */
class ExtractChangedRecordState implements Transformation<ConfigOf<typeof config>> {
  #changed: NamesHeader | null = null
  #unchanged: NamesHeader | null = null

  configure(options: ConfigOf<typeof config>): void {
    this.#changed = namesHeader(options['header.changed.name'])
    this.#unchanged = namesHeader(options['header.unchanged.name'])
  }

  apply<R extends ConnectRecord>(record: R): R {
    const { value, valueSchema } = record
    // In Debezium's source a tombstone has the very headers of its delete, which a sink has no more.
    if (value === null ? !(record instanceof SourceRecord) : !isEnvelope(valueSchema)) return record
    const before = isStruct(value) ? rawMember(value, 'before') : null
    const after = isStruct(value) ? rawMember(value, 'after') : null
    const comparable = isStruct(before) && isStruct(after)
    const headers = [...record.headers]
    const add = (header: NamesHeader | null, names: readonly Value[]) => {
      if (header !== null) headers.push({ ...header, value: names } satisfies Header)
    }
    add(this.#changed, comparable ? namesWhere(before, after, false) : [])
    add(this.#unchanged, comparable ? namesWhere(before, after, true) : [])
    return record.with({ headers })
  }
}

type NamesHeader = Pick<Header, 'key' | 'schema'>

function namesHeader(key: string | null): NamesHeader | null {
  return key === null || key === '' ? null : { key, schema: namesSchema(key) }
}

function namesWhere(before: Struct, after: Struct, equal: boolean): readonly string[] {
  return Object.keys(after).filter((name) => isSame(rawMember(before, name), rawMember(after, name)) === equal)
}

/** To Java 0.0 and -0.0 are two numbers. */
function isSame(a: Value, b: Value): boolean {
  return typeof a === 'number' && typeof b === 'number' ? Object.is(a, b) : valueEquals(a, b)
}

export const extractChangedRecordState = defineTransformation({
  name: 'io.debezium.transforms.ExtractChangedRecordState',
  aliases: [],
  version: debeziumVersion,
  config,
  create: async () => new ExtractChangedRecordState(),
})
