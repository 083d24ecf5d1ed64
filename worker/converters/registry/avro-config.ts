import { type ConfigOf, defineConfig } from '../../api/config.ts'
import { registryOptions } from './options.ts'

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
  'flatten.singleton.unions': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    group: 'Avro',
    doc: 'Whether a union of one type is that type; otherwise it is a struct of one field.',
  },
  'generalized.sum.type.support': {
    type: 'BOOLEAN',
    default: false,
    importance: 'LOW',
    group: 'Avro',
    doc: 'Whether unions and enumerations carry names and parameters that are the same for all formats, org.apache.kafka.connect.data.Union and .Enum, so that data of one can be written in another.',
  },
  'ignore.default.for.nullables': {
    type: 'BOOLEAN',
    default: false,
    importance: 'LOW',
    group: 'Avro',
    doc: 'Whether a null stays null where an optional field has a default; otherwise the default is written.',
  },
  'discard.type.doc.default': {
    type: 'BOOLEAN',
    default: false,
    importance: 'LOW',
    group: 'Avro',
    doc: 'Whether docs and defaults of fields stand for those of their types: the doc of a field is that of its schema.',
  },
  'scrub.invalid.names': {
    type: 'BOOLEAN',
    default: false,
    importance: 'MEDIUM',
    group: 'Avro',
    doc: 'Whether characters that Avro does not allow in names are replaced.',
  },
})

export type AvroConverterConfig = ConfigOf<typeof avroConverterConfig>
