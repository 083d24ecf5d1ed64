import type { Logger } from '../api/context.ts'
import { kafkaError } from './errors.ts'
import type { ClientProperties } from './types.ts'

/** Reads properties and remembers which were asked for, so that the rest can be named. */
export class PropertyReader {
  readonly #properties: ClientProperties
  readonly #known = new Set<string>()

  constructor(properties: ClientProperties) {
    this.#properties = properties
  }

  has(name: string): boolean {
    return this.text(name) !== null
  }

  text(name: string): string | null {
    this.#known.add(name)
    const value = this.#properties[name]
    if (value === undefined) return null
    const trimmed = value.trim()
    return trimmed === '' ? null : trimmed
  }

  /** As written, also when empty. */
  raw(name: string): string | null {
    this.#known.add(name)
    return this.#properties[name] ?? null
  }

  integer(name: string, fallback: number, least = 0): number {
    const text = this.text(name)
    if (text === null) return fallback
    const value = Number(text)
    if (!Number.isInteger(value) || value < least) {
      throw kafkaError('CONNECT_KAFKA_CONFIG', `The client property ${name} must be an integer of at least ${least}`)
    }
    return value
  }

  boolean(name: string, fallback: boolean): boolean {
    const text = this.text(name)?.toLowerCase()
    if (text === undefined) return fallback
    if (text === 'true') return true
    if (text === 'false') return false
    throw kafkaError('CONNECT_KAFKA_CONFIG', `The client property ${name} must be true or false`)
  }

  choice<T extends string>(name: string, allowed: readonly T[], fallback: T): T {
    const text = this.text(name)
    if (text === null) return fallback
    const found = allowed.find((value) => value === text)
    if (found !== undefined) return found
    throw kafkaError('CONNECT_KAFKA_CONFIG', `The client property ${name} must be one of ${allowed.join(', ')}`)
  }

  list(name: string): readonly string[] | null {
    const text = this.text(name)
    if (text === null) return null
    return text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '')
  }

  logIgnored(log: Logger | null): void {
    if (log === null) return
    const ignored = Object.keys(this.#properties).filter((name) => !this.#known.has(name))
    // Names only: values may be secrets (I8).
    if (ignored.length > 0) log.debug({ ignored }, 'client properties without use in this client')
  }
}
