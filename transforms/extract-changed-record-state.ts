import { type ConfigOf, defineConfig } from '../worker/api/config.ts'
import { makeSchema, Schemas, type Struct, type Value, valueEquals } from '../worker/api/data.ts'
import { defineTransformation } from '../worker/api/plugin.ts'
import type { ConnectRecord, Header } from '../worker/api/record.ts'
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

const namesSchema = makeSchema({ type: 'ARRAY', valueSchema: Schemas.string })

/**
 * Debezium's ExtractChangedRecordState: headers name the changed and unchanged columns. The lists are empty where
 * there is nothing to compare: inserts, deletes, tombstones, and updates without the old row (REPLICA IDENTITY FULL).
 */
class ExtractChangedRecordState implements Transformation<ConfigOf<typeof config>> {
  #changed: string | null = null
  #unchanged: string | null = null

  configure(options: ConfigOf<typeof config>): void {
    this.#changed = options['header.changed.name'] || null
    this.#unchanged = options['header.unchanged.name'] || null
  }

  apply<R extends ConnectRecord>(record: R): R {
    const { value, valueSchema } = record
    if (value !== null && !isEnvelope(valueSchema)) return record
    const before = isStruct(value) ? rawMember(value, 'before') : null
    const after = isStruct(value) ? rawMember(value, 'after') : null
    const comparable = isStruct(before) && isStruct(after)
    const headers = [...record.headers]
    const add = (key: string | null, names: readonly Value[]) => {
      if (key !== null) headers.push({ key, schema: namesSchema, value: names } satisfies Header)
    }
    add(this.#changed, comparable ? namesWhere(before, after, false) : [])
    add(this.#unchanged, comparable ? namesWhere(before, after, true) : [])
    return record.with({ headers })
  }
}

function namesWhere(before: Struct, after: Struct, equal: boolean): readonly string[] {
  return Object.keys(after).filter((name) => valueEquals(rawMember(before, name), rawMember(after, name)) === equal)
}

export const extractChangedRecordState = defineTransformation({
  name: 'io.debezium.transforms.ExtractChangedRecordState',
  aliases: [],
  version: debeziumVersion,
  config,
  create: async () => new ExtractChangedRecordState(),
})
