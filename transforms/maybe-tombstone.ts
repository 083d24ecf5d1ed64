import { type ConfigOf, defineConfig, oneOfIgnoringCase } from '../worker/api/config.ts'
import { Decimal, Float64, type Value } from '../worker/api/data.ts'
import { JavaRegex } from '../worker/api/java-regex.ts'
import { defineTransformation } from '../worker/api/plugin.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { FieldPath, fieldSyntaxOption } from './field-path.ts'
import { requireMap, requireStruct } from './record-part.ts'

const config = defineConfig(
  {
    field: { type: 'STRING', importance: 'HIGH', doc: 'Field of the value that is looked at.' },
    'field.syntax.version': { ...fieldSyntaxOption, default: 'V2' },
    condition: {
      type: 'STRING',
      default: 'not-null',
      importance: 'HIGH',
      valid: oneOfIgnoringCase('not-null', 'null', 'equals', 'matches'),
      doc: 'When the value becomes null: the field is not null, is null, equals `operand` as text, or matches it as a whole (regular expression).',
    },
    operand: {
      type: 'STRING',
      default: null,
      importance: 'MEDIUM',
      doc: 'Text or regular expression of equals and matches.',
    },
  },
  {
    validate(options) {
      const condition = options.condition.toLowerCase()
      if (condition !== 'equals' && condition !== 'matches') return []
      if (options.operand === null) {
        return [{ option: 'operand', message: `The condition ${condition} needs an operand` }]
      }
      if (condition === 'equals') return []
      try {
        new JavaRegex(options.operand)
        return []
      } catch (error) {
        return [{ option: 'operand', message: error instanceof Error ? error.message : String(error) }]
      }
    },
  },
)

const purpose = 'conditional tombstone'

/**
 * Turns a record into a tombstone when a field satisfies a condition: a row with `closed_at` set, say, so that a sink
 * deletes what has the same key. Key, headers and position stay.
 */
class MaybeTombstone implements Transformation<ConfigOf<typeof config>> {
  #path = new FieldPath('', 'V1')
  #isMet: (value: Value) => boolean = () => false

  configure(options: ConfigOf<typeof config>): void {
    this.#path = new FieldPath(options.field, options['field.syntax.version'])
    this.#isMet = conditionOf(options.condition.toLowerCase(), options.operand ?? '')
  }

  apply<R extends ConnectRecord>(record: R): R {
    const { value, valueSchema } = record
    if (value === null) return record
    const field =
      valueSchema === null
        ? this.#path.valueFromMap(requireMap(value, purpose))
        : this.#path.valueFromStruct(valueSchema, requireStruct(value, purpose), false)
    return this.#isMet(field) ? record.with({ valueSchema: null, value: null }) : record
  }
}

function conditionOf(condition: string, operand: string): (value: Value) => boolean {
  if (condition === 'null') return (value) => value === null
  if (condition === 'not-null') return (value) => value !== null
  if (condition === 'equals') return (value) => scalarText(value) === operand
  const pattern = new JavaRegex(operand)
  return (value) => {
    const text = scalarText(value)
    return text !== null && pattern.matches(text)
  }
}

/** Text of a scalar; null for null and for what has members. */
function scalarText(value: Value): string | null {
  if (value === null || typeof value === 'string') return value
  if (typeof value !== 'object') return String(value)
  if (value instanceof Date) return value.toISOString()
  if (value instanceof Decimal) return value.toString()
  return value instanceof Float64 ? String(value.value) : null
}

export const maybeTombstone = defineTransformation({
  name: 'sluice.transforms.MaybeTombstone',
  aliases: ['MaybeTombstone'],
  version: '1.0.0',
  config,
  create: async () => new MaybeTombstone(),
})
