/** What differs between runs is replaced by names: the run's prefix, addresses, request ids, UUIDs of indices. */

import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import { isJsonObject, type Json, type JsonObject } from './exact-json.ts'

export interface RunNames {
  /** Prefix of every name of the run. */
  readonly prefix: string
  /** Address by its name in the corpus: `es`, `s3`, `bootstrap`. */
  readonly addresses: ReadonlyMap<string, string>
  /** Replacements of the case itself: pattern and text. */
  readonly replace: readonly (readonly [string, string])[]
}

const volatileParts: readonly (readonly [RegExp, string])[] = [
  [/Request ID: \S+?(?:, Extended Request ID: [^)\s]+)?(?=[),\s])/g, 'Request ID: <id>'],
  [/\(SDK Attempt Count: \d+\)/g, '(SDK Attempt Count: <n>)'],
  [/\b(index_uuid|uuid)=[\w-]{22}/g, '$1=<uuid>'],
  [/\[[\w-]{22}\]/g, '[<uuid>]'],
  [/\.ds-(\S+?)-\d{4}\.\d\d\.\d\d-(\d{6})/g, '.ds-$1-<day>-$2'],
]

export class Normaliser {
  readonly #replacements: (readonly [string | RegExp, string])[] = []

  constructor({ prefix, addresses, replace }: RunNames) {
    for (const [name, address] of addresses) {
      this.#replacements.push([address, `\${${name}}`], [address.replace(/^https?:\/\//, ''), `\${${name}}`])
    }
    this.#replacements.push([prefix.toUpperCase(), '${P}'], [prefix, '${p}'])
    for (const [pattern, text] of replace) {
      this.#replacements.push([new RegExp(pattern, 'g'), text.replaceAll(/\\(\d)/g, '$$$1')])
    }
    this.#replacements.push(...volatileParts)
  }

  text(text: string): string {
    let result = text
    for (const [from, to] of this.#replacements) {
      result = typeof from === 'string' ? result.replaceAll(from, () => to) : result.replaceAll(from, to)
    }
    return result
  }

  json(value: Json): Json {
    if (typeof value === 'string') return this.text(value)
    if (Array.isArray(value)) return (value as readonly Json[]).map((item) => this.json(item))
    return isJsonObject(value) ? this.object(value) : value
  }

  object(value: JsonObject): JsonObject {
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [this.text(name), this.json(item)]))
  }

  /** Bytes in the notation of recorded outcomes. */
  bytes(bytes: Uint8Array | null): Json {
    if (bytes === null) return null
    const buffer = Buffer.from(bytes)
    if (!isUtf8(buffer)) return { $hex: buffer.toString('hex') }
    const text = buffer.toString('utf8')
    if (Array.from(text).length <= 2000) return this.text(text)
    return { $sha256: createHash('sha256').update(buffer).digest('hex'), length: buffer.length }
  }
}
