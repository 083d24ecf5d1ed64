import {
  allOf,
  type ConfigOf,
  defineConfig,
  javaRegex,
  nonEmptyString,
  oneOfIgnoringCase,
} from '../worker/api/config.ts'
import { copySchema, makeSchema, type Schema, Schemas, type Value } from '../worker/api/data.ts'
import { DataError } from '../worker/api/errors.ts'
import { JavaRegex } from '../worker/api/java-regex.ts'
import { defineTransformation } from '../worker/api/plugin.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { isStruct, javaClass } from '../worker/api/values.ts'
import { debeziumVersion, isEnvelope } from './change-event.ts'
import { setMember, structLike } from './record-part.ts'

const isBlank = (text: string | null): boolean => text === null || text.trim() === ''

interface Variant {
  readonly name: string
  /** Default of key.field.name. */
  readonly keyField: string
  /** Older names of logical.destination.cache.size. */
  readonly cacheSizes: readonly string[]
}

const configOf = ({ keyField, cacheSizes }: Variant) =>
  defineConfig(
    {
      'topic.regex': {
        type: 'STRING',
        importance: 'LOW',
        valid: allOf(nonEmptyString, javaRegex),
        doc: 'Regular expression that the whole topic name must match.',
      },
      'topic.replacement': {
        type: 'STRING',
        importance: 'LOW',
        valid: nonEmptyString,
        doc: 'Topic of the merged tables; $1 stands for the first group.',
      },
      'key.enforce.uniqueness': {
        type: 'BOOLEAN',
        default: true,
        importance: 'LOW',
        doc: 'Whether the key gets a field that tells the tables apart.',
      },
      'key.field.name': { type: 'STRING', default: keyField, importance: 'LOW', doc: 'Name of that field.' },
      'key.field.regex': {
        type: 'STRING',
        default: null,
        importance: 'LOW',
        doc: 'Regular expression for the topic name, whose replacement is the value of that field; unset: the topic.',
      },
      'key.field.replacement': {
        type: 'STRING',
        default: null,
        importance: 'LOW',
        doc: 'Value of that field; $1 stands for the first group.',
      },
      'schema.name.adjustment.mode': {
        type: 'STRING',
        default: 'none',
        importance: 'MEDIUM',
        valid: oneOfIgnoringCase('none', 'avro', 'avro_unicode'),
        doc: 'Replaces characters in schema names that Avro does not allow.',
      },
      'logical.destination.cache.size': {
        type: 'INT',
        default: 16,
        importance: 'LOW',
        alternatives: cacheSizes,
        doc: 'Has no effect: what is derived from a schema lives as long as the schema.',
      },
    },
    {
      validate(options) {
        const { 'key.field.regex': regex, 'key.field.replacement': replacement } = options
        if (isBlank(regex) || !isBlank(replacement)) return []
        const option = 'key.field.replacement'
        return [{ option, message: `The '${option}' value is invalid: it must be set when key.field.regex is` }]
      },
    },
  )

type Options = ConfigOf<ReturnType<typeof configOf>>

interface Route {
  readonly topic: string
  /** Value of the added key field. */
  readonly origin: string
  /** Derived schemas by the schema they come from; a table has few in its life. */
  readonly keys: WeakMap<Schema, Schema>
  readonly envelopes: WeakMap<Schema, Schema>
}

const maxRoutes = 1000

/** Debezium's ByLogicalTableRouter: several tables go to one topic, whose schemas and keys are made to fit. */
class LogicalTableRouter implements Transformation<Options> {
  #match: (topic: string) => string | null = () => null
  #origin: (topic: string) => string = (topic) => topic
  #adjust: (name: string) => string = (name) => name
  #unique = true
  #keyField = ''
  #routes = new Map<string, Route | null>()

  configure(options: Options): void {
    const { 'key.field.regex': regex, 'key.field.replacement': replacement } = options
    this.#match = replacer(options['topic.regex'], options['topic.replacement'])
    const origin = regex === null || replacement === null ? null : replacer(regex, replacement)
    this.#origin = (topic) => origin?.(topic) ?? topic
    this.#adjust = schemaNameAdjuster(options['schema.name.adjustment.mode'].toLowerCase())
    this.#unique = options['key.enforce.uniqueness']
    this.#keyField = options['key.field.name']
    this.#routes = new Map()
  }

