/** The methods and functions that expressions may call; there are no others. */
import { failure, ListOperand, type Members, normalized, type Operand } from './operands.ts'
import { withinLimit } from './regex-limit.ts'

/** A function of one parameter, written in the expression. */
export type Lambda = (item: Operand) => Operand
export type Argument = Operand | Lambda

type Method<T> = (of: T, args: readonly Argument[]) => Operand

/** Longest text that an expression may make, in characters. */
const maxTextLength = 2 ** 24

/** Most pieces that a text is split into. */
const maxPieces = 100_000
/** Beyond it a product of integers is no longer of any use, but soon of any size. */
const largestInteger = 2n ** 1024n

function tooLong(): Error {
  return failure(`A text became longer than ${maxTextLength} characters`)
}

/** Two texts in one. @throws DataError when it became too long */
export function joined(left: Argument, right: Argument): string {
  const [a, b] = [textOf(left), textOf(right)]
  // What is in the record already may be as long as it is.
  if (a.length > 0 && b.length > 0 && a.length + b.length > maxTextLength) throw tooLong()
  return a + b
}

/** A result of exact integers. @throws DataError when it became too large */
export function bounded(value: bigint): number | bigint {
  if (value > largestInteger || value < -largestInteger) throw failure('An integer became larger than 1024 bits')
  return normalized(value)
}

/** Text as JavaScript's `String` gives it. @throws DataError for what has members, which has no text */
export function textOf(value: Argument): string {
  if (value === null || typeof value !== 'object') return typeof value === 'function' ? refuseFunction() : String(value)
  throw failure('A struct, list or regular expression was used where a text belongs')
}

function refuseFunction(): never {
  throw failure('A function is allowed only as the argument of some and every')
}

function integerOf(value: Argument, absent: number): number {
  if (value === undefined) return absent
  const number = Number(textOf(value))
  return Number.isNaN(number) ? 0 : Math.trunc(number)
}

function pieces(parts: readonly string[]): ListOperand {
  return new ListOperand(parts, null)
}

const textMethods: Readonly<Record<string, Method<string>>> = {
  at: (text, [index]) => text.at(integerOf(index, 0)),
  charAt: (text, [index]) => text.charAt(integerOf(index, 0)),
  endsWith: (text, [end]) => text.endsWith(textOf(end)),
  equals: (text, [other]) => text === other,
  includes: (text, [part]) => text.includes(textOf(part)),
  indexOf: (text, [part]) => text.indexOf(textOf(part)),
  lastIndexOf: (text, [part]) => text.lastIndexOf(textOf(part)),
  match: (text, [pattern]) => {
    const regex = regexOf(pattern)
    const found = withinLimit(regex, text, () => regex.exec(text))
    return found === null ? null : pieces(found.map((group) => group ?? ''))
  },
  replace: (text, [pattern, by]) => {
    const replacement = textOf(by)
    // Counted while it grows: a long text for each of many characters is more than there is memory.
    let length = text.length
    const next = (found: string): string => {
      length += replacement.length - found.length
      if (length > maxTextLength) throw tooLong()
      return replacement
    }
    if (!(pattern instanceof RegExp)) return text.replace(textOf(pattern), next)
    return withinLimit(pattern, text, () => text.replace(pattern, next))
  },
  slice: (text, [start, end]) => text.slice(integerOf(start, 0), integerOf(end, text.length)),
  split: (text, [by]) => {
    const parts = text.split(textOf(by), maxPieces + 1)
    if (parts.length > maxPieces) throw failure(`A text was split into more than ${maxPieces} pieces`)
    return pieces(parts)
  },
  startsWith: (text, [start]) => text.startsWith(textOf(start)),
  substring: (text, [start, end]) => text.substring(integerOf(start, 0), integerOf(end, text.length)),
  toLowerCase: (text) => text.toLowerCase(),
  toString: (text: string) => text,
  toUpperCase: (text) => text.toUpperCase(),
  trim: (text) => text.trim(),
}

function regexOf(value: Argument): RegExp {
  if (value instanceof RegExp) return value
  throw failure('match needs a regular expression, written as /…/')
}

function indexIn(list: ListOperand, wanted: Argument): number {
  for (let i = 0; i < list.length; i++) if (list.at(i) === wanted) return i
  return -1
}

function predicateOf(value: Argument): Lambda {
  if (typeof value === 'function') return value
  throw failure('some and every need a function, written as item => …')
}

