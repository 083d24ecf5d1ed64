import { type ConfigOf, defineConfig } from '../api/config.ts'
import type { Converter, ConverterRole, SchemaAndValue } from '../api/converter.ts'
import { type Schema, Schemas, type Value } from '../api/data.ts'
import { ConfigError, DataError } from '../api/errors.ts'
import { javaText } from '../api/java-text.ts'
import type { Headers } from '../api/record.ts'
import { decodeUtf8 } from '../api/utf8.ts'
import { converterTypeOption } from './converter-type.ts'

export const stringConverterConfig = defineConfig({
  'converter.encoding': {
    type: 'STRING',
    default: 'UTF-8',
    importance: 'HIGH',
    alternatives: ['serializer.encoding', 'deserializer.encoding'],
    width: 'MEDIUM',
    displayName: 'Encoding',
    doc: 'The name of the Java character set to use for encoding strings as byte arrays.',
  },
  'converter.type': converterTypeOption,
})

type Charset = 'utf8' | 'latin1' | 'ascii' | 'utf16le' | 'utf16be'

const charsets: ReadonlyMap<string, Charset> = new Map([
  ['utf8', 'utf8'],
  ['iso88591', 'latin1'],
  ['latin1', 'latin1'],
  ['usascii', 'ascii'],
  ['ascii', 'ascii'],
  ['utf16le', 'utf16le'],
  ['utf16be', 'utf16be'],
])

/** Text: on the way out whatever Java's `toString` would give, on the way in an optional STRING. */
export class StringConverter implements Converter<ConfigOf<typeof stringConverterConfig>> {
  readonly copiesBytes = true
  #charset: Charset = 'utf8'
  #decoder = new TextDecoder('utf-16le', { fatal: true, ignoreBOM: true })

  configure(config: ConfigOf<typeof stringConverterConfig>, _role: ConverterRole): void {
    const name = config['converter.encoding']
    const charset = charsets.get(name.toLowerCase().replaceAll(/[-_]/g, ''))
    if (charset === undefined) {
      const message = `Unsupported encoding ${name}: use UTF-8, ISO-8859-1, US-ASCII, UTF-16LE or UTF-16BE`
      throw new ConfigError([{ option: 'converter.encoding', message }])
    }
    this.#charset = charset
    if (charset === 'utf16be') this.#decoder = new TextDecoder('utf-16be', { fatal: true, ignoreBOM: true })
  }

  fromConnectData(_topic: string, _headers: Headers, schema: Schema | null, value: Value): Uint8Array | null {
    if (value === null) return null
    const text = javaText(schema, value)
    if (!this.#canEncode(text)) {
      throw new DataError('CONNECT_DATA_SERIALIZATION', `Text has characters that ${this.#charset} cannot encode`)
    }
    if (this.#charset !== 'utf16be') return Buffer.from(text, this.#charset)
    return Buffer.from(text, 'utf16le').swap16()
  }

  toConnectData(_topic: string, _headers: Headers, bytes: Uint8Array | null): SchemaAndValue {
    if (bytes === null) return { schema: Schemas.optionalString, value: null }
    return { schema: Schemas.optionalString, value: this.#decode(bytes) }
  }

  #decode(bytes: Uint8Array): string {
    const text = this.#text(bytes)
    if (text !== null) return text
    // Java would put U+FFFD in place of what it cannot decode; that would change the data silently (I6).
    const message = `Failed to deserialize: the bytes are not ${this.#charset}`
    throw new DataError('CONNECT_DATA_SERIALIZATION', message)
  }

  /** Null for bytes that are no text in this character set. */
  #text(bytes: Uint8Array): string | null {
    if (this.#charset === 'utf8') return decodeUtf8(bytes)
    if (this.#charset === 'latin1') return Buffer.from(bytes).toString('latin1')
    if (this.#charset === 'ascii') return bytes.some((b) => b > 0x7f) ? null : Buffer.from(bytes).toString('latin1')
    try {
      return this.#decoder.decode(bytes)
    } catch {
      return null
    }
  }

  #canEncode(text: string): boolean {
    if (this.#charset === 'utf8') return text.isWellFormed()
    const highest = this.#charset === 'latin1' ? 0xff : this.#charset === 'ascii' ? 0x7f : 0xffff
    for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > highest) return false
    return true
  }
}
