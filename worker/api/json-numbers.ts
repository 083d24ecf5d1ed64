import { Decimal } from './data.ts'

/** Integers of so many digits are within ±2^53; of two more, without zeros in front, beyond. */
export const safeDigits = 15
/** Largest exponent of an exact decimal; a few bytes of text must not become gigabytes of digits. */
const maxDecimalExponent = 10_000

/** An integer of more than `safeDigits` digits, with its sign; zeros may lead. */
export function longInteger(digits: string): number | bigint {
  const first = digits.charCodeAt(0) === 0x2d ? 1 : 0
  const isLong = digits.length - first > safeDigits + 1 && digits.charCodeAt(first) !== 0x30
  const value = isLong ? Number.POSITIVE_INFINITY : Number(digits)
  return Number.isSafeInteger(value) ? value : BigInt(digits)
}

export function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39
}

const decimalText = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/

/**
 * Exact decimal from text, with the scale as written (`10.20` has scale 2, `1e3` has scale -3), as Java's
 * `new BigDecimal(text)`.
 * @throws SyntaxError
 */
export function parseDecimal(text: string): Decimal {
  const match = decimalText.exec(text)
  const whole = match?.[2] ?? ''
  const fraction = match?.[3] ?? ''
  if (match === null || whole.length + fraction.length === 0) throw new SyntaxError('Not a decimal number')
  const exponent = Number(match[4] ?? '0')
  if (Math.abs(exponent) > maxDecimalExponent) {
    throw new SyntaxError(`Decimal exponent beyond ±${maxDecimalExponent}`)
  }
  const unscaled = BigInt(whole + fraction)
  return new Decimal(match[1] === '-' ? -unscaled : unscaled, fraction.length - exponent)
}
