/**
 * Raw text → typed values by a definition of options, with the semantics and message texts of Kafka's `ConfigDef`.
 * Two entrances on the same evaluation: `parseConfig` for who needs the values, `validateConfig` for who wants to
 * know everything that is wrong, option by option (`config/validate`).
 */
import {
  type ConfigDef,
  type ConfigKey,
  type ConfigKeys,
  type ConfigOf,
  type ConfigType,
  Password,
  type RawOptionTexts,
} from '../api/config.ts'
import { ConfigError, type ConfigProblem } from '../api/errors.ts'
import type { ConfigInfo, ConfigKeyInfo } from './config-infos.ts'

/**
 * Options as text. A null value was written as JSON `null`: present, but without a value; it is not replaced by the
 * default (as in Connect).
 */
export type RawOptions = RawOptionTexts

/** What became of one option. */
export interface OptionState {
  readonly name: string
  /** Null when no definition knows this option. */
  readonly key: ConfigKey | null
  /** Parsed; null when absent without default, or when the text could not be parsed. */
  value: unknown
  /** `value` as text, as REST shows it; passwords as `[hidden]` (I8). */
  text: string | null
  readonly errors: string[]
  recommended: readonly string[]
  visible: boolean
}

export interface EvaluateHooks {
  /** Name of an option in the messages of its validator; the embedded options of a transform leave out their prefix. */
  readonly label?: (name: string) => string
  /** Full name of a class option's value, or null when there is no such class. Absent: every text is a class name. */
  readonly resolveClass?: (option: string, name: string) => string | null
  /** What to write instead of a class that is not there; null when nothing is known of it. */
  readonly adviceFor?: (className: string) => string | null
  /** Lists of distinct values lose what is there twice, as when Java parses a config rather than validates it. */
  readonly dropsDuplicates?: true
}

/** `Invalid value V for configuration K: DETAIL`, the text of Kafka's `ConfigException`. */
export function invalidValue(option: string, value: unknown, detail: string | null): string {
  return `Invalid value ${displayText(value)} for configuration ${option}${detail === null ? '' : `: ${detail}`}`
}

export function missingRequired(option: string): string {
  return `Missing required configuration "${option}" which has no default value.`
}

/** Java's `String.trim`: everything up to U+0020 at both ends, but no other white space. */
export function javaTrim(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && text.charCodeAt(start) <= 0x20) start++
  while (end > start && text.charCodeAt(end - 1) <= 0x20) end--
  return start === 0 && end === text.length ? text : text.slice(start, end)
}

/**
 * Typed options by `def`; unknown options are left alone.
 * @throws ConfigError with all problems, each with Connect's text; rules between options run only when every option
 * by itself is fine
 */
export function parseConfig<D extends ConfigDef>(def: D, raw: RawOptions, hooks: EvaluateHooks = {}): ConfigOf<D> {
  const states = evaluate(def.keys, raw, { ...hooks, dropsDuplicates: true })
  const values = valuesOf(states)
  let problems: readonly ConfigProblem[] = problemsOf(states)
  if (problems.length === 0) problems = def.validate?.(values as ConfigOf<ConfigDef>, raw) ?? []
  if (problems.length > 0) throw new ConfigError(problems)
  return values as ConfigOf<D>
}

/** All options of `def` with definition, value and errors, in the definition's order; problems of rules included. */
export function validateConfig(def: ConfigDef, raw: RawOptions, hooks: EvaluateHooks = {}): ConfigInfo[] {
  return toInfos(evaluateWithRules(def, raw, hooks).values())
}

/** As `evaluate`; then, when each option by itself is fine, the definition's rules between options. */
export function evaluateWithRules(
  def: ConfigDef,
  raw: RawOptions,
  hooks: EvaluateHooks = {},
): Map<string, OptionState> {
  const states = evaluate(def.keys, raw, hooks)
  if (problemsOf(states).length > 0) return states
  addProblems(states, def.validate?.(valuesOf(states) as ConfigOf<ConfigDef>, raw) ?? [])
  return states
}

/** Adds problems to the options they name; an option that no definition knows gets an entry of its own. */
export function addProblems(states: Map<string, OptionState>, problems: readonly ConfigProblem[]): void {
  for (const problem of problems) {
    let state = states.get(problem.option)
    if (state === undefined) {
      state = undefinedOption(problem.option, null)
      states.set(problem.option, state)
    }
    state.errors.push(problem.message)
  }
}

