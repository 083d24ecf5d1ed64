/**
 * A name of letters, digits and underscores (`scrub.invalid.names`): percent-encoded as in a form, with an underscore
 * for what is left, and an `x` before a first digit.
 */
export function scrubName(name: string): string {
  const encoded = encodeURIComponent(name).replaceAll('%20', '+')
  const started = /^[A-Za-z_]/.test(encoded) ? encoded : `x${encoded}`
  return started.replaceAll(/[^A-Za-z0-9_]/g, '_')
}
