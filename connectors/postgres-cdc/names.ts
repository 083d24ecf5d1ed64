/** Topic and schema names (Debezium's SchemaTopicNamingStrategy and name adjusters). */

export type NameAdjustment = 'none' | 'avro' | 'avro_unicode'

const unicode = (char: string): string => `_u${char.charCodeAt(0).toString(16).padStart(4, '0')}`

/** Adjusts the full name of a schema; dots separate its parts. */
export function adjustSchemaName(name: string, mode: NameAdjustment): string {
  if (mode === 'none') return name
  const replace = mode === 'avro' ? () => '_' : unicode
  const bad = mode === 'avro' ? /[^A-Za-z0-9_.]/g : /[^A-Za-z0-9.]/g
  const adjusted = name.replace(bad, replace)
  return /^[0-9]/.test(adjusted) ? `_${adjusted}` : adjusted
}

/** Adjusts the name of a field, in which a dot has no meaning. */
export function adjustFieldName(name: string, mode: NameAdjustment): string {
  if (mode === 'none') return name
  const replace = mode === 'avro' ? () => '_' : unicode
  const bad = mode === 'avro' ? /[^A-Za-z0-9_]/g : /[^A-Za-z0-9]/g
  const adjusted = name.replace(bad, replace)
  return /^[0-9]/.test(adjusted) ? `_${adjusted}` : adjusted
}

const maxTopicLength = 249

/** A legal Kafka topic name: other characters become `_`, at most 249 of them. */
export function sanitizeTopic(name: string): string {
  if (name === '.') return '_'
  if (name === '..') return '__'
  return name.replace(/[^A-Za-z0-9._-]/g, '_').slice(0, maxTopicLength)
}

export interface TopicNames {
  readonly heartbeat: string
  readonly transaction: string
  readonly message: string
  table(schema: string, table: string): string
}

export interface TopicNameOptions {
  readonly prefix: string
  readonly delimiter: string
  readonly heartbeatPrefix: string
  /** Whole name of the heartbeat topic; null builds it from the prefix. */
  readonly heartbeatName: string | null
  readonly transaction: string
}

export function topicNames(options: TopicNameOptions): TopicNames {
  const { prefix, delimiter } = options
  const join = (...parts: readonly string[]) =>
    sanitizeTopic(parts.filter((part) => part.trim() !== '').join(delimiter))
  return {
    heartbeat: options.heartbeatName ?? join(options.heartbeatPrefix, prefix),
    transaction: join(prefix, options.transaction),
    message: sanitizeTopic(`${prefix}.message`),
    table: (schema, table) => join(prefix, schema, table),
  }
}
