import { type Schema, StructView } from '../../api/data.ts'
import { ConnectError, DataError } from '../../api/errors.ts'
import { parseJsonBytes } from '../../api/json.ts'
import { JsonWriter } from '../../api/json-writer.ts'
import { holdsSchema } from '../../api/sum-types.ts'
import { JsonReader } from '../json-reader.ts'
import { hasDecimal } from '../json-schema.ts'
import type { Decoding, Encoding, ReferencedSchema, SchemaFormat } from './format.ts'
import type { JsonSchemaConverterConfig } from './json-config.ts'
import { connectSchemaOf, type JsonSchemaReadOptions } from './json-schema-reader.ts'
import { isJsonUnion, type JsonSchemaOptions, jsonSchemaText } from './json-schema-writer.ts'

/** Throws a DataError for a message that its schema does not allow. */
type Validate = (bytes: Uint8Array) => void

type Ajv = InstanceType<typeof import('ajv').Ajv>

const noHead = new Uint8Array(0)

/** JSON described by JSON Schema, with the mapping of Confluent's JsonSchemaConverter. */
export class JsonSchemaFormat implements SchemaFormat {
  readonly type = 'JSON'
  readonly #writer: JsonWriter
  readonly #reader: JsonReader
  readonly #writeOptions: JsonSchemaOptions
  readonly #readOptions: JsonSchemaReadOptions
  readonly #validates: boolean
  #ajv: Ajv | null = null

  constructor(config: JsonSchemaConverterConfig) {
    const replaceNullWithDefault = config['replace.null.with.default']
    const decimals = config['decimal.format'].toUpperCase() === 'NUMERIC' ? 'numeric' : 'base64'
    this.#writer = new JsonWriter({
      decimals,
      maps: 'compact',
      replaceNullWithDefault:
        replaceNullWithDefault && config['ignore.default.for.nullables'] ? 'required' : replaceNullWithDefault,
      isUnion: isJsonUnion,
    })
    this.#reader = new JsonReader({ replaceNullWithDefault, maps: 'entries', isUnion: isJsonUnion })
    this.#readOptions = {
      optionalForNonrequired: config['use.optional.for.nonrequired'],
      flattenSingletonUnions: config['flatten.singleton.unions'],
      generalizedSumTypes: config['generalized.sum.type.support'],
      readDefault: this.#reader.read.bind(this.#reader),
    }
    this.#writeOptions = {
      additionalProperties: config['object.additional.properties'],
      required: config['use.optional.for.nonrequired'],
      writer: this.#writer,
    }
    this.#validates = config['json.fail.invalid.schema']
  }

  async load(): Promise<void> {
    if (!this.#validates) return
    try {
      const { Ajv } = await import('ajv')
      this.#ajv = new Ajv({ strict: false, allErrors: false, logger: false })
    } catch (error) {
      const message = 'json.fail.invalid.schema=true needs the package ajv: npm install ajv'
      throw new ConnectError('fatal', 'CONNECT_CODEC_MISSING', message, { cause: error })
    }
  }

  encoding(schema: Schema): Encoding {
    const text = jsonSchemaText(schema, this.#writeOptions)
    const validate = this.#validator(text, [])
    const holdsUnion = holdsSchema(schema, isJsonUnion)
    return {
      type: 'JSON',
      text,
      references: [],
      head: noHead,
      recordName: schema.name,
      write: (value, out) => {
        const mark = out.mark()
        this.#writer.write(schema, holdsUnion && value instanceof StructView ? value.materialize() : value, out)
        validate?.(out.since(mark))
      },
      isReadableBy: (other) => sameJson(other, text),
    }
  }

  decoding(text: string, references: readonly ReferencedSchema[], version: number | null): Decoding {
    const schema = connectSchemaOf(text, references, this.#readOptions, version)
    const exact = hasDecimal(schema)
    const validate = this.#validator(text, references)
    return {
      read: (bytes, start) => {
        const data = bytes.subarray(start)
        validate?.(data)
        return { schema, value: this.#reader.read(schema, parsed(data, exact)) }
      },
    }
  }

  #validator(text: string, references: readonly ReferencedSchema[]): Validate | null {
    const ajv = this.#ajv
    if (ajv === null) return null
    for (const { name, text: referenced } of references) {
      if (ajv.getSchema(name) === undefined) ajv.addSchema(JSON.parse(referenced) as object, name)
    }
    const check = ajv.compile(JSON.parse(text) as object)
    return (bytes) => {
      if (check(JSON.parse(Buffer.from(bytes).toString('utf8')))) return
      const [error] = check.errors ?? []
      // The place, not the content: that is somebody's data (I8).
      const message = `The message does not match its schema: ${error?.instancePath ?? ''} ${error?.message ?? ''}`
      throw new DataError('CONNECT_DATA_SCHEMA', message)
    }
  }
}

function parsed(bytes: Uint8Array, exact: boolean) {
  try {
    return parseJsonBytes(bytes, exact ? { fractions: 'decimal' } : undefined)
  } catch (error) {
    throw new DataError('CONNECT_DATA_SERIALIZATION', 'Invalid JSON in a message with JSON Schema', { cause: error })
  }
}

/** The same JSON, whatever the order of members. */
function sameJson(a: string, b: string): boolean {
  const canonical = (text: string): string =>
    JSON.stringify(JSON.parse(text), (_, value: unknown) =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).sort(([x], [y]) => (x < y ? -1 : 1)))
        : value,
    )
  return canonical(a) === canonical(b)
}
