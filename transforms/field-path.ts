import { oneOfIgnoringCase } from '../worker/api/config.ts'
import { type Field, type Schema, type Struct, type Value } from '../worker/api/data.ts'
import { ConfigError } from '../worker/api/errors.ts'
import { isStruct } from '../worker/api/values.ts'
import { fieldValue, member } from './record-part.ts'

/** Option of the transforms that take nested names (KIP-821). */
export const fieldSyntaxOption = {
  type: 'STRING',
  default: 'V1',
  importance: 'HIGH',
  valid: oneOfIgnoringCase('V1', 'V2'),
  doc: 'Defines the version of the syntax to access fields. If set to <code>V1</code>, then the field paths are limited to access the elements at the root level of the struct or map. If set to <code>V2</code>, the syntax will support accessing nested elements. To access nested elements, dotted notation is used. If dots are already included in the field name, then backtick pairs can be used to wrap field names containing dots. E.g. to access the subfield <code>baz</code> from a field named "foo.bar" in a struct/map the following format can be used to access its elements: "<code>foo.bar</code>.baz".',
} as const

/**
 * A field, possibly nested, in the V1 or V2 syntax of KIP-821.
 */
export class FieldPath {
  readonly #steps: readonly string[]

  /** @throws ConfigError for an unmatched backtick */
  constructor(path: string, syntax: string) {
    this.#steps = syntax.toUpperCase() === 'V2' ? splitPath(path) : [path]
  }

  get steps(): readonly string[] {
    return this.#steps
  }

  /** The field in a schema, or null when there is none. */
  fieldFrom(schema: Schema): Field | null {
    let current: Schema = schema
    let found: Field | null = null
    for (const step of this.#steps) {
      if (current.type !== 'STRUCT') return null
      const field = current.fieldsByName.get(step)
      if (field === undefined) return null
      found = field
      current = field.schema
    }
    return found
  }

  /** The value in a struct; null where a step leads nowhere. */
  valueFromStruct(schema: Schema, struct: Struct, replaceNull: boolean): Value {
    let current: Value = struct
    let at: Schema = schema
    for (const step of this.#steps) {
      const field = at.fieldsByName.get(step)
      if (field === undefined || !isStruct(current)) return null
      current = fieldValue(current, field, replaceNull)
      at = field.schema
    }
    return current
  }

  /** The value in a schemaless object; null where a step leads nowhere. */
  valueFromMap(map: Struct): Value {
    let current: Value = map
    for (const step of this.#steps) {
      if (current instanceof Map) current = (current as ReadonlyMap<Value, Value>).get(step) ?? null
      else if (isStruct(current)) current = member(current, step)
      else return null
    }
    return current
  }
}

/**
 * Steps of a V2 path. A step that begins with a backtick ends at the next one that is followed by a dot or the end;
 * others inside it are literal, and `` \` `` is literal where it would end the step.
 */
function splitPath(path: string): readonly string[] {
  const steps: string[] = []
  let at = 0
  for (;;) {
    if (path[at] === '`') {
      const [step, end] = quotedStep(path, at)
      steps.push(step)
      at = end
    } else {
      const dot = path.indexOf('.', at)
      const end = dot < 0 ? path.length : dot
      steps.push(path.slice(at, end))
      at = end
    }
    if (at >= path.length) return steps
    // A dot stands here; one at the end adds an empty step.
    at++
    if (at === path.length) return [...steps, '']
  }
}

function quotedStep(path: string, start: number): readonly [string, number] {
  let step = ''
  for (let i = start + 1; i < path.length; i++) {
    const char = path[i] as string
    const ends = char === '`' && (i + 1 === path.length || path[i + 1] === '.')
    if (!ends) {
      step += char
      continue
    }
    if (path[i - 1] !== '\\' || i - 1 === start) return [step, i + 1]
    step = `${step.slice(0, -1)}\``
  }
  throw new ConfigError([
    {
      option: 'field',
      message: `Incomplete backtick pair in path: [${path}], consider adding a backslash before backtick at position ${start} to escape it`,
    },
  ])
}
