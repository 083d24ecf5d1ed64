/** `converters`: columns that code of the user's turns into values. */
import type { RawConfig } from '../../worker/api/connector.ts'
import type { ConvertColumn, ConvertibleColumn, CustomConverter } from '../../worker/api/custom-converter.ts'
import { copySchema, type Schema, type Value } from '../../worker/api/data.ts'
import { ConfigError, type ConfigProblem, DataError, toError } from '../../worker/api/errors.ts'
import { requireModule } from '../../worker/api/module-file.ts'
import { splitList } from './pattern-list.ts'
import type { ResolvedType } from './types.ts'
import { textCodec, type ValueCodec } from './values/codec.ts'
import { numericModifier } from './values/number-codecs.ts'

const moduleFile = /\.[cm]?[jt]s$/

/** Problems of `converters` and of the options that it names. */
export function converterProblems(raw: RawConfig): readonly ConfigProblem[] {
  return splitList(raw['converters'] ?? '').flatMap((name) => {
    const option = `${name}.type`
    const type = raw[option]
    if (type === undefined) return [{ option, message: `The converter ${name} needs a type: the file of a module.` }]
    if (moduleFile.test(type)) return []
    const message =
      `${type} cannot be loaded: classes of the JVM do not run here. Write the converter as a module below plugin.path ` +
      'whose default export makes a CustomConverter (configure, converterFor), and name its file (.js, .mjs, .ts).'
    return [{ option, message }]
  })
}

export interface ColumnToConvert {
  readonly schema: string
  readonly table: string
  readonly name: string
  readonly typeName: string
  readonly typeOid: number
  readonly resolved: ResolvedType
  readonly isOptional: boolean
  readonly defaultValue: string | null
}

/** What a converter has made of a column. */
export interface ConvertedColumn {
  readonly schema: Schema
  readonly codec: ValueCodec
  readonly onNull: Value
}

export class CustomConverters {
  readonly #converters: readonly (readonly [name: string, converter: CustomConverter])[]
  readonly #placeholder: string

  /**
   * @param placeholder stands for an unchanged TOAST value, and is converted like any other text
   * @throws ConfigError for a module that cannot be loaded, or whose converter refuses its options
   */
  constructor(raw: RawConfig, pluginPath: readonly string[], placeholder: string) {
    this.#converters = splitList(raw['converters'] ?? '').map((name) => [name, open(name, raw, pluginPath)])
    this.#placeholder = placeholder
  }

  /** Null for a column that no converter takes. */
  convert(column: ColumnToConvert): ConvertedColumn | null {
    for (const [name, converter] of this.#converters) {
      const taken = registered(converter, describe(column))
      if (taken === null) continue
      const { schema, convert } = taken
      const checked = (text: string | null): Value => {
        try {
          return convert(text)
        } catch (error) {
          const message = `The converter ${name} could not convert a value: ${toError(error).message}`
          throw new DataError('CONNECT_POSTGRES_VALUE', message, { cause: error })
        }
      }
      const onNull = orElse(() => checked(null), null)
      const unavailable = orElse<Value | undefined>(() => checked(this.#placeholder), undefined)
      return {
        schema: copySchema(schema, { optional: column.isOptional }),
        codec: textCodec({ spec: schema, fallback: onNull, unavailable }, checked),
        onNull,
      }
    }
    return null
  }
}

/** What cannot be converted is none. */
function orElse<T>(value: () => T, otherwise: T): T {
  try {
    return value()
  } catch (error) {
    if (error instanceof DataError) return otherwise
    throw error
  }
}

function registered(converter: CustomConverter, column: ConvertibleColumn) {
  const found: { schema: Schema; convert: ConvertColumn }[] = []
  converter.converterFor(column, { register: (schema, convert) => found.push({ schema, convert }) })
  return found.at(-1) ?? null
}

function open(name: string, raw: RawConfig, pluginPath: readonly string[]): CustomConverter {
  const option = `${name}.type`
  const path = raw[option] ?? ''
  const converter = made(option, path, requireModule(option, path, pluginPath))
  const prefix = `${name}.`
  const options = Object.entries(raw).filter(([key]) => key.startsWith(prefix))
  try {
    converter.configure(Object.fromEntries(options.map(([key, value]) => [key.slice(prefix.length), value])))
  } catch (error) {
    throw new ConfigError([{ option, message: `The converter refuses its options: ${toError(error).message}` }], {
      cause: error,
    })
  }
  return converter
}

function made(option: string, path: string, exports: unknown): CustomConverter {
  const members = typeof exports === 'object' && exports !== null ? (exports as Readonly<Record<string, unknown>>) : {}
  const factory = typeof exports === 'function' ? exports : members['default']
  const converter: unknown = typeof factory === 'function' ? (factory as () => unknown)() : null
  if (isConverter(converter)) return converter
  throw new ConfigError([
    { option, message: `The default export of ${path} makes no converter with the methods configure and converterFor` },
  ])
}

function isConverter(value: unknown): value is CustomConverter {
  if (typeof value !== 'object' || value === null) return false
  const { configure, converterFor } = value as { configure?: unknown; converterFor?: unknown }
  return typeof configure === 'function' && typeof converterFor === 'function'
}

function describe(column: ColumnToConvert): ConvertibleColumn {
  const { schema, table, name, typeName, typeOid, resolved, isOptional, defaultValue } = column
  const { length, scale } = declared(resolved)
  const modifiers = [length, scale].filter((modifier) => modifier !== null).join(',')
  return {
    name,
    dataCollection: `${schema}.${table}`,
    typeName,
    typeExpression: modifiers === '' ? typeName : `${typeName}(${modifiers})`,
    nativeType: typeOid,
    length,
    scale,
    isOptional,
    defaultValue,
  }
}

/** Modifiers that the declaration of the column, or of its domain, gives. */
function declared({ base, typmod }: ResolvedType): { readonly length: number | null; readonly scale: number | null } {
  if (typmod < 0) return { length: null, scale: null }
  switch (base.name) {
    case 'numeric': {
      const modifier = numericModifier(typmod)
      return { length: modifier?.precision ?? null, scale: modifier?.scale ?? null }
    }
    case 'varchar':
    case 'bpchar':
      return { length: typmod - 4, scale: null }
    case 'bit':
    case 'varbit':
      return { length: typmod, scale: null }
    case 'time':
    case 'timetz':
    case 'timestamp':
    case 'timestamptz':
      return { length: null, scale: typmod }
    default:
      return { length: null, scale: null }
  }
}
