import {
  LogicalName,
  makeSchema,
  type Schema,
  type SchemaSpec,
  type SchemaType,
  type Struct,
  type Value,
} from '../../api/data.ts'
import { DataError } from '../../api/errors.ts'
import { parseJson } from '../../api/json.ts'
import { generalizedEnum, generalizedUnion, unnamedUnion, unnamedUnionField } from '../../api/sum-types.ts'
import { isStruct } from '../../api/values.ts'
import type { ReferencedSchema } from './format.ts'
import { jsonEnum, jsonUnionField, jsonUnionName } from './json-schema-writer.ts'

export interface JsonSchemaReadOptions {
  /** Properties that are not required become optional (`use.optional.for.nonrequired`). */
  readonly optionalForNonrequired: boolean
  /** A union of one type is that type (`flatten.singleton.unions`); else a struct of one field. */
  readonly flattenSingletonUnions: boolean
  /** Names of unions and enumerations are those of all formats (`generalized.sum.type.support`). */
  readonly generalizedSumTypes: boolean
  /** Turns the JSON of a default into a value. */
  readonly readDefault: (schema: Schema, json: Value) => Value
}

const numberTypes: ReadonlyMap<string, SchemaType> = new Map([
  ['int8', 'INT8'],
  ['int16', 'INT16'],
  ['int32', 'INT32'],
  ['int64', 'INT64'],
  ['float32', 'FLOAT32'],
  ['float64', 'FLOAT64'],
])

/** Deepest chain of `$ref`; a schema that contains itself has no Connect schema. */
const maxDepth = 64

/**
 * The Connect schema of a JSON Schema, with the mapping of Confluent's JsonSchemaData.
 * @throws DataError for what Connect has no counterpart of
 */
export function connectSchemaOf(
  text: string,
  references: readonly ReferencedSchema[],
  options: JsonSchemaReadOptions,
  version: number | null,
): Schema {
  const reader = new JsonSchemaReader(jsonOf(text), references, options)
  const schema = reader.read()
  return schema.version !== null || version === null ? schema : makeSchema({ ...schema, version })
}

function jsonOf(text: string): Value {
  try {
    return parseJson(text, { fractions: 'decimal' })
  } catch (error) {
    throw new DataError('CONNECT_REGISTRY_SCHEMA', 'A JSON Schema is no JSON', { cause: error })
  }
}

class JsonSchemaReader {
  readonly #root: Value
  readonly #documents: ReadonlyMap<string, Value>
  readonly #options: JsonSchemaReadOptions
  #depth = 0
  #unions = 0

  constructor(root: Value, references: readonly ReferencedSchema[], options: JsonSchemaReadOptions) {
    this.#root = root
    this.#documents = new Map(references.map(({ name, text }) => [name, jsonOf(text)]))
    this.#options = options
  }

  read(): Schema {
    return this.#schema(this.#root, this.#root, false)
  }

  /** @param document in which local references are looked up */
  #schema(json: Value | undefined, document: Value, forceOptional: boolean): Schema {
    if (json === undefined || json === null || !isStruct(json)) throw invalid('a schema is no object')
    if (++this.#depth > maxDepth) throw invalid('it contains itself, which Connect schemas cannot')
    try {
      const { $ref } = json
      if (typeof $ref === 'string') return this.#reference($ref, document, forceOptional)
      const branches = json['oneOf'] ?? json['anyOf']
      if (Array.isArray(branches)) return this.#oneOf(json, branches as readonly Value[], document, forceOptional)
      if (Array.isArray(json['allOf'])) {
        return this.#schema(
          merged(json, json['allOf'] as readonly Value[], (ref) => this.#resolve(ref, document)[0]),
          document,
          forceOptional,
        )
      }
      return this.#plain(json, document, forceOptional)
    } finally {
      this.#depth--
    }
  }

