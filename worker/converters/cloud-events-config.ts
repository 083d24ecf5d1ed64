import { type ConfigOf, defineConfig, oneOf, oneOfIgnoringCase, type Validator } from '../api/config.ts'
import { converterTypeOption } from './converter-type.ts'

const metadataSources = ['value', 'id:generate', 'type:generate', 'traceparent:header', 'dataSchemaName:generate']

/** Metadata from headers would give an event another id and type than those it is then written with (I6). */
const metadataFromValue: Validator = {
  description: `[${metadataSources.join(',')}]`,
  check: (_, value) => {
    const other = String(value)
      .split(',')
      .find((source) => !metadataSources.includes(source.trim()))
    return other === undefined
      ? null
      : `${other} is not supported: metadata come from the value, id, type and name of the schema are generated`
  },
}

/** Options of Debezium's CloudEventsConverter; only JSON is written and read. */
export const cloudEventsConverterConfig = defineConfig({
  'serializer.type': {
    type: 'STRING',
    default: 'json',
    importance: 'HIGH',
    valid: oneOf('json'),
    doc: 'Encoding of the envelope; only json.',
  },
  'data.serializer.type': {
    type: 'STRING',
    default: 'json',
    importance: 'HIGH',
    valid: oneOf('json'),
    doc: 'Encoding of the data attribute; only json.',
  },
  'extension.attributes.enable': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    doc: 'Whether the event carries attributes about its source and transaction (iodebezium…).',
  },
  'json.schemas.enable': {
    type: 'BOOLEAN',
    default: true,
    importance: 'MEDIUM',
    doc: 'Whether the data attribute holds a schema beside the payload.',
  },
  'json.decimal.format': {
    type: 'STRING',
    default: 'BASE64',
    importance: 'LOW',
    valid: oneOfIgnoringCase('BASE64', 'NUMERIC'),
    doc: 'How decimals of the data are written: BASE64 or NUMERIC.',
  },
  'json.replace.null.with.default': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    doc: 'Whether a null in the data is replaced by the default of its field.',
  },
  'metadata.source': {
    type: 'STRING',
    default: metadataSources.join(','),
    importance: 'HIGH',
    valid: metadataFromValue,
    doc: 'Where the metadata of the event come from: the value of the record, hence no transform may have taken it apart.',
  },
  'converter.type': converterTypeOption,
})

export type CloudEventsConverterConfig = ConfigOf<typeof cloudEventsConverterConfig>
