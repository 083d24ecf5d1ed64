/** The converters of Kafka Connect itself. */
import type { ConfigDef, ConfigKeys, ConfigOf } from '../api/config.ts'
import type { Converter, HeaderConverter } from '../api/converter.ts'
import {
  type ConverterPlugin,
  defineConverter,
  defineHeaderConverter,
  type HeaderConverterPlugin,
} from '../api/plugin.ts'
import { noHeaders } from '../api/record.ts'
import { converterErrorCodes } from './error-codes.ts'
import { JsonConverter, jsonConverterConfig } from './json.ts'
import {
  BooleanConverter,
  ByteArrayConverter,
  NumberConverter,
  numberFormats,
  primitiveConverterConfig,
} from './primitives.ts'
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

export const jsonConverters = pair({
  name: 'org.apache.kafka.connect.json.JsonConverter',
  config: jsonConverterConfig,
  create: () => new JsonConverter(),
})

export const plainConverters: readonly (ConverterPlugin | HeaderConverterPlugin)[] = [
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
