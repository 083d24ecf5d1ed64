/**
 * Expressions: literals, names, members, calls of known methods, operators and conditionals of JavaScript, and
 * functions of one parameter as arguments of `some` and `every`. No statements, assignments, templates, `new` or
 * `this`: what cannot be written cannot be abused.
 */
import { ExpressionError, type Token, tokenize } from './tokens.ts'

export type Node =
  | { readonly kind: 'literal'; readonly value: null | undefined | boolean | number | bigint | string }
  | { readonly kind: 'regex'; readonly pattern: RegExp }
  | { readonly kind: 'name'; readonly name: string; readonly at: number }
  | { readonly kind: 'list'; readonly items: readonly Node[] }
  | {
      readonly kind: 'member'
      readonly of: Node
      readonly key: Node
      readonly isOptional: boolean
      readonly at: number
    }
  | {
      readonly kind: 'call'
      /** Null calls a function such as `Number`. */
      readonly of: Node | null
      readonly method: string
      readonly args: readonly Node[]
      readonly isOptional: boolean
      readonly at: number
    }
  | { readonly kind: 'chain'; readonly of: Node }
  | { readonly kind: 'unary'; readonly operator: string; readonly operand: Node }
  | {
      readonly kind: 'binary'
      readonly operator: string
      readonly left: Node
      readonly right: Node
      readonly at: number
    }
  | { readonly kind: 'conditional'; readonly test: Node; readonly yes: Node; readonly no: Node }
  | { readonly kind: 'function'; readonly parameter: string; readonly body: Node }

/** Binary operators by how tightly they bind. */
const precedence: Readonly<Record<string, number>> = {
  '??': 1,
  '||': 2,
  '&&': 3,
  '==': 4,
  '!=': 4,
  '===': 4,
  '!==': 4,
  '<': 5,
  '>': 5,
  '<=': 5,
  '>=': 5,
  '+': 6,
  '-': 6,
  '*': 7,
  '/': 7,
  '%': 7,
}
const literals = new Map<string, null | undefined | boolean | number>([
  ['null', null],
  ['undefined', undefined],
  ['true', true],
  ['false', false],
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
])
const keywords = new Set(
  'await break case catch class const continue debugger default delete do else export extends finally for function if import in instanceof let new return super switch this throw try var void while with yield'.split(
    ' ',
  ),
)
/** Deepest nesting of an expression. */
const maxDepth = 100

/** @throws ExpressionError naming the position */
export function parseExpression(source: string): Node {
  return new Parser(tokenize(source)).parse()
}

class Parser {
  readonly #tokens: readonly Token[]
  #index = 0
  #depth = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  parse(): Node {
    const node = this.#expression()
    this.#takes(';')
    if (this.#token.kind !== 'end') throw this.#unexpected()
    return node
  }

