/** Java's regular expressions in terms of JavaScript's, as far as users of Connect need them. */

const inlineFlags = /^\(\?([ims]+)\)/

/**
 * Compiles a Java pattern. A flag group at the start (`(?i)`) is understood; what JavaScript does not know
 * (possessive quantifiers, `\Q…\E`) is an error rather than another meaning.
 * @param whole whether the text as a whole must match, as Java's `matches()`
 * @throws SyntaxError
 */
export function compileJavaRegex(pattern: string, whole: boolean): RegExp {
  const flags = inlineFlags.exec(pattern)
  const body = flags === null ? pattern : pattern.slice(flags[0].length)
  const source = whole ? `^(?:${body})$` : body
  return new RegExp(source, `u${[...new Set(flags?.[1] ?? '')].join('')}`)
}

/** Java's replacement text (`$1`, `${name}`, `\$`) filled from a match. @throws RangeError for a group that is not there */
export function expandReplacement(replacement: string, match: RegExpExecArray): string {
  let text = ''
  for (let i = 0; i < replacement.length; i++) {
    const char = replacement[i] as string
    if (char === '\\') text += replacement[++i] ?? ''
    else if (char !== '$') text += char
    else {
      const [group, length] = readGroup(replacement.slice(i + 1), match)
      text += group
      i += length
    }
  }
  return text
}

function readGroup(rest: string, match: RegExpExecArray): readonly [string, number] {
  const named = /^\{([A-Za-z][A-Za-z0-9]*)\}/.exec(rest)
  if (named !== null) {
    const name = named[1] as string
    if (match.groups === undefined || !(name in match.groups)) throw new RangeError(`No group with name {${name}}`)
    return [match.groups[name] ?? '', named[0].length]
  }
  if (!/^\d/.test(rest)) throw new RangeError('Illegal group reference')
  // As in Java, further digits belong to the number while such a group exists.
  let length = 1
  while (/^\d$/.test(rest[length] ?? '') && Number(rest.slice(0, length + 1)) < match.length) length++
  const group = Number(rest.slice(0, length))
  if (group >= match.length) throw new RangeError(`No group ${group}`)
  return [match[group] ?? '', length]
}