/** An option without a definition, as REST shows it (`"definition": null`). */
export function undefinedOption(name: string, text: string | null, errors: readonly string[] = []): OptionState {
  return { name, key: null, value: text, text, errors: [...errors], recommended: [], visible: true }
}

/** Parses and checks each option by itself, then asks the recommenders. Never throws for what a user wrote. */
export function evaluate(keys: ConfigKeys, raw: RawOptions, hooks: EvaluateHooks = {}): Map<string, OptionState> {
  const states = new Map<string, OptionState>()
  for (const [name, key] of Object.entries(keys)) states.set(name, evaluateOption(name, key, raw, hooks))
  addUndefinedDependents(states)
  const values = valuesOf(states)
  for (const state of states.values()) {
    const recommender = state.key?.recommender
    if (recommender === undefined) continue
    state.recommended = recommender.validValues(state.name, values).map(displayText)
    state.visible = recommender.visible(state.name, values)
  }
  return states
}

function evaluateOption(name: string, key: ConfigKey, raw: RawOptions, hooks: EvaluateHooks): OptionState {
  const errors: string[] = []
  const given = givenText(name, key, raw)
  let value: unknown = null
  let text: string | null = null
  if (given !== undefined) {
    const parsed = parseText(name, key.type, given, hooks)
    if (typeof parsed.problem === 'string') errors.push(parsed.problem)
    value = parsed.value
    if (hooks.dropsDuplicates && key.valid?.distinct && Array.isArray(value)) value = [...new Set<unknown>(value)]
    // A LONG beyond 2^53 is rounded as a number, but REST shows what was written (I6).
    text = key.type === 'LONG' && given !== null && value !== null ? longText(given) : renderValue(key.type, value)
  } else if (key.default === undefined) {
    errors.push(missingRequired(name))
  } else {
    value = defaultValue(key)
    text = renderDefault(key)
  }
  const label = hooks.label?.(name) ?? name
  const detail = key.valid?.check(label, value) ?? null
  if (detail !== null) {
    errors.push(key.valid?.complete === true ? detail : invalidValue(label, value, detail))
  }
  return { name, key, value, text, errors, recommended: [], visible: true }
}

/** The option's own text, or that of its first alternative that is set; undefined when all are absent. */
function givenText(name: string, key: ConfigKey, raw: RawOptions): string | null | undefined {
  if (Object.hasOwn(raw, name)) return raw[name]
  for (const alternative of key.alternatives ?? []) {
    if (Object.hasOwn(raw, alternative)) return raw[alternative]
  }
  return undefined
}

/** `X is referred in the dependents, but not defined.`: a fault of the definition, shown as Connect shows it. */
function addUndefinedDependents(states: Map<string, OptionState>): void {
  // Entries added meanwhile are visited too, and have no dependents.
  for (const state of states.values()) {
    for (const dependent of state.key?.dependents ?? []) {
      if (states.has(dependent)) continue
      const missing = undefinedOption(dependent, null, [`${dependent} is referred in the dependents, but not defined.`])
      missing.visible = false
      states.set(dependent, missing)
    }
  }
}

interface Parsed {
  readonly value: unknown
  readonly problem?: string
}

const numberRanges = {
  SHORT: [-(2n ** 15n), 2n ** 15n - 1n],
  INT: [-(2n ** 31n), 2n ** 31n - 1n],
  LONG: [-(2n ** 63n), 2n ** 63n - 1n],
} as const

/** One text by its type, as `ConfigDef.parseType`. */
function parseText(name: string, type: ConfigType, given: string | null, hooks: EvaluateHooks): Parsed {
  if (given === null) return { value: null }
  const text = javaTrim(given)
  switch (type) {
    case 'BOOLEAN': {
      const folded = text.toLowerCase()
      if (folded === 'true' || folded === 'false') return { value: folded === 'true' }
      return { value: null, problem: invalidValue(name, given, 'Expected value to be either true or false') }
    }
    case 'STRING':
      return { value: text }
    case 'PASSWORD':
      return { value: new Password(text) }
    case 'LIST':
      return { value: text === '' ? [] : text.split(/\s*,\s*/u) }
    case 'CLASS': {
      const resolved = hooks.resolveClass === undefined ? text : hooks.resolveClass(name, text)
      if (resolved !== null) return { value: resolved }
      const advice = hooks.adviceFor?.(text) ?? null
      const reason = `Class ${given} could not be found.${advice === null ? '' : ` ${advice}`}`
      return { value: null, problem: invalidValue(name, given, reason) }
    }
    case 'SHORT':
    case 'INT':
    case 'LONG': {
      const [min, max] = numberRanges[type]
      const exact = /^[+-]?\d+$/u.test(text) ? BigInt(text.replace(/^\+/u, '')) : null
      if (exact !== null && exact >= min && exact <= max) return { value: Number(exact) }
      return { value: null, problem: invalidValue(name, given, `Not a number of type ${type}`) }
    }
    case 'DOUBLE': {
      const value = parseJavaDouble(text)
      if (value !== null) return { value }
      return { value: null, problem: invalidValue(name, given, 'Not a number of type DOUBLE') }
    }
    default:
      return type satisfies never
  }
}

