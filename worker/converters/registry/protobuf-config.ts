import { type ConfigOf, defineConfig } from '../../api/config.ts'
import { registryOptions } from './options.ts'

/** Options of ProtobufConverter; names and defaults are Confluent's. */
export const protobufConverterConfig = defineConfig({
  ...registryOptions,
  'enhanced.protobuf.schema.support': {
    type: 'BOOLEAN',
    default: false,
    importance: 'MEDIUM',
    group: 'Protobuf',
    doc: 'Whether schemas are called by the full names of their messages, with the package.',
  },
  'optional.for.nullables': {
    type: 'BOOLEAN',
    default: false,
    importance: 'MEDIUM',
    group: 'Protobuf',
    doc: 'Whether optional fields are written as optional; otherwise null and zero are the same to a reader.',
  },
  'optional.for.proto2': {
    type: 'BOOLEAN',
    default: true,
    importance: 'MEDIUM',
    group: 'Protobuf',
    doc: 'Whether an absent optional field of proto2 is null; otherwise it is zero.',
  },
  'generate.index.for.unions': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    group: 'Protobuf',
    doc: 'Whether the field of a oneof is called by its name and number in the message, as in pick_0; otherwise by its name.',
  },
  'flatten.unions': {
    type: 'BOOLEAN',
    default: false,
    importance: 'LOW',
    group: 'Protobuf',
    doc: 'Whether the members of a oneof are read as optional fields of the message; otherwise they stand in a struct.',
  },
  'generate.struct.for.nulls': {
    type: 'BOOLEAN',
    default: false,
    importance: 'LOW',
    group: 'Protobuf',
    doc: 'Whether an absent message is read as one with all its fields absent; otherwise as null.',
  },
  'wrapper.for.nullables': {
    type: 'BOOLEAN',
    default: false,
    importance: 'LOW',
    group: 'Protobuf',
    doc: 'Whether optional primitives are written as wrapper messages (google.protobuf.Int32Value and the like), and only fields of messages are read as optional.',
  },
  'wrapper.for.raw.primitives': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    group: 'Protobuf',
    doc: 'Whether a wrapper message is read as the primitive in it; otherwise, without wrapper.for.nullables, as a struct.',
  },
  'ignore.default.for.nullables': {
    type: 'BOOLEAN',
    default: false,
    importance: 'LOW',
    group: 'Protobuf',
    doc: 'Whether a null stays null where an optional field has a default; otherwise the default is written.',
  },
  'generalized.sum.type.support': {
    type: 'BOOLEAN',
    default: false,
    importance: 'LOW',
    group: 'Protobuf',
    doc: 'Whether unions and enumerations carry names and parameters that are the same for all formats, org.apache.kafka.connect.data.Union and .Enum, so that data of one can be written in another.',
  },
  'int.for.enums': {
    type: 'BOOLEAN',
    default: false,
    importance: 'MEDIUM',
    group: 'Protobuf',
    doc: 'Whether enumerations are read as their numbers.',
  },
  'scrub.invalid.names': {
    type: 'BOOLEAN',
    default: false,
    importance: 'MEDIUM',
    group: 'Protobuf',
    doc: 'Whether characters that Protobuf does not allow in names are replaced.',
  },
  'schemas.cache.config': {
    type: 'INT',
    default: 1000,
    importance: 'LOW',
    group: 'Protobuf',
    doc: 'Without effect: max.schemas.per.subject bounds what is kept.',
  },
})

export type ProtobufConverterConfig = ConfigOf<typeof protobufConverterConfig>
