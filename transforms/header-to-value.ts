import { type ConfigOf, defineConfig, nonEmptyList, oneOfIgnoringCase } from '../worker/api/config.ts'
import { makeSchema, type Schema, type Struct, type Value } from '../worker/api/data.ts'
import { DataError } from '../worker/api/errors.ts'
import { defineTransformation } from '../worker/api/plugin.ts'
import type { ConnectRecord, Header } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { isStruct } from '../worker/api/values.ts'
import { debeziumVersion, rawMember } from './change-event.ts'
import { fieldValue, setMember } from './record-part.ts'
import { misfit } from './value-fits.ts'

const config = defineConfig(
  {
    headers: { type: 'LIST', importance: 'HIGH', valid: nonEmptyList, doc: 'Headers whose values go into the value.' },
    fields: {
      type: 'LIST',
      importance: 'HIGH',
      valid: nonEmptyList,
      doc: 'Fields for them, in the order of headers; a dot steps into a nested struct.',
    },
    operation: {
      type: 'STRING',
      importance: 'HIGH',
      valid: oneOfIgnoringCase('move', 'copy'),
      doc: 'Whether the headers are taken away (move) or stay (copy).',
    },
  },
  {
    validate: (options) =>
      options.headers.length === options.fields.length && !options.headers.includes('') && !options.fields.includes('')
        ? []
        : [
            {
              option: 'fields',
              message: 'headers and fields must have the same number of elements, none of them empty',
            },
          ],
  },
)

/** A header that the record has, with the steps to its field. */
interface Placement {
  readonly header: Header
  readonly path: readonly string[]
}

/** Derived schemas that are remembered; a header's schema may differ from record to record. */
const maxSchemas = 100

/** Debezium's HeaderToValue: values of headers become fields of the value. Tombstones pass unchanged. */
class HeaderToValue implements Transformation<ConfigOf<typeof config>> {
  #headers: readonly string[] = []
  #paths: readonly (readonly string[])[] = []
  #moves = false
  /** Header schemas and the schema derived with them, per value schema. */
  #schemas = new WeakMap<Schema, { readonly added: readonly (Schema | null)[]; readonly schema: Schema }[]>()

  configure(options: ConfigOf<typeof config>): void {
    this.#headers = options.headers
    this.#paths = options.fields.map((field) => field.split('.'))
    this.#moves = options.operation.toLowerCase() === 'move'
    this.#schemas = new WeakMap()
  }

  apply<R extends ConnectRecord>(record: R): R {
    const { value, valueSchema } = record
    if (!isStruct(value)) return record
    const placements: Placement[] = []
    // New fields stand in the order of the record's headers.
    for (const header of record.headers) {
      const path = this.#paths[this.#headers.indexOf(header.key)]
      const isFirst = placements.every(({ header: { key } }) => key !== header.key)
      if (path !== undefined && isFirst) placements.push({ header, path })
    }
    if (placements.length === 0) return record
    return record.with({
      value: placements.reduce<Struct>(
        (struct, { header, path }) => withValue(struct, valueSchema, { path, value: header.value }),
        value,
      ),
      valueSchema: valueSchema === null ? null : this.#schema(valueSchema, placements),
      ...(this.#moves ? { headers: record.headers.filter((header) => !this.#headers.includes(header.key)) } : {}),
    })
  }

  #schema(schema: Schema, placements: readonly Placement[]): Schema {
    let known = this.#schemas.get(schema)
    if (known === undefined || known.length >= maxSchemas) {
      known = []
      this.#schemas.set(schema, known)
    }
    const same = known.find(
      ({ added }) => added.length === placements.length && added.every((s, i) => s === placements[i]?.header.schema),
    )
    if (same !== undefined) return same.schema
    const made = placements.reduce((result, { header, path }) => withField(result, path, header), schema)
    known.push({ added: placements.map(({ header }) => header.schema), schema: made })
    return made
  }
}

/** Structs that are copied for it get the defaults of their schema in place of nulls, as in Connect's `Struct.get`. */
function withValue(
  struct: Struct,
  schema: Schema | null,
  { path, value }: { readonly path: readonly string[]; readonly value: Value },
): Struct {
  const [name = '', ...rest] = path
  const copy: Record<string, Value> = {}
  for (const key of Object.keys(struct)) {
    const field = schema?.fieldsByName.get(key)
    setMember(copy, key, field === undefined ? rawMember(struct, key) : fieldValue(struct, field, true))
  }
  if (rest.length === 0) {
    const field = schema?.fieldsByName.get(name)
    const wrong = field === undefined ? null : misfit(field.schema, value, name)
    if (wrong !== null) throw new DataError('CONNECT_DATA_TYPE', `A header does not fit the field it is for: ${wrong}`)
    setMember(copy, name, value)
  } else {
    const isNew = !Object.hasOwn(struct, name)
    const inner = isNew ? {} : rawMember(struct, name)
    const below = schema?.fieldsByName.get(name)?.schema ?? null
    // A null struct (before of an insert) has no place for the value.
    if (isStruct(inner)) setMember(copy, name, withValue(inner, below, { path: rest, value }))
  }
  return copy
}

function withField(schema: Schema, path: readonly string[], header: Header): Schema {
  const [name = '', ...rest] = path
  const present = schema.fieldsByName.get(name)
  // A field that is there keeps its schema, which the header's value has to fit.
  if (present !== undefined && rest.length === 0) return schema
  const added = rest.length === 0 ? header.schema : nestedSchema(present?.schema, rest, header)
  if (added === null) {
    throw new DataError('CONNECT_DATA_SCHEMA', `Header ${header.key} has no schema, the value of the record has one`)
  }
  const fields =
    present === undefined
      ? [...schema.fields, { name, schema: added }]
      : schema.fields.map((field) => (field === present ? { name, schema: added } : field))
  return makeSchema({ ...schema, fields })
}

/** The struct with the field in it; a new one where there was none. */
function nestedSchema(schema: Schema | undefined, path: readonly string[], header: Header): Schema {
  if (schema === undefined) return withField(makeSchema({ type: 'STRUCT' }), path, header)
  if (schema.type === 'STRUCT') return withField(schema, path, header)
  throw new DataError('CONNECT_TRANSFORM_FIELD', `There is no struct to hold the field ${path.join('.')}`)
}

export const headerToValue = defineTransformation({
  name: 'io.debezium.transforms.HeaderToValue',
  aliases: [],
  version: debeziumVersion,
  config,
  create: async () => new HeaderToValue(),
})