/** `Double.parseDouble` without the hexadecimal forms. */
function parseJavaDouble(text: string): number | null {
  if (/^[+-]?NaN$/u.test(text)) return Number.NaN
  const infinite = /^([+-]?)Infinity$/u.exec(text)
  if (infinite !== null) return infinite[1] === '-' ? -Infinity : Infinity
  return /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[fFdD]?$/u.test(text) ? Number(text.replace(/[fFdD]$/u, '')) : null
}

function longText(given: string): string {
  return BigInt(javaTrim(given).replace(/^\+/u, '')).toString()
}

/** The default as a value of the option's type. */
export function defaultValue(key: ConfigKey): unknown {
  const value = key.default ?? null
  return key.type === 'PASSWORD' && typeof value === 'string' ? new Password(value) : value
}

/** The default as text: lists joined by commas, a secret hidden; null when there is none. */
export function renderDefault(key: ConfigKey): string | null {
  return renderValue(key.type, defaultValue(key))
}

/** A parsed value as text, as `ConfigDef.convertToString`; a password as `[hidden]` (I8). */
export function renderValue(type: ConfigType, value: unknown): string | null {
  if (value === null || value === undefined) return null
  if (Array.isArray(value)) return value.join(',')
  if (type === 'DOUBLE' && typeof value === 'number') return javaDoubleText(value)
  return String(value)
}

/** `Double.toString`: at least one decimal, scientific below 10^-3 and from 10^7 on. */
function javaDoubleText(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  const size = Math.abs(value)
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) {
    const [mantissa = '0', exponent = '0'] = value.toExponential().split('e')
    return `${mantissa.includes('.') ? mantissa : `${mantissa}.0`}E${Number(exponent)}`
  }
  return Number.isInteger(value) ? `${value}.0` : String(value)
}

/** A value inside a message, as Java prints it: lists in brackets, null as `null`. */
function displayText(value: unknown): string {
  return Array.isArray(value) ? `[${value.join(', ')}]` : String(value)
}

function problemsOf(states: ReadonlyMap<string, OptionState>): ConfigProblem[] {
  return [...states.values()].flatMap((state) => state.errors.map((message) => ({ option: state.name, message })))
}

/** Parsed values by option name. */
export function valuesOf(states: ReadonlyMap<string, OptionState>): Record<string, unknown> {
  const values: Record<string, unknown> = {}
  for (const state of states.values()) values[state.name] = state.value
  return values
}

/** REST's form of one definition. */
export function keyInfo(name: string, key: ConfigKey): ConfigKeyInfo {
  return {
    name,
    type: key.type,
    required: key.default === undefined,
    default_value: renderDefault(key),
    importance: key.importance,
    documentation: key.doc,
    group: key.group ?? null,
    order_in_group: key.order ?? -1,
    width: key.width ?? 'NONE',
    display_name: key.displayName ?? name,
    dependents: [...(key.dependents ?? [])],
  }
}

/** REST's form of all options of a definition, internal ones left out. */
export function keyInfos(keys: ConfigKeys): ConfigKeyInfo[] {
  return Object.entries(keys)
    .filter(([, key]) => key.internal !== true)
    .map(([name, key]) => keyInfo(name, key))
}

/** REST's form of evaluated options; internal ones only when something is wrong with them. */
export function toInfos(states: Iterable<OptionState>): ConfigInfo[] {
  const infos: ConfigInfo[] = []
  for (const state of states) {
    if (state.key?.internal === true && state.errors.length === 0) continue
    infos.push({
      definition: state.key === null ? null : keyInfo(state.name, state.key),
      value: {
        name: state.name,
        value: state.text,
        recommended_values: state.recommended,
        errors: state.errors,
        visible: state.visible,
      },
    })
  }
  return infos
}