const listMethods: Readonly<Record<string, Method<ListOperand>>> = {
  at: (list, [index]) => {
    const at = integerOf(index, 0)
    return list.at(at < 0 ? list.length + at : at)
  },
  every: (list, [test]) => {
    const holds = predicateOf(test)
    for (let i = 0; i < list.length; i++) if (!truthy(holds(list.at(i)))) return false
    return true
  },
  includes: (list, [item]) => indexIn(list, item) >= 0,
  indexOf: (list, [item]) => indexIn(list, item),
  some: (list, [test]) => {
    const holds = predicateOf(test)
    for (let i = 0; i < list.length; i++) if (truthy(holds(list.at(i)))) return true
    return false
  },
}

const memberMethods: Readonly<Record<string, Method<Members>>> = {
  get: (of, [name]) => of.member(textOf(name)),
  has: (of, [name]) => of.member(textOf(name)) !== undefined,
}

const mathMethods: Readonly<Record<string, (args: readonly number[]) => number>> = {
  abs: ([n = Number.NaN]) => Math.abs(n),
  ceil: ([n = Number.NaN]) => Math.ceil(n),
  floor: ([n = Number.NaN]) => Math.floor(n),
  max: (args) => Math.max(...args),
  min: (args) => Math.min(...args),
  round: ([n = Number.NaN]) => Math.round(n),
  trunc: ([n = Number.NaN]) => Math.trunc(n),
}

const functions: Readonly<Record<string, (args: readonly Argument[]) => Operand>> = {
  Boolean: ([value]) => truthy(operand(value)),
  Number: ([value]) => (typeof value === 'bigint' ? value : Number(textOf(value === null ? 0 : value))),
  String: ([value]) => textOf(value),
  isNaN: ([value]) => Number.isNaN(Number(textOf(value))),
  parseFloat: ([value]) => Number.parseFloat(textOf(value)),
  parseInt: ([value, radix]) => Number.parseInt(textOf(value), integerOf(radix, 10)),
}

function operand(value: Argument): Operand {
  return typeof value === 'function' ? refuseFunction() : value
}

/** As a condition. */
export function truthy(value: Operand): boolean {
  return Boolean(value)
}

const tables = [textMethods, listMethods, memberMethods, mathMethods, { test: true, toString: true }]

/** Whether a method of this name exists for anything, which is known when the expression is compiled. */
export function isMethod(name: string): boolean {
  return tables.some((table) => Object.hasOwn(table, name))
}

export function isFunction(name: string): boolean {
  return Object.hasOwn(functions, name)
}

export function callFunction(name: string, args: readonly Argument[]): Operand {
  return functions[name]?.(args)
}

export function callMath(name: string, args: readonly Argument[]): Operand {
  const method = Object.hasOwn(mathMethods, name) ? mathMethods[name] : undefined
  if (method === undefined) throw failure(`There is no Math.${name}`)
  return method(args.map((arg) => Number(textOf(arg))))
}

/** @throws DataError when the value has no such method, or is null */
export function callMethod(of: Operand, name: string, args: readonly Argument[]): Operand {
  if (of === null || of === undefined) throw failure(`Cannot call ${name} of ${of}`)
  if (of instanceof RegExp) {
    if (name === 'test') {
      const text = textOf(args[0])
      return withinLimit(of, text, () => of.test(text))
    }
  } else if (of instanceof ListOperand) {
    if (Object.hasOwn(listMethods, name)) return listMethods[name]?.(of, args)
  } else if (typeof of === 'string') {
    if (Object.hasOwn(textMethods, name)) return textMethods[name]?.(of, args)
  } else if (typeof of === 'object') {
    if (Object.hasOwn(memberMethods, name)) return memberMethods[name]?.(of, args)
  } else if (name === 'toString') return String(of)
  throw failure(`There is no method ${name} of a ${kindOf(of)}`)
}

function kindOf(value: Operand): string {
  if (value instanceof RegExp) return 'regular expression'
  if (value instanceof ListOperand) return 'list'
  return typeof value === 'object' ? 'struct' : typeof value
}

/** A member by name or index. @throws DataError of null and undefined, as in JavaScript */
export function memberOf(of: Operand, key: Operand): Operand {
  if (of === null || of === undefined) throw failure(`Cannot read ${textOf(key)} of ${of}`)
  if (typeof of === 'string' || of instanceof ListOperand) {
    if (key === 'length') return of.length
    const index = typeof key === 'number' ? key : -1
    return typeof of === 'string' ? (of[index] ?? undefined) : of.at(index)
  }
  return typeof of === 'object' && !(of instanceof RegExp) ? of.member(textOf(key)) : undefined
}

export function negated(value: Operand): Operand {
  return typeof value === 'bigint' ? normalized(-value) : -Number(textOf(value))
}

/** The text behind `typeof`. */
export function typeName(value: Operand): string {
  if (value === undefined) return 'undefined'
  // An INT64 is one type, however large the number.
  return typeof value === 'bigint' ? 'number' : typeof value
}
