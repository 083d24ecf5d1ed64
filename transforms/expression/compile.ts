import type { ConnectRecord } from '../../worker/api/record.ts'
import {
  type Argument,
  bounded,
  callFunction,
  callMath,
  callMethod,
  isFunction,
  isMethod,
  joined,
  memberOf,
  negated,
  textOf,
  truthy,
  typeName,
} from './methods.ts'
import { failure, ListOperand, normalized, type Operand, recordNames, recordOperand } from './operands.ts'
import { type Node, parseExpression } from './syntax.ts'
import { ExpressionError } from './tokens.ts'

/** One evaluation: the record, parameters of the functions it is in, and how often it may still call them. */
interface Scope {
  readonly record: ConnectRecord
  readonly locals: Operand[]
  calls: number
  /** Of `performance.now()`; 0 until the first call. */
  deadline: number
}

type Step = (scope: Scope) => Operand

/** Names of function parameters by depth. */
type Locals = readonly string[]

/** Function calls of one evaluation; an expression has no other loops. */
const maxCalls = 100_000
/** Longest time of those calls, in ms: each may look through a text of megabytes. */
const timeLimitMs = 2000

/**
 * Compiles an expression into functions, once; it never becomes JavaScript source, so what it can reach is what this
 * folder gives it.
 * @returns the value for a record; evaluation throws a `DataError` where JavaScript would throw
 * @throws ExpressionError
 */
export function compileExpression(source: string): (record: ConnectRecord) => Operand {
  const step = compile(parseExpression(source), [])
  return (record) => {
    const value = step({ record, locals: [], calls: maxCalls, deadline: 0 })
    return value === absent ? undefined : value
  }
}

/** Ends a chain (`a?.b.c`) whose `a` is null. */
const absent: Operand = { member: () => undefined }

function compile(node: Node, locals: Locals): Step {
  switch (node.kind) {
    case 'literal': {
      const value = typeof node.value === 'bigint' ? normalized(node.value) : node.value
      return () => value
    }
    case 'regex':
      return () => node.pattern
    case 'name':
      return nameStep(node, locals)
    case 'list': {
      const items = node.items.map((item) => compile(item, locals))
      return (scope) => listOf(items.map((item) => item(scope)))
    }
    case 'member':
      return memberStep(node, locals)
    case 'call':
      return callStep(node, locals)
    case 'chain': {
      const of = compile(node.of, locals)
      return (scope) => {
        const value = of(scope)
        return value === absent ? undefined : value
      }
    }
    case 'unary':
      return unaryStep(node, locals)
    case 'binary':
      return binaryStep(node, locals)
    case 'conditional': {
      const [test, yes, no] = [node.test, node.yes, node.no].map((n) => compile(n, locals)) as [Step, Step, Step]
      return (scope) => (truthy(test(scope)) ? yes(scope) : no(scope))
    }
    case 'function':
      throw failure('A function is allowed only as the argument of some and every')
  }
}

/** A list written in the expression, whose items are operands already. */
class OperandList extends ListOperand {
  readonly #operands: readonly Operand[]

  constructor(operands: readonly Operand[]) {
    super([], null)
    this.#operands = operands
  }

  override get length(): number {
    return this.#operands.length
  }

  override at(index: number): Operand {
    return this.#operands[index]
  }
}

function listOf(items: readonly Operand[]): ListOperand {
  return new OperandList(items)
}

function nameStep({ name, at }: Extract<Node, { kind: 'name' }>, locals: Locals): Step {
  const local = locals.lastIndexOf(name)
  if (local >= 0) return (scope) => scope.locals[local]
  if (!recordNames.some((known) => known === name)) {
    throw new ExpressionError(`There is no ${name}; an expression has ${recordNames.join(', ')}`, at)
  }
  return (scope) => recordOperand(scope.record, name)
}

function memberStep({ of, key, isOptional }: Extract<Node, { kind: 'member' }>, locals: Locals): Step {
  const holder = compile(of, locals)
  const name = compile(key, locals)
  return (scope) => {
    const value = holder(scope)
    if (value === absent || (isOptional && (value === null || value === undefined))) return absent
    return memberOf(value, name(scope))
  }
}

function callStep(node: Extract<Node, { kind: 'call' }>, locals: Locals): Step {
  const { of, method, isOptional, at } = node
  const args = node.args.map((arg) => argumentStep(arg, locals))
  const values = (scope: Scope): readonly Argument[] => args.map((arg) => arg(scope))
  if (of === null) {
    if (!isFunction(method)) throw new ExpressionError(`There is no function ${method}`, at)
    return (scope) => callFunction(method, values(scope))
  }
  if (!isMethod(method)) throw new ExpressionError(`There is no method ${method}`, at)
  if (of.kind === 'name' && of.name === 'Math' && !locals.includes('Math'))
    return (scope) => callMath(method, values(scope))
  const holder = compile(of, locals)
  return (scope) => {
    const value = holder(scope)
    if (value === absent || (isOptional && (value === null || value === undefined))) return absent
    return callMethod(value, method, values(scope))
  }
}

