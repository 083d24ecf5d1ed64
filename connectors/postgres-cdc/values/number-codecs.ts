/** Codecs of numbers: whole, binary and decimal ones, money, and the two values of a boolean. */
import { Decimal, decimalSchema, type SchemaSpec, Schemas, type Struct } from '../../../worker/api/data.ts'
import { conversionError, textCodec, type ValueCodec, type ValueOptions } from './codec.ts'
import { parseDecimal, parseMoney, rescale, stripZeros, twosComplement } from './text-formats.ts'

/** Precision and scale of `numeric(p,s)`; null for `numeric`. A negative scale shows as 2048 less its size. */
export function numericModifier(typmod: number): { readonly precision: number; readonly scale: number } | null {
  return typmod < 4 ? null : { precision: ((typmod - 4) >> 16) & 0xffff, scale: (typmod - 4) & 0xffff & 0x7ff }
}

export function integerCodec(type: SchemaSpec['type']): ValueCodec {
  const wide = type === 'INT64'
  return {
    spec: { type },
    fallback: wide ? 0n : 0,
    unavailable: undefined,
    read: (bytes, start, end) => {
      const text = bytes.toString('latin1', start, end)
      return wide ? BigInt(text) : Number(text)
    },
    write: (bytes, start, end, out) => out.integerText(bytes, start, end),
  }
}

export function booleanCodec(trueByte: number): ValueCodec {
  return {
    spec: { type: 'BOOLEAN' },
    fallback: false,
    unavailable: undefined,
    read: (bytes, start) => bytes[start] === trueByte,
    write: (bytes, start, _end, out) => out.boolean(bytes[start] === trueByte),
  }
}

export function floatCodec(type: 'FLOAT32' | 'FLOAT64'): ValueCodec {
  // Number() reads NaN, Infinity and -Infinity as PostgreSQL writes them.
  const read = (bytes: Buffer, start: number, end: number) => Number(bytes.toString('latin1', start, end))
  return {
    spec: { type },
    fallback: 0,
    unavailable: undefined,
    read,
    write: (bytes, start, end, out) => out.float(read(bytes, start, end)),
  }
}

export const variableScaleDecimal: SchemaSpec = {
  type: 'STRUCT',
  name: 'io.debezium.data.VariableScaleDecimal',
  version: 1,
  doc: 'Variable scaled decimal',
  fields: [
    { name: 'scale', schema: Schemas.int32 },
    { name: 'value', schema: Schemas.bytes },
  ],
}

export function variableScaleValue(value: Decimal): Struct {
  const { unscaled, scale } = stripZeros(value)
  return { scale, value: twosComplement(unscaled) }
}

const specialNumbers: Readonly<Record<string, string>> = {
  NaN: 'NAN',
  Infinity: 'POSITIVE_INFINITY',
  '-Infinity': 'NEGATIVE_INFINITY',
}

export function numericCodec(typmod: number, options: ValueOptions): ValueCodec {
  const modifier = numericModifier(typmod)
  const decimal = (text: string): Decimal => {
    const value = parseDecimal(text)
    if (value === null) throw conversionError('numeric')
    return value
  }
  if (options.decimals === 'double') return floatCodec('FLOAT64')
  if (options.decimals === 'string') {
    const scale = modifier?.scale ?? 0
    const zero = new Decimal(0n, scale).toString()
    // The server writes the digits of the scale, but none for a negative one, which shows as a large one.
    const written = scale < 1024 ? (text: string) => text : (text: string) => rescale(decimal(text), scale).toString()
    return textCodec({ spec: { type: 'STRING' }, fallback: zero }, (text) => specialNumbers[text] ?? written(text))
  }
  if (modifier === null) {
    const fallback = variableScaleValue(new Decimal(0n, 0))
    return textCodec({ spec: variableScaleDecimal, fallback }, (text) => variableScaleValue(decimal(text)))
  }
  const { precision, scale } = modifier
  const parameters = { 'connect.decimal.precision': String(precision) }
  return textCodec({ spec: decimalSchema(scale, { parameters }), fallback: new Decimal(0n, scale) }, (text) =>
    rescale(decimal(text), scale),
  )
}

export function moneyCodec(options: ValueOptions): ValueCodec {
  const money = (text: string): Decimal => {
    const value = parseMoney(text)
    if (value === null) throw conversionError('money')
    return value
  }
  const scale = options.moneyFractionDigits
  if (options.decimals === 'double') {
    return textCodec({ spec: { type: 'FLOAT64' }, fallback: 0 }, (text) => Number(money(text).toString()))
  }
  if (options.decimals === 'string') {
    return textCodec({ spec: { type: 'STRING' }, fallback: '0.00' }, (text) => money(text).toString())
  }
  return textCodec({ spec: decimalSchema(scale), fallback: new Decimal(0n, scale) }, (text) =>
    rescale(money(text), scale),
  )
}
