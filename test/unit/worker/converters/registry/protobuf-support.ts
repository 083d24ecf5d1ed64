import { GrowingByteWriter } from '../../../../../worker/api/byte-writer.ts'
import type { Schema, Value } from '../../../../../worker/api/data.ts'
import { parseConfig } from '../../../../../worker/config/config-def.ts'
import { protobufConverterConfig } from '../../../../../worker/converters/registry/protobuf-config.ts'
import { ProtobufFormat } from '../../../../../worker/converters/registry/protobuf-format.ts'

export type Options = Readonly<Record<string, string>>

/** A format with these options, ready for use. */
export async function format(options: Options = {}): Promise<ProtobufFormat> {
  const raw = { 'schema.registry.url': 'http://r', 'converter.type': 'value', ...options }
  const made = new ProtobufFormat(parseConfig(protobufConverterConfig, raw))
  await made.load()
  return made
}

/** The message as it stands behind the schema id: indexes, then data. */
export function encode(made: ProtobufFormat, schema: Schema, value: Value): { text: string; bytes: Buffer } {
  const encoding = made.encoding(schema)
  const out = new GrowingByteWriter(16)
  out.bytes(encoding.head)
  encoding.write(value, out)
  return { text: encoding.text, bytes: Buffer.from(out.since(0)) }
}