function argumentStep(node: Node, locals: Locals): (scope: Scope) => Argument {
  if (node.kind !== 'function') return compile(node, locals)
  const depth = locals.length
  const body = compile(node.body, [...locals, node.parameter])
  return (scope) => (item) => {
    countCall(scope)
    scope.locals[depth] = item
    return body(scope)
  }
}

function countCall(scope: Scope): void {
  if (scope.calls-- <= 0) throw failure(`The expression was stopped after ${maxCalls} function calls`)
  if (scope.deadline === 0) scope.deadline = performance.now() + timeLimitMs
  else if (scope.calls % 16 === 0 && performance.now() > scope.deadline) {
    throw failure(`The expression was stopped after ${timeLimitMs} ms`)
  }
}

function unaryStep({ operator, operand }: Extract<Node, { kind: 'unary' }>, locals: Locals): Step {
  const of = compile(operand, locals)
  switch (operator) {
    case '!':
      return (scope) => !truthy(of(scope))
    case '-':
      return (scope) => negated(of(scope))
    case '+':
      return (scope) => Number(textOf(of(scope)))
    default:
      return (scope) => typeName(of(scope))
  }
}

function binaryStep({ operator, left, right }: Extract<Node, { kind: 'binary' }>, locals: Locals): Step {
  const a = compile(left, locals)
  const b = compile(right, locals)
  switch (operator) {
    case '&&':
      return (scope) => {
        const value = a(scope)
        return truthy(value) ? b(scope) : value
      }
    case '||':
      return (scope) => {
        const value = a(scope)
        return truthy(value) ? value : b(scope)
      }
    case '??':
      return (scope) => a(scope) ?? b(scope)
    case '===':
      return (scope) => a(scope) === b(scope)
    case '!==':
      return (scope) => a(scope) !== b(scope)
    case '==':
      return (scope) => looselyEqual(a(scope), b(scope))
    case '!=':
      return (scope) => !looselyEqual(a(scope), b(scope))
    case '<':
    case '>':
    case '<=':
    case '>=':
      return (scope) => compare(operator, a(scope), b(scope))
    default:
      return (scope) => arithmetic(operator, a(scope), b(scope))
  }
}

type Primitive = undefined | null | boolean | number | bigint | string

function primitive(value: Operand): Primitive {
  if (value === null || typeof value !== 'object') return value
  throw failure('A struct, list or regular expression cannot be compared or calculated with')
}

function looselyEqual(a: Operand, b: Operand): boolean {
  if (a === b) return true
  // Nothing but itself equals a struct; null equals only undefined.
  if (a === null || a === undefined || b === null || b === undefined) return (a ?? null) === (b ?? null)
  if (typeof a === 'object' || typeof b === 'object') return false
  // biome-ignore lint/suspicious/noDoubleEquals: the language's own operator, on primitives
  return a == b
}

function compare(operator: '<' | '>' | '<=' | '>=', left: Operand, right: Operand): boolean {
  // JavaScript's own comparison of primitives: exact between number and bigint, by code units between texts.
  const a = primitive(left) as number
  const b = primitive(right) as number
  switch (operator) {
    case '<':
      return a < b
    case '>':
      return a > b
    case '<=':
      return a <= b
    case '>=':
      return a >= b
  }
}

function arithmetic(operator: string, left: Operand, right: Operand): Operand {
  if (operator === '+' && (typeof left === 'string' || typeof right === 'string')) return joined(left, right)
  const a = primitive(left)
  const b = primitive(right)
  if (typeof a === 'bigint' || typeof b === 'bigint') return integerArithmetic(operator, a, b)
  const [x, y] = [Number(a), Number(b)]
  switch (operator) {
    case '+':
      return x + y
    case '-':
      return x - y
    case '*':
      return x * y
    case '/':
      return x / y
    default:
      return x % y
  }
}

/** With an INT64 beyond 2^53 only integers go together, and exactly (I6). */
function integerArithmetic(operator: string, a: Primitive, b: Primitive): number | bigint {
  const [x, y] = [exactInteger(a), exactInteger(b)]
  switch (operator) {
    case '+':
      return normalized(x + y)
    case '-':
      return normalized(x - y)
    case '*':
      return bounded(x * y)
    default:
      if (y === 0n) throw failure('Division of a large integer by zero')
      return normalized(operator === '/' ? x / y : x % y)
  }
}

function exactInteger(value: Primitive): bigint {
  if (typeof value === 'bigint') return value
  if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value)
  throw failure('An integer beyond 2^53 goes together with integers only')
}
