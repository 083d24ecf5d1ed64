import type { Recommender, Validator } from '../../../worker/api/config.ts'

/** Values that `config/validate` proposes; others may be right, too. */
export function recommends(...values: readonly string[]): Recommender {
  return { validValues: () => values, visible: () => true }
}

/** Shown while another option has this value; proposes the values. */
export function shownWith(option: string, value: unknown, ...values: readonly string[]): Recommender {
  return { validValues: () => values, visible: (_, config) => config[option] === value }
}

/** One of these words in any case, refused in the words of the Java connector. */
export function anyCaseOf(...words: readonly string[]): Validator {
  return {
    description: `[${words.join(', ')}]`,
    check: (_, value) =>
      words.includes(String(value).toLowerCase()) ? null : `String must be one of: ${words.join(', ')}`,
  }
}

/** One of these values as written, or none where null is the default; the text is that of the Java connector's enumerations. */
export function listed(...values: readonly string[]): Validator {
  return {
    description: `[${values.join(', ')}]`,
    check: (_, value) =>
      value === null || values.includes(String(value)) ? null : `Value must be one of: [${values.join(', ')}]`,
  }
}

/** Bytes of a part of an upload, within what S3 and the Java connector allow. */
export const partSize: Validator = {
  description: '[5242880,...,2147483647]',
  check: (_, value) => {
    if (value === null) return 'Part size must be non-null'
    return (value as number) < 5_242_880 ? 'Part size must be at least: 5242880 bytes (5MB)' : null
  },
}

/** Class name of one of Confluent's formats. */
export const formatClass = (kind: string) => `io.confluent.connect.s3.format.${kind.toLowerCase()}.${kind}Format`

/** Whether ICU knows the time zone. */
export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false // RangeError is how Intl says "unknown".
  }
}

/** A time zone that is known, or none yet. */
export const timeZone: Validator = {
  description: 'time zone such as Europe/Berlin',
  check: (_, value) =>
    value === '' || isTimeZone(String(value)) ? null : `The datetime zone id '${value}' is not recognised`,
}
