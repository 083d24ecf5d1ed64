/** What Debezium's Filter and ContentBasedRouter share: an expression for the records of some topics. */
import { type ConfigKey, javaRegex, oneOfIgnoringCase, type Validator } from '../worker/api/config.ts'
import { toError } from '../worker/api/errors.ts'
import { JavaRegex } from '../worker/api/java-regex.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import { compileExpression } from './expression/compile.ts'
import type { Operand } from './expression/operands.ts'

const languages = ['js', 'graal.js', 'jsr223.js', 'jsr223.graal.js']

const language: Validator = {
  description: 'js, jsr223.graal.js',
  check: (_, value) =>
    languages.includes(String(value).trim())
      ? null
      : `Only JavaScript expressions are supported: set language to js (or jsr223.graal.js) and write the ${String(value)} expression in JavaScript, e.g. value.after.id == 1`,
}

export const expression: Validator = {
  description: 'expression',
  check: (_, value) => {
    try {
      compileExpression(String(value))
      return null
    } catch (error) {
      return toError(error).message
    }
  },
}

/** Options that both have, under Debezium's names. */
export const scriptedOptions = {
  'topic.regex': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    valid: { ...javaRegex, check: (option, value) => (value === null ? null : javaRegex.check(option, value)) },
    doc: 'Only records whose topic matches as a whole are looked at; others pass.',
  },
  language: {
    type: 'STRING',
    importance: 'HIGH',
    valid: language,
    doc: 'Language of the expression: js. It is one JavaScript expression over key, value, keySchema, valueSchema, topic, header (header.name.value), timestamp and partition; statements, assignments and calls of other than the known methods are refused.',
  },
  'null.handling.mode': {
    type: 'STRING',
    default: 'keep',
    importance: 'LOW',
    valid: oneOfIgnoringCase('drop', 'keep', 'evaluate'),
    doc: 'Tombstones are kept as they are, dropped, or given to the expression.',
  },
} as const satisfies Readonly<Record<string, ConfigKey>>

interface ScriptedConfig {
  readonly 'topic.regex': string | null
  readonly 'null.handling.mode': string
}

/** Decides which records the expression sees, and evaluates it. */
export class ScriptedCondition {
  readonly #topics: JavaRegex | null
  readonly #nulls: string
  readonly #evaluate: (record: ConnectRecord) => Operand

  constructor(options: ScriptedConfig, source: string) {
    const pattern = options['topic.regex'] ?? ''
    this.#topics = pattern === '' ? null : new JavaRegex(pattern)
    this.#nulls = options['null.handling.mode'].toLowerCase()
    this.#evaluate = compileExpression(source)
  }

  /** What is done with a record before the expression is asked. */
  fate(record: ConnectRecord): 'keep' | 'drop' | 'evaluate' {
    if (this.#topics !== null && !this.#topics.matches(record.topic)) return 'keep'
    if (record.value !== null || this.#nulls === 'evaluate') return 'evaluate'
    return this.#nulls === 'drop' ? 'drop' : 'keep'
  }

  /** @throws DataError where the expression fails for this record */
  evaluate(record: ConnectRecord): Operand {
    return this.#evaluate(record)
  }
}
