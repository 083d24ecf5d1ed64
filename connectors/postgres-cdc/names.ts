/** Topic and schema names: Debezium's topic naming strategies and name adjusters. */
import { JavaRegex } from '../../worker/api/java-regex.ts'

export type NameAdjustment = 'none' | 'avro' | 'avro_unicode'

/** As Java prints the number of a UTF-16 unit: one of three digits stays as it is. */
function unicode(char: string): string {
  const hex = char.charCodeAt(0).toString(16)
  return `_u${hex.length <= 2 ? `00${hex}` : hex}`
}

/** A digit in front is kept behind its `_`, so that names that differ there stay apart. */
const underscore = (char: string, at: number): string => (at === 0 && /\p{Nd}/u.test(char) ? `_${char}` : '_')

/** Adjusts the full name of a schema; dots separate its parts. */
export function adjustSchemaName(name: string, mode: NameAdjustment): string {
  if (mode === 'none') return name
  return mode === 'avro'
    ? name.replace(/^[^A-Za-z_]|[^A-Za-z0-9_.]/g, underscore)
    : name.replace(/^[^A-Za-z]|[^A-Za-z0-9.]/g, unicode)
}

/** Adjusts the name of a field, in which a dot has no meaning. */
export function adjustFieldName(name: string, mode: NameAdjustment): string {
  if (mode === 'none') return name
  return mode === 'avro'
    ? name.replace(/^[^A-Za-z_]|[^A-Za-z0-9_]/g, underscore)
    : name.replace(/^[^A-Za-z]|[^A-Za-z0-9]/g, unicode)
}

const maxTopicLength = 249

function legalLength(name: string): string {
  if (name === '.') return '_'
  if (name === '..') return '__'
  return name.slice(0, maxTopicLength)
}

/** A legal Kafka topic name: other characters become `_`, at most 249 of them. */
export function sanitizeTopic(name: string): string {
  return legalLength(name.replace(/[^A-Za-z0-9._-]/g, '_'))
}

/** The same without collisions: `_` and what is not allowed become `_u` and hexadecimal digits per UTF-16 unit. */
function sanitizeUnicode(name: string): string {
  return legalLength(name.replace(/[^A-Za-z0-9.-]/g, unicode))
}

const strategies = [
  'SchemaTopicNamingStrategy',
  'SchemaUnicodeTopicNamingStrategy',
  'DefaultTopicNamingStrategy',
  'DefaultUnicodeTopicNamingStrategy',
  'DefaultRegexTopicNamingStrategy',
] as const
export type NamingStrategy = (typeof strategies)[number]

/** The strategy of a class name of Debezium's; null for another class. */
export function namingStrategyOf(className: string): NamingStrategy | null {
  return strategies.find((name) => className === `io.debezium.schema.${name}` || className === name) ?? null
}

/** A field that tells tables apart in the key of the topic they share. */
export interface OriginField {
  readonly name: string
  value(schema: string, table: string): string
}

export interface TopicNames {
  readonly heartbeat: string
  readonly transaction: string
  readonly message: string
  /** Added to every key; null adds nothing. */
  readonly origin: OriginField | null
  table(schema: string, table: string): string
}

/** Options of DefaultRegexTopicNamingStrategy. */
export interface TopicRouting {
  readonly regex: string
  readonly replacement: string
  /** Whether keys get a field with the origin of the row. */
  readonly unique: boolean
  readonly keyField: string
  /** Expression and replacement that make the origin out of the topic; null takes the topic itself. */
  readonly keyRegex: string | null
  readonly keyReplacement: string | null
}

export interface TopicNameOptions {
  readonly prefix: string
  readonly delimiter: string
  readonly heartbeatPrefix: string
  /** Whole name of the heartbeat topic; null builds it from the prefix. */
  readonly heartbeatName: string | null
  readonly transaction: string
  /** Absent: SchemaTopicNamingStrategy. */
  readonly strategy?: NamingStrategy
  /** Needed by DefaultRegexTopicNamingStrategy. */
  readonly routing?: TopicRouting | null
}

/** Renames what the expression matches as a whole; the rest stays. @throws SyntaxError */
function replacer(regex: string, replacement: string): (topic: string) => string {
  const pattern = new JavaRegex(regex)
  return (topic) => pattern.replaceWhenWhole(topic, replacement) ?? topic
}

/** @throws SyntaxError for a regular expression that is none */
export function topicNames(options: TopicNameOptions): TopicNames {
  const { prefix, delimiter, strategy = 'SchemaTopicNamingStrategy', routing = null } = options
  const sanitize = strategy.includes('Unicode') ? sanitizeUnicode : sanitizeTopic
  const bare = (...parts: readonly string[]) => parts.filter((part) => part.trim() !== '').join(delimiter)
  const join = (...parts: readonly string[]) => sanitize(bare(...parts))
  // The other strategies know databases and tables only: the schema is left out.
  const plain = strategy.startsWith('Schema')
    ? (schema: string, table: string) => join(prefix, schema, table)
    : (_schema: string, table: string) => join(prefix, table)
  const fixed = {
    // Of parts that are checked as options: no strategy changes a character of them, not even the underscore.
    heartbeat: options.heartbeatName ?? [options.heartbeatPrefix, prefix].join(delimiter),
    transaction: [prefix, options.transaction].join(delimiter),
    message: sanitize(`${prefix}.message`),
  }
  if (strategy !== 'DefaultRegexTopicNamingStrategy' || routing === null)
    return { ...fixed, origin: null, table: plain }
  const reroute = replacer(routing.regex, routing.replacement)
  const originOf =
    routing.keyRegex === null ? (topic: string) => topic : replacer(routing.keyRegex, routing.keyReplacement ?? '')
  // The origin has the name of the table as it is.
  const origin = { name: routing.keyField, value: (_schema: string, table: string) => originOf(bare(prefix, table)) }
  return {
    ...fixed,
    origin: routing.unique ? origin : null,
    table: (schema, table) => sanitize(reroute(plain(schema, table))),
  }
}