  apply<R extends ConnectRecord>(record: R): R {
    const route = this.#route(record.topic)
    if (route === null) return record
    const { topic } = route
    const key = this.#key(record, route)
    if (record.value === null || !isEnvelope(record.valueSchema)) return record.with({ topic, ...key })
    return record.with({ topic, ...key, valueSchema: this.#envelope(record.valueSchema, route) })
  }

  #route(topic: string): Route | null {
    const known = this.#routes.get(topic)
    if (known !== undefined) return known
    const target = this.#match(topic)
    const route: Route | null =
      target === null || target === ''
        ? null
        : {
            topic: target,
            origin: this.#origin(topic),
            keys: new WeakMap<Schema, Schema>(),
            envelopes: new WeakMap<Schema, Schema>(),
          }
    if (this.#routes.size >= maxRoutes) this.#routes.clear()
    this.#routes.set(topic, route)
    return route
  }

  /** @throws DataError for a key that cannot be told apart from those of other tables */
  #key(record: ConnectRecord, route: Route): { readonly key?: Value; readonly keySchema: Schema | null } {
    const { key, keySchema } = record
    if (key === null) return { keySchema: null }
    if (keySchema?.type !== 'STRUCT' || !isStruct(key)) {
      const message = `Only Struct objects supported for [Updating schema], found: ${javaClass(key).replace('class ', '')}`
      throw new DataError('CONNECT_DATA_TYPE', message)
    }
    let schema = route.keys.get(keySchema)
    if (schema === undefined) {
      schema = this.#keySchema(keySchema, route)
      route.keys.set(keySchema, schema)
    }
    if (!this.#unique) return { keySchema: schema }
    const unique: Record<string, Value> = { ...key }
    setMember(unique, this.#keyField, route.origin)
    return { keySchema: schema, key: unique }
  }

  #keySchema(schema: Schema, route: Route): Schema {
    const name = this.#adjust(`${route.topic}.Key`)
    if (!this.#unique) return makeSchema({ ...schema, name })
    const { optional, fields } = schema
    const keyed = structLike({ ...schema, name }, [...fields, { name: this.#keyField, schema: Schemas.string }])
    return optional ? copySchema(keyed, { optional }) : keyed
  }

  #envelope(schema: Schema, route: Route): Schema {
    let renamed = route.envelopes.get(schema)
    if (renamed === undefined) {
      const row = this.#adjust(`${route.topic}.Value`)
      const fields = schema.fields.map(({ name, schema: field }) =>
        name === 'before' || name === 'after'
          ? { name, schema: makeSchema({ ...field, name: row }) }
          : { name, schema: field },
      )
      renamed = makeSchema({ ...schema, name: this.#adjust(`${route.topic}.Envelope`), fields })
      route.envelopes.set(schema, renamed)
    }
    return renamed
  }
}

/** The first match replaced; null when the expression does not match the whole text. */
function replacer(regex: string, replacement: string): (text: string) => string | null {
  const pattern = new JavaRegex(regex)
  return (text) => pattern.replaceWhenWhole(text, replacement)
}

/** Replaces what Avro does not allow in a full name: by `_`, or by `_u` and four hexadecimal digits. */
function schemaNameAdjuster(mode: string): (name: string) => string {
  if (mode === 'none') return (name) => name
  const code = (char: string) => `_u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
  return (name) => {
    if (mode === 'avro') return name.replace(/^(?=[0-9])/, '_').replace(/[^A-Za-z0-9_.]/g, '_')
    return name.replace(/^[^A-Za-z]|[^A-Za-z0-9.]/g, code)
  }
}

/** The transform under its old and its new name. */
const variants: readonly Variant[] = [
  {
    name: 'ByLogicalTableRouter',
    keyField: '__dbz__physicalTableIdentifier',
    cacheSizes: ['logical.table.cache.size'],
  },
  { name: 'ToLogicalTopicRouter', keyField: '__dbz__sourceIdentifier', cacheSizes: [] },
]

export const logicalTableRouter = variants.map((variant) =>
  defineTransformation({
    name: `io.debezium.transforms.${variant.name}`,
    aliases: [],
    version: debeziumVersion,
    config: configOf(variant),
    create: async () => new LogicalTableRouter(),
  }),
)
