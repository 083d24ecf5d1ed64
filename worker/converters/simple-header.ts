import { defineConfig } from '../api/config.ts'
import type { HeaderConverter, SchemaAndValue } from '../api/converter.ts'
import { type Schema, Schemas, type Value } from '../api/data.ts'
import { DataError } from '../api/errors.ts'
import { headerText, parseHeaderText } from '../api/header-text.ts'

export const simpleHeaderConverterConfig = defineConfig({})

/**
 * Connect's default header converter: text whose type is guessed on reading (numbers, booleans, dates, `[…]`, `{…}`).
 * What cannot be read as text stays bytes; nothing is refused on reading.
 */
export class SimpleHeaderConverter implements HeaderConverter<unknown> {
  readonly copiesBytes = true

  configure(): void {}

  fromConnectHeader(_topic: string, _key: string, schema: Schema | null, value: Value): Uint8Array | null {
    if (value === null) return null
    const text = headerText(schema, value)
    if (!text.isWellFormed()) {
      // UTF-8 has no form of half a character, and a question mark in its place would be other data (I6).
      throw new DataError('CONNECT_DATA_SERIALIZATION', 'Text has an unpaired surrogate, which UTF-8 cannot encode')
    }
    return Buffer.from(text, 'utf8')
  }

  toConnectHeader(_topic: string, _key: string, bytes: Uint8Array | null): SchemaAndValue {
    if (bytes === null) return { schema: null, value: null }
    let text: string
    try {
      text = decoder.decode(bytes)
    } catch {
      // Text would not read back as the same bytes (I6).
      return { schema: Schemas.bytes, value: bytes.slice() }
    }
    return parseHeaderText(text)
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
