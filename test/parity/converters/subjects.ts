import { type ConfigDef, type ConfigOf } from '../../../worker/api/config.ts'
import type { Converter, HeaderConverter, SchemaAndValue } from '../../../worker/api/converter.ts'
import type { Schema, Value } from '../../../worker/api/data.ts'
import { noHeaders } from '../../../worker/api/record.ts'
import { parseConfig } from '../../../worker/config/config-def.ts'
import { builtinConverters } from '../../../worker/converters/manifests.ts'

/** A converter of ours and of Java's, configured alike. */
export interface Subject {
  readonly name: string
  readonly class: string
  readonly config: Readonly<Record<string, string>>
  readonly role: 'value' | 'header'
  /** Of 100 pairs, how many go to this subject. */
  readonly weight: number
}

export interface Both {
  write(schema: Schema | null, value: Value): Uint8Array | null
  read(bytes: Uint8Array | null): SchemaAndValue
}

const json = 'org.apache.kafka.connect.json.JsonConverter'

function jsonSubjects(): readonly Subject[] {
  const subjects: Subject[] = []
  for (const schemas of ['true', 'false']) {
    for (const decimals of ['BASE64', 'numeric']) {
      for (const replace of ['true', 'false']) {
        subjects.push({
          name: `JsonConverter schemas ${schemas}, decimals ${decimals}, defaults ${replace}`,
          class: json,
          config: { 'schemas.enable': schemas, 'decimal.format': decimals, 'replace.null.with.default': replace },
          role: 'value',
          weight: 8,
        })
      }
    }
  }
  return subjects
}

const plain = (className: string, weight: number): Subject => ({
  name: className.slice(className.lastIndexOf('.') + 1),
  class: className,
  config: {},
  role: 'value',
  weight,
})

const numbers = ['Boolean', 'Short', 'Integer', 'Long', 'Float', 'Double', 'ByteArray']

export const subjects: readonly Subject[] = [
  ...jsonSubjects(),
  plain('org.apache.kafka.connect.storage.StringConverter', 8),
  ...numbers.map((type) => plain(`org.apache.kafka.connect.converters.${type}Converter`, 2)),
  { ...plain('org.apache.kafka.connect.storage.SimpleHeaderConverter', 14), role: 'header' },
]

/** Our converter, made from its manifest as the worker makes it. */
export async function openOurs(subject: Subject): Promise<Both> {
  for (const plugin of builtinConverters) {
    if (plugin.name !== subject.class) continue
    const config = parseConfig(plugin.config as ConfigDef, { ...subject.config, 'converter.type': subject.role })
    if (subject.role === 'header' && plugin.type === 'header_converter') {
      return ofHeaders(await plugin.create(), config)
    }
    if (subject.role === 'value' && plugin.type === 'converter') return ofValues(await plugin.create(), config)
  }
  throw new Error(`no converter ${subject.class}`)
}

function ofValues(converter: Converter<ConfigOf<ConfigDef>>, config: ConfigOf<ConfigDef>): Both {
  converter.configure(config, 'value')
  return {
    write: (schema, value) => converter.fromConnectData('t', noHeaders, schema, value),
    read: (bytes) => converter.toConnectData('t', noHeaders, bytes),
  }
}

function ofHeaders(converter: HeaderConverter<ConfigOf<ConfigDef>>, config: ConfigOf<ConfigDef>): Both {
  converter.configure(config)
  return {
    write: (schema, value) => converter.fromConnectHeader('t', 'h', schema, value),
    read: (bytes) => converter.toConnectHeader('t', 'h', bytes),
  }
}