  #reference(ref: string, document: Value, forceOptional: boolean): Schema {
    const [target, home] = this.#resolve(ref, document)
    return this.#schema(target, home, forceOptional)
  }

  /** @returns what a reference points to, and the document it is in */
  #resolve(ref: string, document: Value): readonly [Value, Value] {
    const hash = ref.indexOf('#')
    const name = hash < 0 ? ref : ref.slice(0, hash)
    const home = name === '' ? document : this.#documents.get(name)
    if (home === undefined) throw invalid(`the reference ${ref} is not known`)
    let target: Value = home
    for (const step of hash < 0
      ? []
      : ref
          .slice(hash + 1)
          .split('/')
          .filter(Boolean)) {
      const key = decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~')
      const next: Value | undefined = target !== null && isStruct(target) ? target[key] : undefined
      if (next === undefined) throw invalid(`the reference ${ref} points nowhere`)
      target = next
    }
    return [target, home]
  }

  #oneOf(json: Struct, branches: readonly Value[], document: Value, forceOptional: boolean): Schema {
    const present = branches.filter((branch) => !isNull(branch))
    const optional = forceOptional || present.length < branches.length
    const { flattenSingletonUnions, generalizedSumTypes } = this.#options
    const flattens = branches.length > 1 || flattenSingletonUnions
    if (present.length === 1 && flattens) return this.#schema(present[0], document, optional)
    // Counted before the unions inside.
    const name = generalizedSumTypes ? `${unnamedUnion}${this.#unions++}` : jsonUnionName
    const fields = present.map((branch, i) => ({
      name: `${generalizedSumTypes ? unnamedUnionField : jsonUnionField}${i}`,
      schema: this.#schema(branch, document, true),
    }))
    const parameters = generalizedSumTypes ? { [generalizedUnion]: name } : {}
    return this.#annotated(json, { type: 'STRUCT', name, fields, parameters }, optional)
  }

  #plain(json: Struct, document: Value, forceOptional: boolean): Schema {
    const { type } = json
    if (Array.isArray(type)) {
      const names = type as readonly Value[]
      const branches = names.map((name) => ({ ...json, type: name }))
      return this.#oneOf({}, branches, document, forceOptional)
    }
    return this.#annotated(json, this.#spec(json, document), forceOptional)
  }

  #spec(json: Struct, document: Value): SchemaSpec {
    const connectType = json['connect.type']
    switch (json['type'] ?? guessed(json)) {
      case 'boolean':
        return { type: 'BOOLEAN' }
      case 'integer':
        return { type: numberTypes.get(String(connectType ?? '')) ?? 'INT64' }
      case 'number':
        if (connectType === 'bytes') return { type: 'BYTES', name: LogicalName.decimal, version: 1 }
        return { type: numberTypes.get(String(connectType ?? '')) ?? 'FLOAT64' }
      case 'string':
        return connectType === 'bytes' ? { type: 'BYTES' } : { type: 'STRING', parameters: this.#enumeration(json) }
      case 'array':
        return this.#array(json, document, connectType === 'map')
      case 'object':
        return this.#object(json, document, connectType === 'map')
      default:
        throw invalid(`the type ${JSON.stringify(json['type'] ?? null)} has no counterpart in Connect`)
    }
  }

  /** Text of which some values only are allowed. */
  #enumeration(json: Struct): Readonly<Record<string, string>> {
    const constant = json['type'] === undefined && json['const'] !== undefined ? [json['const']] : []
    const symbols = Array.isArray(json['enum']) ? (json['enum'] as readonly Value[]) : constant
    if (symbols.length === 0 || !symbols.every((symbol) => typeof symbol === 'string')) return {}
    const { generalizedSumTypes } = this.#options
    const parameter = generalizedSumTypes ? generalizedEnum : jsonEnum
    // JSON's enumerations have no name.
    const named: Record<string, string> = { [parameter]: '' }
    symbols.forEach((symbol, i) => {
      named[`${parameter}.${symbol}`] = generalizedSumTypes ? String(i) : symbol
    })
    return named
  }

  #array(json: Struct, document: Value, isMap: boolean): SchemaSpec {
    const { items } = json
    if (!isMap) return { type: 'ARRAY', valueSchema: this.#schema(items, document, false) }
    const properties = items !== undefined && items !== null && isStruct(items) ? items['properties'] : undefined
    if (properties === undefined || properties === null || !isStruct(properties)) throw invalid('a map has no entries')
    return {
      type: 'MAP',
      keySchema: this.#schema(properties['key'], document, false),
      valueSchema: this.#schema(properties['value'], document, false),
    }
  }

  #object(json: Struct, document: Value, isMap: boolean): SchemaSpec {
    const { properties, additionalProperties } = json
    const hasProperties = properties !== undefined && properties !== null && isStruct(properties)
    const valuesOf = additionalProperties !== undefined && isStruct(additionalProperties) ? additionalProperties : null
    if (isMap || (!hasProperties && valuesOf !== null)) {
      return {
        type: 'MAP',
        keySchema: makeSchema({ type: 'STRING' }),
        valueSchema: this.#schema(valuesOf, document, false),
      }
    }
    const required = Array.isArray(json['required']) ? (json['required'] as readonly Value[]) : []
    const entries = hasProperties ? Object.entries(properties as Struct) : []
    const fields = entries
      .map(([name, property], i) => ({ name, property, index: indexOf(property) ?? i + entries.length }))
      .sort((a, b) => a.index - b.index)
      .map(({ name, property }) => {
        const optional = this.#options.optionalForNonrequired && !required.includes(name)
        return { name, schema: this.#schema(property, document, optional) }
      })
    return { type: 'STRUCT', fields }
  }

  #annotated(json: Struct, spec: SchemaSpec, optional: boolean): Schema {
    const given = json['connect.parameters']
    const parameters = { ...(given !== undefined && given !== null && isStruct(given) ? given : {}) }
    const version = json['connect.version']
    const full: SchemaSpec = {
      ...spec,
      optional,
      name: spec.name ?? textOf(json, 'title'),
      version: typeof version === 'number' ? version : (spec.version ?? null),
      doc: textOf(json, 'description'),
      parameters: {
        ...(spec.parameters instanceof Map ? Object.fromEntries(spec.parameters) : spec.parameters),
        ...Object.fromEntries(Object.entries(parameters).map(([key, value]) => [key, String(value)])),
      },
    }
    const fallback = json['default']
    if (fallback === undefined || fallback === null) return makeSchema(full)
    return makeSchema({ ...full, defaultValue: this.#options.readDefault(makeSchema(full), fallback) })
  }
}

