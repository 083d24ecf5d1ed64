import { type ConfigOf, defineConfig, distinctList, type Validator } from '../worker/api/config.ts'
import type { Field, Schema, Struct, Value } from '../worker/api/data.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import {
  fieldValue,
  keyAndValue,
  member,
  type RecordPart,
  replaceNullOption,
  requireMap,
  requireStruct,
  SchemaCache,
  setMember,
  structLike,
} from './record-part.ts'

const renamePair = /^[^:]+:[^:]+$/

const renameList: Validator = {
  description: 'list of colon-delimited pairs, e.g. foo:bar,abc:xyz',
  check: (_, value) => {
    const bad = (value as readonly string[]).find((pair) => !renamePair.test(pair))
    return bad === undefined ? null : `Invalid rename mapping: ${bad}`
  },
}

const config = defineConfig({
  exclude: {
    type: 'LIST',
    default: [],
    importance: 'MEDIUM',
    valid: distinctList({ allowEmpty: true }),
    doc: 'Fields to exclude. This takes precedence over the fields to include.',
  },
  include: {
    type: 'LIST',
    default: [],
    importance: 'MEDIUM',
    valid: distinctList({ allowEmpty: true }),
    doc: 'Fields to include. If specified, only these fields will be used.',
  },
  renames: { type: 'LIST', default: [], importance: 'MEDIUM', valid: renameList, doc: 'Field rename mappings.' },
  'replace.null.with.default': replaceNullOption,
})

const purpose = 'field replacement'

interface Plan {
  readonly schema: Schema
  readonly kept: readonly { readonly from: Field; readonly to: string }[]
}

/** Leaves fields out and renames them. */
class ReplaceField implements Transformation<ConfigOf<typeof config>> {
  readonly #part: RecordPart
  #exclude: ReadonlySet<string> = new Set()
  #include: ReadonlySet<string> = new Set()
  #renames: ReadonlyMap<string, string> = new Map()
  #replaceNull = true
  #plans = new SchemaCache<Plan>((schema) => this.#plan(schema))

  constructor(part: RecordPart) {
    this.#part = part
  }

  configure(options: ConfigOf<typeof config>): void {
    this.#exclude = new Set(options.exclude)
    this.#include = new Set(options.include)
    this.#renames = new Map(
      options.renames.map((pair) => {
        const colon = pair.indexOf(':')
        return [pair.slice(0, colon).trim(), pair.slice(colon + 1).trim()]
      }),
    )
    this.#replaceNull = options['replace.null.with.default']
    this.#plans = new SchemaCache((schema) => this.#plan(schema))
  }

  apply<R extends ConnectRecord>(record: R): R {
    const value = this.#part.value(record)
    if (value === null) return record
    const schema = this.#part.schema(record)
    if (schema === null) return this.#part.replace(record, null, this.#map(requireMap(value, purpose)))
    const plan = this.#plans.get(schema)
    const struct = requireStruct(value, purpose)
    const result: Record<string, Value> = {}
    for (const { from, to } of plan.kept) setMember(result, to, fieldValue(struct, from, this.#replaceNull))
    return this.#part.replace(record, plan.schema, result)
  }

  #keeps(name: string): boolean {
    return !this.#exclude.has(name) && (this.#include.size === 0 || this.#include.has(name))
  }

  #map(map: Struct): Struct {
    const result: Record<string, Value> = {}
    for (const name in map) {
      if (this.#keeps(name)) setMember(result, this.#renames.get(name) ?? name, member(map, name))
    }
    return result
  }

  #plan(schema: Schema): Plan {
    const kept = schema.fields
      .filter((field) => this.#keeps(field.name))
      .map((from) => ({ from, to: this.#renames.get(from.name) ?? from.name }))
    return {
      kept,
      schema: structLike(
        schema,
        kept.map(({ from, to }) => ({ name: to, schema: from.schema })),
      ),
    }
  }
}

export const replaceField = keyAndValue({
  name: 'org.apache.kafka.connect.transforms.ReplaceField',
  config,
  create: (part) => new ReplaceField(part),
})
