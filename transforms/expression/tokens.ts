/** Words of the expression language: JavaScript's, as far as expressions without assignment need them. */
import { DataError } from '../../worker/api/errors.ts'

export type Token =
  | {
      readonly kind: 'number' | 'bigint' | 'string' | 'name' | 'punctuation'
      readonly text: string
      readonly at: number
    }
  | { readonly kind: 'regex'; readonly text: string; readonly flags: string; readonly at: number }
  | { readonly kind: 'end'; readonly text: ''; readonly at: number }

/** An expression that cannot be compiled; the position is counted in characters from 0. */
export class ExpressionError extends DataError {
  constructor(message: string, at: number) {
    super('CONNECT_TRANSFORM_EXPRESSION', `${message} (at character ${at + 1})`)
  }
}

/** Longer ones first. */
const punctuation = '=== !== == != <= >= && || ?? ?. => < > + - * / % ! ? : . , ( ) [ ] ;'.split(' ')
const whitespace = /(?:\s|\/\/[^\n]*|\/\*[^]*?\*\/)*/y
const number = /0[xX][\da-fA-F]+|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?/y
const name = /[\p{ID_Start}$_][\p{ID_Continue}$]*/uy
const regex = /\/((?:[^\\/[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+)\/([a-z]*)/y

function matchAt(pattern: RegExp, source: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at
  return pattern.exec(source)
}

/** @throws ExpressionError for what is no word of the language */
export function tokenize(source: string): readonly Token[] {
  const tokens: Token[] = []
  let at = 0
  for (;;) {
    at += matchAt(whitespace, source, at)?.[0].length ?? 0
    if (at >= source.length) return [...tokens, { kind: 'end', text: '', at }]
    const token = nextToken(source, at, tokens.at(-1))
    tokens.push(token.token)
    at = token.end
  }
}

function nextToken(
  source: string,
  at: number,
  previous: Token | undefined,
): { readonly token: Token; readonly end: number } {
  const digits = matchAt(number, source, at)
  if (digits !== null) return numberToken(source, at, digits[0])
  const word = matchAt(name, source, at)
  if (word !== null) return { token: { kind: 'name', text: word[0], at }, end: at + word[0].length }
  const char = source[at] as string
  if (char === '"' || char === "'") return stringToken(source, at, char)
  if (char === '/' && !endsOperand(previous)) {
    const literal = matchAt(regex, source, at)
    if (literal === null) throw new ExpressionError('Unterminated regular expression', at)
    const [whole, body = '', flags = ''] = literal
    return { token: { kind: 'regex', text: body, flags, at }, end: at + whole.length }
  }
  const sign = punctuation.find((p) => source.startsWith(p, at))
  // `a?.5:b` is a conditional with a fraction.
  const text = sign === '?.' && /\d/.test(source[at + 2] ?? '') ? '?' : sign
  if (text === undefined) throw new ExpressionError(`'${char}' is not part of an expression`, at)
  return { token: { kind: 'punctuation', text, at }, end: at + text.length }
}

function numberToken(source: string, at: number, digits: string): { readonly token: Token; readonly end: number } {
  const isBigint = source[at + digits.length] === 'n' && /^(?:\d+|0[xX].*)$/.test(digits)
  const end = at + digits.length + (isBigint ? 1 : 0)
  if (matchAt(name, source, end) !== null) throw new ExpressionError('A name follows a number at once', end)
  return { token: { kind: isBigint ? 'bigint' : 'number', text: digits, at }, end }
}

/** Whether a slash behind this token divides. */
function endsOperand(token: Token | undefined): boolean {
  if (token === undefined || token.kind === 'end') return false
  return token.kind !== 'punctuation' || token.text === ')' || token.text === ']'
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f', v: '\v', 0: '\0' }

function stringToken(source: string, start: number, quote: string): { readonly token: Token; readonly end: number } {
  let text = ''
  for (let at = start + 1; at < source.length; at++) {
    const char = source[at] as string
    if (char === quote) return { token: { kind: 'string', text, at: start }, end: at + 1 }
    if (char === '\n') break
    if (char !== '\\') {
      text += char
      continue
    }
    const code = /^(?:u([\da-fA-F]{4})|x([\da-fA-F]{2})|u\{([\da-fA-F]{1,6})\})/.exec(source.slice(at + 1, at + 11))
    if (code === null) {
      const escaped = source[++at] ?? ''
      text += Object.hasOwn(escapes, escaped) ? (escapes[escaped] as string) : escaped
    } else {
      const point = Number.parseInt(code[1] ?? code[2] ?? code[3] ?? '0', 16)
      if (point > 0x10ffff) throw new ExpressionError('There is no such character', at)
      text += String.fromCodePoint(point)
      at += code[0].length
    }
  }
  throw new ExpressionError('Unterminated text', start)
}
