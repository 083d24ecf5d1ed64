import { type Schema, StructView } from '../../api/data.ts'
import { ConnectError } from '../../api/errors.ts'
import type { Decoding, Encoding, ReferencedSchema, SchemaFormat } from './format.ts'
import type { ProtobufConverterConfig } from './protobuf-config.ts'
import { loadProtobufjs, type Protobufjs } from './protobuf-file.ts'
import { type ProtobufReadOptions, protobufDecoding } from './protobuf-reader.ts'
import { compileProtobuf, type ProtobufWriteOptions } from './protobuf-writer.ts'
import { scrubName } from './scrub.ts'

/** The first message of the file. */
const firstMessage = Uint8Array.of(0)

/** Protobuf, with the mapping of Confluent's ProtobufConverter. */
export class ProtobufFormat implements SchemaFormat {
  readonly type = 'PROTOBUF'
  readonly #read: ProtobufReadOptions
  readonly #write: ProtobufWriteOptions
  #pb: Protobufjs | null = null

  constructor(config: ProtobufConverterConfig) {
    this.#read = {
      fullNames: config['enhanced.protobuf.schema.support'],
      optionalForNullables: config['optional.for.nullables'],
      optionalForProto2: config['optional.for.proto2'],
      intForEnums: config['int.for.enums'],
      indexForUnions: config['generate.index.for.unions'],
      flattenUnions: config['flatten.unions'],
      wrapperForNullables: config['wrapper.for.nullables'],
      wrapperForRawPrimitives: config['wrapper.for.raw.primitives'],
      structForNulls: config['generate.struct.for.nulls'],
      generalizedSumTypes: config['generalized.sum.type.support'],
    }
    this.#write = {
      optionalForNullables: config['optional.for.nullables'],
      wrapperForNullables: config['wrapper.for.nullables'],
      ignoreDefaults: config['ignore.default.for.nullables'],
      scrub: config['scrub.invalid.names'] ? scrubName : (name) => name,
    }
  }

  async load(): Promise<void> {
    this.#pb ??= await loadProtobufjs()
  }

  encoding(schema: Schema): Encoding {
    const { text, fullName, write } = compileProtobuf(schema, this.#write)
    return {
      type: 'PROTOBUF',
      text,
      references: [],
      head: firstMessage,
      recordName: fullName,
      write: (value, out) => write(value instanceof StructView ? value.materialize() : value, out),
      isReadableBy: (other) => this.#canonical(other) === this.#canonical(text),
    }
  }

  decoding(text: string, references: readonly ReferencedSchema[], version: number | null): Decoding {
    return protobufDecoding(this.#parser, text, references, version, this.#read)
  }

  get #parser(): Protobufjs {
    if (this.#pb !== null) return this.#pb
    throw new ConnectError('fatal', 'CONNECT_CODEC_MISSING', 'protobufjs has not been loaded')
  }

  /** The messages of a file without comments, order of files and layout. */
  #canonical(text: string): string {
    return JSON.stringify(this.#parser.parse(text, new this.#parser.Root(), { keepCase: true }).root.toJSON())
  }
}
