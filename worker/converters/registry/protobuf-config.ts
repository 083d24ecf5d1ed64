import { type ConfigOf, defineConfig } from '../../api/config.ts'
import { onlyDefault, registryOptions } from './options.ts'

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
  'generate.struct.for.nulls': onlyDefault(false, 'Protobuf', 'Whether a null message is a struct of defaults.'),
  'wrapper.for.nullables': onlyDefault(
    false,
    'Protobuf',
    'Whether optional primitives are written as wrapper messages.',
  ),
  'wrapper.for.raw.primitives': onlyDefault(true, 'Protobuf', 'Whether a wrapper message alone is a primitive.'),
  'ignore.default.for.nullables': onlyDefault(
    false,
    'Protobuf',
    'Whether a null stays null where its field has a default.',
  ),
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
