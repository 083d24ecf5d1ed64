import type { ConfigProblem } from './errors.ts'
import { hashOrder } from './java-hash.ts'
import { JavaRegex } from './java-regex.ts'

/** Vocabulary of Kafka's `ConfigDef`; from one definition come parsing, validation, REST answers and the reference. */
export type ConfigType = 'BOOLEAN' | 'STRING' | 'INT' | 'SHORT' | 'LONG' | 'DOUBLE' | 'LIST' | 'CLASS' | 'PASSWORD'
export type Importance = 'HIGH' | 'MEDIUM' | 'LOW'
export type Width = 'NONE' | 'SHORT' | 'MEDIUM' | 'LONG'

/** A secret. Prints as `[hidden]` everywhere; `reveal` is for the call that needs it (I8). */
export class Password {
  readonly #secret: string

  constructor(secret: string) {
    this.#secret = secret
  }

  reveal(): string {
    return this.#secret
  }

  toString(): string {
    return '[hidden]'
  }

  toJSON(): string {
    return '[hidden]'
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[hidden]'
  }
}

/** Type of a parsed option. LONG beyond ±2^53 is rounded: options are sizes and durations, their text stays as it was. */
export interface ConfigTypes {
  BOOLEAN: boolean
  STRING: string
  INT: number
  SHORT: number
  LONG: number
  DOUBLE: number
  LIST: readonly string[]
  CLASS: string
  PASSWORD: Password
}

/** Answers with the detail after `Invalid value V for configuration K: `, or null when the value is fine. */
export interface Validator {
  check(option: string, value: unknown): string | null
  /** The answer of `check` is the whole message: `Invalid value …` is not put before it. */
  readonly complete?: true
  /** Of a list: what stands in it twice counts once where a plugin starts; the check of a new config refuses it. */
  readonly distinct?: true
  /** Shown in the reference, e.g. `[1,...]`. */
  readonly description: string
}

/** Values to choose from and visibility, given the other options. */
export interface Recommender {
  validValues(option: string, config: Readonly<Record<string, unknown>>): readonly unknown[]
  visible(option: string, config: Readonly<Record<string, unknown>>): boolean
}

interface ConfigKeyOf<T extends ConfigType> {
  readonly type: T
  /** Absent: the option is required. Null: it is optional. */
  readonly default?: ConfigTypes[T] | null | (T extends 'PASSWORD' ? string : never)
  readonly importance: Importance
  readonly doc: string
  readonly valid?: Validator
  readonly group?: string
  readonly order?: number
  readonly width?: Width
  readonly displayName?: string
  readonly dependents?: readonly string[]
  readonly recommender?: Recommender
  /** Not listed in the reference or in REST answers. */
  readonly internal?: true
  /** Older or foreign names, tried in order when the option itself is absent. */
  readonly alternatives?: readonly string[]
}

export type ConfigKey = { [T in ConfigType]: ConfigKeyOf<T> }[ConfigType]
export type ConfigKeys = Readonly<Record<string, ConfigKey>>

type ValueOf<K extends ConfigKey> = K extends { readonly default: null }
  ? ConfigTypes[K['type']] | null
  : ConfigTypes[K['type']]

type ValuesOf<K extends ConfigKeys> = { readonly [P in keyof K]: ValueOf<K[P]> }

export interface ConfigDef<K extends ConfigKeys = ConfigKeys> {
  readonly keys: K
  /**
   * Rules between options, all problems at once; runs only when each option by itself is fine.
   * @param raw what was written, for rules about options of the framework and about what was written at all
   */
  validate?(config: ValuesOf<K>, raw: RawOptionTexts): readonly ConfigProblem[]
}

/** Options as they were written, by name. */
export type RawOptionTexts = Readonly<Record<string, string | null>>

/** Parsed options of a definition, e.g. `type S3SinkConfig = ConfigOf<typeof s3SinkConfig>`. */
export type ConfigOf<D extends ConfigDef> = D extends ConfigDef<infer K> ? ValuesOf<K> : never

export function defineConfig<const K extends ConfigKeys>(
  keys: K,
  rules: { validate?(config: ValuesOf<K>, raw: RawOptionTexts): readonly ConfigProblem[] } = {},
): ConfigDef<K> {
  return { keys, ...rules }
}

const validator = (description: string, check: Validator['check']): Validator => ({ description, check })

/** Number of at least `min`. */
export function atLeast(min: number): Validator {
  return validator(`[${min},...]`, (_, value) => {
    if (value === null) return 'Value must be non-null'
    return (value as number) < min ? `Value must be at least ${min}` : null
  })
}

/** Number within `[min, max]`. */
export function between(min: number, max: number): Validator {
  return validator(`[${min},...,${max}]`, (_, value) => {
    if (value === null) return 'Value must be non-null'
    if ((value as number) < min) return `Value must be at least ${min}`
    return (value as number) > max ? `Value must be no more than ${max}` : null
  })
}

/** One of `values`, exactly as written. */
export function oneOf(...values: readonly string[]): Validator {
  return validator(`[${values.join(', ')}]`, (_, value) =>
    values.includes(value as string) ? null : `String must be one of: ${values.join(', ')}`,
  )
}

/** One of `values` in any case; the plugin folds the case itself. */
export function oneOfIgnoringCase(...values: readonly string[]): Validator {
  // Connect keeps them as a set.
  const folded = hashOrder(values.map((v) => v.toUpperCase()))
  return validator(`(case insensitive) [${folded.join(', ')}]`, (_, value) =>
    value !== null && folded.includes(String(value).toUpperCase())
      ? null
      : `String must be one of (case insensitive): ${folded.join(', ')}`,
  )
}

export const nonEmptyString: Validator = validator('non-empty string', (_, value) =>
  value !== null && String(value).length === 0 ? 'String must be non-empty' : null,
)

export const nonEmptyList: Validator = validator('non-empty list', (_, value) =>
  value === null || (value as readonly string[]).length === 0 ? 'Empty list' : null,
)

/** A list whose entries are there and differ (KIP-1161); Connect gives the whole message. */
export function distinctList(rules: { readonly allowEmpty: boolean }): Validator {
  return {
    description: rules.allowEmpty ? 'distinct values' : 'non-empty list of distinct values',
    complete: true,
    distinct: true,
    check: (option, value) => {
      if (value === null) return `Configuration '${option}' values must not be null.`
      const values = value as readonly string[]
      if (values.length === 0 && !rules.allowEmpty) {
        return `Configuration '${option}' must not be empty. Valid values include: any non-empty value`
      }
      if (new Set(values).size < values.length) return `Configuration '${option}' values must not be duplicated.`
      return values.includes('') ? `Configuration '${option}' values must not be empty.` : null
    },
  }
}

/** A regular expression of Java that ours can run; faults are told in Java's words. @see JavaRegex */
export const javaRegex: Validator = validator('valid regex', (_, value) => {
  // Connect's answer, a null pointer of Java; those who compare answers see the same.
  if (value === null) return 'Invalid regex: Cannot invoke "String.isEmpty()" because "this.pattern" is null'
  try {
    new JavaRegex(String(value))
    return null
  } catch (error) {
    return `Invalid regex: ${error instanceof Error ? error.message : String(error)}`
  }
})

/** The first problem of several validators. */
export function allOf(...validators: readonly Validator[]): Validator {
  return validator(validators.map((v) => v.description).join(', '), (option, value) => {
    for (const v of validators) {
      const detail = v.check(option, value)
      if (detail !== null) return detail
    }
    return null
  })
}
