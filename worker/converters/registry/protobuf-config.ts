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
