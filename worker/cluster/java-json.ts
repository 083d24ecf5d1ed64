/**
 * JSON text with the escapes of Jackson, which writes the internal topics in Connect: hexadecimal digits in capitals,
 * and characters beyond the Basic Multilingual Plane as two escapes. A Java worker looks an offset up by the bytes of
 * its key, so a name with an emoji or a control character has to come out alike.
 *
 * @see com.fasterxml.jackson.core.json.UTF8JsonGenerator (without COMBINE_UNICODE_SURROGATES_IN_UTF8)
 */
export function javaJson(value: unknown): string {
  return withJavaEscapes(JSON.stringify(value))
}

const differs = /\\u|[\ud800-\udfff]/
/** An escape, taken whole so that the second half of `\\` starts none; or half of a surrogate pair. */
const escapeOrSurrogate = /\\u[0-9a-f]{4}|\\.|[\ud800-\udfff]/g

/** Turns text of `JSON.stringify` into that of Jackson. */
export function withJavaEscapes(json: string): string {
  if (!differs.test(json)) return json
  return json.replaceAll(escapeOrSurrogate, (found) => {
    if (found.startsWith('\\u')) return `\\u${found.slice(2).toUpperCase()}`
    return found.startsWith('\\') ? found : `\\u${found.charCodeAt(0).toString(16).toUpperCase()}`
  })
}