/** A schema without a type still says what it is by its other words. */
function guessed(json: Struct): string | null {
  if (json['properties'] !== undefined || json['additionalProperties'] !== undefined) return 'object'
  if (json['items'] !== undefined) return 'array'
  const constant = json['const'] ?? (Array.isArray(json['enum']) ? (json['enum'] as readonly Value[])[0] : undefined)
  if (typeof constant === 'string') return 'string'
  if (typeof constant === 'boolean') return 'boolean'
  return typeof constant === 'number' ? (Number.isInteger(constant) ? 'integer' : 'number') : null
}

/** All of several schemas: their properties together. */
function merged(json: Struct, parts: readonly Value[], resolve: (ref: string) => Value): Struct {
  let result: Struct = Object.fromEntries(Object.entries(json).filter(([key]) => key !== 'allOf'))
  for (const part of parts) {
    const target = part !== null && isStruct(part) && typeof part['$ref'] === 'string' ? resolve(part['$ref']) : part
    if (target === null || !isStruct(target)) throw invalid('a part of allOf is no object')
    result = {
      ...target,
      ...result,
      ...(target['properties'] === undefined && result['properties'] === undefined
        ? {}
        : {
            properties: {
              ...(result['properties'] as Struct | undefined),
              ...(target['properties'] as Struct | undefined),
            },
          }),
      required: [...listOf(result['required']), ...listOf(target['required'])],
    }
  }
  return result
}

const listOf = (json: Value | undefined): readonly Value[] => (Array.isArray(json) ? (json as readonly Value[]) : [])

function isNull(branch: Value): boolean {
  return branch !== null && isStruct(branch) && branch['type'] === 'null'
}

function indexOf(property: Value): number | null {
  const index = property !== null && isStruct(property) ? property['connect.index'] : undefined
  return typeof index === 'number' ? index : null
}

function textOf(json: Struct, name: string): string | null {
  const value = json[name]
  return typeof value === 'string' ? value : null
}

function invalid(reason: string): DataError {
  return new DataError('CONNECT_REGISTRY_SCHEMA', `A JSON Schema cannot be used: ${reason}`)
}