  get #token(): Token {
    return this.#tokens[this.#index] as Token
  }

  #is(text: string, ahead = 0): boolean {
    const token = this.#tokens[this.#index + ahead]
    return token?.kind === 'punctuation' && token.text === text
  }

  #takes(text: string): boolean {
    if (!this.#is(text)) return false
    this.#index++
    return true
  }

  #expect(text: string): void {
    if (!this.#takes(text)) throw this.#unexpected(text)
  }

  #unexpected(expected?: string): ExpressionError {
    const { text, at } = this.#token
    const found = this.#token.kind === 'end' ? 'the end of the expression' : `'${text}'`
    return new ExpressionError(
      `Unexpected ${found}${expected === undefined ? '' : `, where '${expected}' belongs`}`,
      at,
    )
  }

  #expression(): Node {
    if (++this.#depth > maxDepth) throw new ExpressionError('The expression is nested too deeply', this.#token.at)
    const test = this.#binary(1)
    let node = test
    if (this.#takes('?')) {
      const yes = this.#expression()
      this.#expect(':')
      node = { kind: 'conditional', test, yes, no: this.#expression() }
    }
    this.#depth--
    return node
  }

  #binary(lowest: number): Node {
    let left = this.#unary()
    for (;;) {
      const { kind, text: operator, at } = this.#token
      const binding = kind === 'punctuation' ? precedence[operator] : undefined
      if (binding === undefined || binding < lowest) return left
      this.#index++
      left = { kind: 'binary', operator, left, right: this.#binary(binding + 1), at }
    }
  }

  #unary(): Node {
    const { kind, text } = this.#token
    const isOperator = kind === 'punctuation' ? ['!', '-', '+'].includes(text) : kind === 'name' && text === 'typeof'
    if (!isOperator) return this.#postfix()
    if (++this.#depth > maxDepth) throw new ExpressionError('The expression is nested too deeply', this.#token.at)
    this.#index++
    const operand = this.#unary()
    this.#depth--
    return { kind: 'unary', operator: text, operand }
  }

  #postfix(): Node {
    let node = this.#primary()
    let isChain = false
    for (;;) {
      const { at } = this.#token
      const isOptional = this.#takes('?.')
      isChain ||= isOptional
      if (isOptional ? !this.#is('[') : this.#takes('.')) node = this.#named(node, isOptional, at)
      else if (this.#takes('[')) {
        node = { kind: 'member', of: node, key: this.#expression(), isOptional, at }
        this.#expect(']')
      } else if (isOptional) throw this.#unexpected()
      else return isChain ? { kind: 'chain', of: node } : node
    }
  }

  #named(of: Node, isOptional: boolean, at: number): Node {
    const { kind, text } = this.#token
    if (kind !== 'name') throw this.#unexpected('a name')
    this.#index++
    if (this.#is('(')) return { kind: 'call', of, method: text, args: this.#arguments(), isOptional, at }
    return { kind: 'member', of, key: { kind: 'literal', value: text }, isOptional, at }
  }

  #arguments(): readonly Node[] {
    this.#expect('(')
    const args: Node[] = []
    while (!this.#takes(')')) {
      if (args.length > 0) this.#expect(',')
      args.push(this.#function() ?? this.#expression())
    }
    return args
  }

  /** `x => …` or `(x) => …`; null where none stands. */
  #function(): Node | null {
    const inParentheses = this.#is('(') && this.#is(')', 2) && this.#is('=>', 3)
    if (!inParentheses && !this.#is('=>', 1)) return null
    if (inParentheses) this.#index++
    const { kind, text: parameter } = this.#token
    if (kind !== 'name' || keywords.has(parameter) || literals.has(parameter)) throw this.#unexpected('a name')
    this.#index += inParentheses ? 2 : 1
    this.#expect('=>')
    return { kind: 'function', parameter, body: this.#expression() }
  }

  #primary(): Node {
    const token = this.#token
    if (token.kind === 'end') throw this.#unexpected()
    this.#index++
    switch (token.kind) {
      case 'string':
        return { kind: 'literal', value: token.text }
      case 'bigint':
        return { kind: 'literal', value: BigInt(token.text) }
      case 'number':
        return { kind: 'literal', value: exactNumber(token.text, token.at) }
      case 'regex':
        return { kind: 'regex', pattern: safeRegex(token.text, token.flags, token.at) }
      case 'name':
        return this.#name(token.text, token.at)
      case 'punctuation':
    }
    if (token.text === '(') {
      const inner = this.#expression()
      this.#expect(')')
      return inner
    }
    if (token.text === '[') return { kind: 'list', items: this.#items() }
    this.#index--
    throw this.#unexpected()
  }

  #items(): readonly Node[] {
    const items: Node[] = []
    while (!this.#takes(']')) {
      if (items.length > 0) this.#expect(',')
      items.push(this.#expression())
    }
    return items
  }

  #name(text: string, at: number): Node {
    if (literals.has(text)) return { kind: 'literal', value: literals.get(text) }
    if (keywords.has(text)) {
      throw new ExpressionError(
        `'${text}' is not allowed: only an expression is, without statements or new objects`,
        at,
      )
    }
    if (this.#is('(')) return { kind: 'call', of: null, method: text, args: this.#arguments(), isOptional: false, at }
    return { kind: 'name', name: text, at }
  }
}

function exactNumber(text: string, at: number): number {
  const value = Number(text)
  // Compared with an INT64 it would stand for another number (I6).
  if (Number.isInteger(value) && !Number.isSafeInteger(value) && /^\d+$/.test(text)) {
    throw new ExpressionError(`${text} is beyond what a number holds exactly: write ${text}n`, at)
  }
  return value
}

/**
 * Compiles a regular expression of which no text can make a search without end: no back references, and no repeated
 * group that repeats or chooses inside.
 */
function safeRegex(body: string, flags: string, at: number): RegExp {
  if (!/^[imsu]*$/.test(flags))
    throw new ExpressionError('Of the flags of a regular expression i, m, s and u are allowed', at)
  let pattern: RegExp
  try {
    pattern = new RegExp(body, flags.includes('u') ? flags : `${flags}u`)
  } catch (error) {
    throw new ExpressionError(error instanceof Error ? error.message : String(error), at)
  }
  // Classes and escapes out of the way, what is left are groups, quantifiers and letters.
  const bare = body.replaceAll(/\\k<[^>]*>|\\[^]|\[(?:[^\]\\]|\\[^])*\]|§/g, (piece) =>
    /^\\[k1-9]/.test(piece) ? '\\' : 'x',
  )
  if (bare.includes('\\')) throw new ExpressionError('Back references are not allowed in a regular expression', at)
  if (hasNestedRepetition(bare)) {
    const message = 'A repeated group must not repeat or choose inside: some text would take for ever'
    throw new ExpressionError(message, at)
  }
  return pattern
}

function hasNestedRepetition(bare: string): boolean {
  let rest = bare
  for (;;) {
    // Innermost groups first; a group that repeats or chooses leaves a mark to the one around it.
    const group = /\((?:\?(?:[:=!]|<[=!]|<\w+>))?([^()]*)\)(\*|\+|\{\d+,?\d*\})?/.exec(rest)
    if (group === null) return false
    const [whole, content = '', quantifier] = group
    const isComplex = /[*+?|]|\{\d+,?\d*\}|§/.test(content)
    if (quantifier !== undefined && isComplex) return true
    const mark = isComplex || quantifier !== undefined ? '§' : 'x'
    rest = rest.slice(0, group.index) + mark + rest.slice(group.index + whole.length)
  }
}
