import { type ConfigOf, defineConfig } from '../../api/config.ts'
import { onlyDefault, registryOptions } from './options.ts'

/** Options of AvroConverter; names and defaults are Confluent's. */
export const avroConverterConfig = defineConfig({
  ...registryOptions,
  'enhanced.avro.schema.support': {
    type: 'BOOLEAN',
    default: false,
    importance: 'MEDIUM',
    group: 'Avro',
    doc: 'Whether enumerations become enumerations again, and branches of unions are called by full names.',
  },
  'connect.meta.data': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    group: 'Avro',
    doc: 'Whether names, versions, docs and parameters of Connect schemas are kept in Avro as connect.* properties.',
  },
  'allow.optional.map.keys': {
    type: 'BOOLEAN',
    default: false,
    importance: 'LOW',
    group: 'Avro',
    doc: 'Whether a map with optional text as keys becomes an Avro map; otherwise it is a list of entries.',
  },
  'schemas.cache.config': {
    type: 'INT',
    default: 1000,
    importance: 'LOW',
    group: 'Avro',
    doc: 'Without effect: max.schemas.per.subject bounds what is kept.',
  },
  'flatten.singleton.unions': onlyDefault(true, 'Avro', 'Whether a union of one type is that type.'),
  'generalized.sum.type.support': onlyDefault(
    false,
    'Avro',
    'Whether unions and enumerations are those of all formats.',
  ),
  'ignore.default.for.nullables': onlyDefault(
    false,
    'Avro',
    'Whether a null stays null where its field has a default.',
  ),
  'discard.type.doc.default': onlyDefault(false, 'Avro', 'Whether docs and defaults of types are left out.'),
  'scrub.invalid.names': {
    type: 'BOOLEAN',
    default: false,
    importance: 'MEDIUM',
    group: 'Avro',
    doc: 'Whether characters that Avro does not allow in names are replaced.',
  },
})

export type AvroConverterConfig = ConfigOf<typeof avroConverterConfig>
