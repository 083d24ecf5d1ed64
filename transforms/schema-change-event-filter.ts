import { type ConfigOf, defineConfig, nonEmptyList } from '../worker/api/config.ts'
import type { Value } from '../worker/api/data.ts'
import { DataError } from '../worker/api/errors.ts'
import { defineTransformation } from '../worker/api/plugin.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { isStruct } from '../worker/api/values.ts'
import { debeziumVersion, rawMember } from './change-event.ts'
import { requireStruct } from './record-part.ts'

const eventTypes = ['CREATE', 'ALTER', 'DROP', 'TRUNCATE', 'DATABASE'] as const

const config = defineConfig(
  {
    'schema.change.event.exclude.list': {
      type: 'LIST',
      importance: 'LOW',
      valid: nonEmptyList,
      doc: 'Kinds of schema changes that are dropped: CREATE, ALTER, DROP, TRUNCATE, DATABASE.',
    },
  },
  {
    validate(options) {
      const option = 'schema.change.event.exclude.list'
      return options[option]
        .filter((type) => !eventTypes.some((known) => known === type))
        .map((type) => ({ option, message: `${type} is no kind of schema change; use ${eventTypes.join(', ')}` }))
    },
  },
)

/**
 * Drops schema change events by kind. The Postgres source sends none; other Debezium connectors do, and their topics
 * may be what a sink reads.
 */
class SchemaChangeEventFilter implements Transformation<ConfigOf<typeof config>> {
  #excluded: ReadonlySet<string> = new Set()

  configure(options: ConfigOf<typeof config>): void {
    this.#excluded = new Set(options['schema.change.event.exclude.list'])
  }

  apply<R extends ConnectRecord>(record: R): R | null {
    const name = record.valueSchema?.name ?? ''
    if (record.value === null || !/\.SchemaChange(?:Key|Value)$/.test(name)) return record
    const event = requireStruct(record.value, 'Read schema change event to filter')
    if (record.valueSchema?.fieldsByName.get('tableChanges')?.schema.type !== 'ARRAY') {
      throw new DataError('CONNECT_TRANSFORM_FIELD', 'A schema change event has no list of tableChanges')
    }
    const changes = rawMember(event, 'tableChanges')
    if (!Array.isArray(changes)) return null
    return this.#excluded.has(changes.length === 0 ? 'DATABASE' : eventType(changes[0] as Value)) ? null : record
  }
}

function eventType(change: Value): string {
  const type = isStruct(change) ? rawMember(change, 'type') : null
  if (typeof type === 'string' && eventTypes.some((known) => known === type)) return type
  throw new DataError('CONNECT_TRANSFORM_FIELD', `A schema change has the type ${String(type)}, which is none`)
}

export const schemaChangeEventFilter = defineTransformation({
  name: 'io.debezium.transforms.SchemaChangeEventFilter',
  aliases: [],
  version: debeziumVersion,
  config,
  create: async () => new SchemaChangeEventFilter(),
})
