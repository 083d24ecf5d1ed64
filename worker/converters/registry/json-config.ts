import { type ConfigOf, defineConfig, oneOfIgnoringCase } from '../../api/config.ts'
import { onlyDefault, registryOptions } from './options.ts'

/** Options of JsonSchemaConverter; names and defaults are Confluent's. */
export const jsonSchemaConverterConfig = defineConfig({
  ...registryOptions,
  'decimal.format': {
    type: 'STRING',
    default: 'BASE64',
    importance: 'LOW',
    valid: oneOfIgnoringCase('BASE64', 'NUMERIC'),
    group: 'JSON Schema',
    doc: 'How decimals are written: BASE64 (their unscaled bytes) or NUMERIC. Both are read.',
  },
  'object.additional.properties': {
    type: 'BOOLEAN',
    default: true,
    importance: 'MEDIUM',
    group: 'JSON Schema',
    doc: 'Whether objects may have more properties than their schema names.',
  },
  'use.optional.for.nonrequired': {
    type: 'BOOLEAN',
    default: false,
    importance: 'MEDIUM',
    group: 'JSON Schema',
    doc: 'Whether properties that are not required become optional fields, and fields that are not optional required properties.',
  },
  'json.fail.invalid.schema': {
    type: 'BOOLEAN',
    default: false,
    importance: 'MEDIUM',
    group: 'JSON Schema',
    doc: 'Whether each message is validated by its schema, when written and when read; needs the package ajv.',
  },
  'replace.null.with.default': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    group: 'JSON Schema',
    doc: 'Whether a null is replaced by the default of its field.',
  },
  'flatten.singleton.unions': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    group: 'JSON Schema',
    doc: 'Whether a union of one type is that type; otherwise it is a struct of one field.',
  },
  'generalized.sum.type.support': {
    type: 'BOOLEAN',
    default: false,
    importance: 'LOW',
    group: 'JSON Schema',
    doc: 'Whether unions and enumerations carry names and parameters that are the same for all formats, org.apache.kafka.connect.data.Union and .Enum, so that data of one can be written in another.',
  },
  'ignore.default.for.nullables': {
    type: 'BOOLEAN',
    default: false,
    importance: 'LOW',
    group: 'JSON Schema',
    doc: 'Whether a null stays null where an optional field has a default; otherwise the default is written.',
  },
  'preserve.additional.properties': onlyDefault(
    false,
    'JSON Schema',
    'Whether properties that a schema does not name are kept: as variants, which Connect 4.3 does not have.',
  ),
  'schemas.cache.size': {
    type: 'INT',
    default: 1000,
    importance: 'LOW',
    group: 'JSON Schema',
    doc: 'Without effect: max.schemas.per.subject bounds what is kept.',
  },
})

export type JsonSchemaConverterConfig = ConfigOf<typeof jsonSchemaConverterConfig>
