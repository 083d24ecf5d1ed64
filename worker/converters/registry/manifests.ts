import { type ConverterPlugin, defineConverter } from '../../api/plugin.ts'
import { type AvroConverterConfig, avroConverterConfig } from './avro-config.ts'
import { registryErrorCodes } from './error-codes.ts'
import { type JsonSchemaConverterConfig, jsonSchemaConverterConfig } from './json-config.ts'
import { type ProtobufConverterConfig, protobufConverterConfig } from './protobuf-config.ts'

const version = '4.3.0'

/** Converters with a schema registry are no header converters; their code and codecs load when one is made. */
export const registryConverters: readonly ConverterPlugin[] = [
  defineConverter({
    name: 'io.confluent.connect.avro.AvroConverter',
    aliases: [],
    version,
    config: avroConverterConfig,
    errorCodes: registryErrorCodes,
    create: async () => {
      const { AvroFormat } = await import('./avro-format.ts')
      const { RegistryConverter } = await import('./registry-converter.ts')
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
      const { ProtobufFormat } = await import('./protobuf-format.ts')
      const { RegistryConverter } = await import('./registry-converter.ts')
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
      const { JsonSchemaFormat } = await import('./json-format.ts')
      const { RegistryConverter } = await import('./registry-converter.ts')
      return new RegistryConverter((config: JsonSchemaConverterConfig) => new JsonSchemaFormat(config))
    },
  }),
]
