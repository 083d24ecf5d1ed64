/** Java's `.properties` format (`java.util.Properties.load`): comments, continuation lines, escapes. */

const whiteSpace = new Set([' ', '\t', '\f'])

/**
 * Options of one `.properties` text; a key that occurs twice has its last value.
 * @throws Error with the line number on a malformed `\uXXXX` escape
 */
export function parseProperties(text: string): Record<string, string> {
  const result: Record<string, string> = {}
  for (const line of logicalLines(text)) {
    const [key, value] = splitLine(line.text)
    result[unescape(key, line.number)] = unescape(value, line.number)
  }
  return result
}

/** Bytes of a file as text: UTF-8, or Latin-1 (Java's reading) when the bytes are not valid UTF-8. */
export function decodeProperties(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return Buffer.from(bytes).toString('latin1')
  }
}

interface LogicalLine {
  readonly number: number
  readonly text: string
}

/** Natural lines joined over continuations; comments and blank lines left out. */
function* logicalLines(text: string): Generator<LogicalLine> {
  const lines = text.split(/\r\n|\n|\r/u)
  for (let i = 0; i < lines.length; i++) {
    let line = stripStart(lines[i] ?? '')
    if (line === '' || line.startsWith('#') || line.startsWith('!')) continue
    const number = i + 1
    while (continues(line)) {
      // A continuation at the end of the file ends with nothing.
      line = line.slice(0, -1) + stripStart(lines[++i] ?? '')
    }
    yield { number, text: line }
  }
}

function stripStart(line: string): string {
  let start = 0
  while (whiteSpace.has(line[start] ?? '')) start++
  return line.slice(start)
}

/** Whether the line ends in an odd number of backslashes. */
function continues(line: string): boolean {
  let count = 0
  while (line[line.length - 1 - count] === '\\') count++
  return count % 2 === 1
}

/** At the first unescaped `=`, `:` or white space; white space around a separator belongs to neither side. */
function splitLine(line: string): [string, string] {
  let end = 0
  while (end < line.length) {
    const c = line[end] ?? ''
    if (c === '\\') end++
    else if (c === '=' || c === ':' || whiteSpace.has(c)) break
    end++
  }
  let start = end
  while (whiteSpace.has(line[start] ?? '')) start++
  if (line[start] === '=' || line[start] === ':') start++
  while (whiteSpace.has(line[start] ?? '')) start++
  return [line.slice(0, end), line.slice(start)]
}

const escapes: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', f: '\f' }

function unescape(text: string, line: number): string {
  if (!text.includes('\\')) return text
  return text.replaceAll(/\\(u[0-9a-fA-F]{4}|[^]|$)/gu, (_, escaped: string) => {
    if (escaped.length === 5) return String.fromCharCode(Number.parseInt(escaped.slice(1), 16))
    if (escaped === 'u') throw new Error(`line ${line}: malformed \\uXXXX escape; write four hexadecimal digits`)
    return escapes[escaped] ?? escaped
  })
}
