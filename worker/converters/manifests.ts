import { type ConfigDef, type ConfigKeys, type ConfigOf } from '../api/config.ts'
import type { Converter, HeaderConverter } from '../api/converter.ts'
import {
  type ConverterPlugin,
  defineConverter,
  defineHeaderConverter,
  type HeaderConverterPlugin,
} from '../api/plugin.ts'
import { noHeaders } from '../api/record.ts'
import { cloudEventsConverterConfig } from './cloud-events-config.ts'
import { converterErrorCodes } from './error-codes.ts'
import { JsonConverter, jsonConverterConfig } from './json.ts'
import {
  BooleanConverter,
  ByteArrayConverter,
  NumberConverter,
  numberFormats,
  primitiveConverterConfig,
} from './primitives.ts'
import { type AvroConverterConfig, avroConverterConfig } from './registry/avro-config.ts'
import { registryErrorCodes } from './registry/error-codes.ts'
import { type JsonSchemaConverterConfig, jsonSchemaConverterConfig } from './registry/json-config.ts'
import { type ProtobufConverterConfig, protobufConverterConfig } from './registry/protobuf-config.ts'
import { SimpleHeaderConverter, simpleHeaderConverterConfig } from './simple-header.ts'
import { StringConverter, stringConverterConfig } from './string.ts'

const version = '4.3.0'

interface ConverterSpec<K extends ConfigKeys> {
  readonly name: string
  readonly config: ConfigDef<K>
  create(): Converter<ConfigOf<ConfigDef<K>>>
}

/** As in Connect, every converter converts headers too. */
function pair<K extends ConfigKeys>(spec: ConverterSpec<K>): readonly [ConverterPlugin, HeaderConverterPlugin] {
  const manifest = {
    name: spec.name,
    aliases: [],
    version,
    config: spec.config,
    errorCodes: converterErrorCodes,
  }
  return [
    defineConverter({ ...manifest, create: async () => spec.create() }),
    defineHeaderConverter({ ...manifest, create: async () => headerConverter(spec.create()) }),
  ]
}

function headerConverter<C>(converter: Converter<C>): HeaderConverter<C> {
  return {
    configure: (config) => converter.configure(config, 'header'),
    fromConnectHeader: (topic, _key, schema, value) => converter.fromConnectData(topic, noHeaders, schema, value),
    toConnectHeader: (topic, _key, bytes) => converter.toConnectData(topic, noHeaders, bytes),
    close: async () => converter.close?.(),
  }
}

const number = (className: string, format: keyof typeof numberFormats) =>
  pair({
    name: `org.apache.kafka.connect.converters.${className}`,
    config: primitiveConverterConfig,
    create: () => new NumberConverter(numberFormats[format]),
  })

/** Converters with a schema registry are no header converters; their code and codecs load when one is made. */
const registryConverters: readonly ConverterPlugin[] = [
  defineConverter({
    name: 'io.confluent.connect.avro.AvroConverter',
    aliases: [],
    version,
    config: avroConverterConfig,
    errorCodes: registryErrorCodes,
    create: async () => {
      const { AvroFormat } = await import('./registry/avro-format.ts')
      const { RegistryConverter } = await import('./registry/registry-converter.ts')
      return new RegistryConverter((config: AvroConverterConfig) => new AvroFormat(config))
    },
  }),
  defineConverter({
    name: 'io.confluent.connect.protobuf.ProtobufConverter',
    aliases: [],
    version,
    config: protobufConverterConfig,
    errorCodes: registryErrorCodes,
    create: async () => {
      const { ProtobufFormat } = await import('./registry/protobuf-format.ts')
      const { RegistryConverter } = await import('./registry/registry-converter.ts')
      return new RegistryConverter((config: ProtobufConverterConfig) => new ProtobufFormat(config))
    },
  }),
  defineConverter({
    name: 'io.confluent.connect.json.JsonSchemaConverter',
    aliases: [],
    version,
    config: jsonSchemaConverterConfig,
    errorCodes: registryErrorCodes,
    create: async () => {
      const { JsonSchemaFormat } = await import('./registry/json-format.ts')
      const { RegistryConverter } = await import('./registry/registry-converter.ts')
      return new RegistryConverter((config: JsonSchemaConverterConfig) => new JsonSchemaFormat(config))
    },
  }),
]

const cloudEvents = defineConverter({
  name: 'io.debezium.converters.CloudEventsConverter',
  aliases: [],
  version: '3.7.0.Final',
  config: cloudEventsConverterConfig,
  create: async () => new (await import('./cloud-events.ts')).CloudEventsConverter(),
})

/** The converters and header converters that come with the worker. */
export const builtinConverters: readonly (ConverterPlugin | HeaderConverterPlugin)[] = [
  ...pair({
    name: 'org.apache.kafka.connect.json.JsonConverter',
    config: jsonConverterConfig,
    create: () => new JsonConverter(),
  }),
  ...registryConverters,
  cloudEvents,
  ...pair({
    name: 'org.apache.kafka.connect.storage.StringConverter',
    config: stringConverterConfig,
    create: () => new StringConverter(),
  }),
  ...pair({
    name: 'org.apache.kafka.connect.converters.ByteArrayConverter',
    config: primitiveConverterConfig,
    create: () => new ByteArrayConverter(),
  }),
  ...number('ShortConverter', 'short'),
  ...number('IntegerConverter', 'integer'),
  ...number('LongConverter', 'long'),
  ...number('FloatConverter', 'float'),
  ...number('DoubleConverter', 'double'),
  ...pair({
    name: 'org.apache.kafka.connect.converters.BooleanConverter',
    config: primitiveConverterConfig,
    create: () => new BooleanConverter(),
  }),
  defineHeaderConverter({
    name: 'org.apache.kafka.connect.storage.SimpleHeaderConverter',
    aliases: [],
    version,
    config: simpleHeaderConverterConfig,
    create: async () => new SimpleHeaderConverter(),
  }),
]
