import { type ConfigOf, defineConfig, type Validator } from '../worker/api/config.ts'
import type { Clock } from '../worker/api/context.ts'
import { LogicalName, type Schema, type Struct, type Value } from '../worker/api/data.ts'
import { type ConfigProblem, DataError } from '../worker/api/errors.ts'
import { defineTransformation } from '../worker/api/plugin.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { isStruct } from '../worker/api/values.ts'
import { debeziumVersion, isEnvelope, rawMember } from './change-event.ts'
import { fieldValue, setMember } from './record-part.ts'
import { TimeZone } from './zone-offset.ts'
import { atOffset, formatZonedTime, formatZonedTimestamp, parseZonedTime, parseZonedTimestamp } from './zoned-text.ts'

const zoneText: Validator = {
  description: 'name of a time zone, or offset as +hh:mm',
  check: (_, value) => {
    try {
      new TimeZone(String(value))
      return null
    } catch {
      return 'Invalid timezone format. Please specify either a geographic timezone (e.g. America/Los_Angeles) or a UTC offset in the format of +/-hh:mm, (e.g. +08:00).'
    }
  },
}

const config = defineConfig(
  {
    'converted.timezone': {
      type: 'STRING',
      importance: 'HIGH',
      valid: zoneText,
      doc: 'Zone to convert to: a name such as America/Los_Angeles, or an offset such as +08:00.',
    },
    'include.list': {
      type: 'LIST',
      default: [],
      importance: 'HIGH',
      doc: 'What is converted, all else is left: `source:table`, `source:table:field`, `topic:name`, `topic:name:field`, or `name:field` for a table or topic. A field may be before.x, after.x or source.x. A rule without source: or topic: takes that of the rule before it.',
    },
    'exclude.list': {
      type: 'LIST',
      default: [],
      importance: 'HIGH',
      doc: 'What is left, all else is converted; rules as in include.list.',
    },
  },
  {
    validate(options) {
      const lists = ['include.list', 'exclude.list'] as const
      const problems: ConfigProblem[] = lists.flatMap((option) =>
        options[option]
          .filter((item, i) => !rulePattern.test(item) || (i === 0 && !item.includes(':')))
          .map((item) => ({
            option,
            message: `${item} is no rule of the form source:table:field or topic:name:field`,
          })),
      )
      if (options['include.list'].length > 0 && options['exclude.list'].length > 0) {
        const message = 'Both include and exclude lists are specified. Please specify only one.'
        problems.push({ option: 'exclude.list', message })
      }
      return problems
    },
  },
)

const rulePattern = /^[".\w\s]+(?::[".\w\s]+){0,2}$/

type Options = ConfigOf<typeof config>
type Fields = ReadonlySet<string>
type Scope = 'source' | 'topic' | 'any'

/** Which fields of one part of an event are converted. */
type Selection = (field: string) => boolean

const all: Selection = () => true
const epochFields = new Set(['ts_ms', 'ts_us', 'ts_ns'])

/**
 * Moves the times of a change event into another zone: texts with an offset show the same instant there, numbers and
 * Connect's timestamps are taken for wall clock times of that zone. Dates and times of day stay.
 */
class TimezoneConverter implements Transformation<Options> {
  readonly #now: () => number
  #zone = new TimeZone('+00:00')
  #isExclusion = false
  #rules: Readonly<Record<Scope, ReadonlyMap<string, Fields>>> = { source: new Map(), topic: new Map(), any: new Map() }
  #hasRules = false

  constructor(now: () => number) {
    this.#now = now
  }

  configure(options: Options): void {
    this.#zone = new TimeZone(options['converted.timezone'])
    this.#isExclusion = options['exclude.list'].length > 0
    const list = this.#isExclusion ? options['exclude.list'] : options['include.list']
    this.#rules = parseRules(list)
    this.#hasRules = list.length > 0
  }

  apply<R extends ConnectRecord>(record: R): R {
    const { value, valueSchema } = record
    if (!isEnvelope(valueSchema) || !isStruct(value)) return record
    const source = rawMember(value, 'source')
    const table = isStruct(source) ? rawMember(source, 'table') : null
    const fields = this.#rulesFor(typeof table === 'string' ? table : null, record.topic)
    if (fields === null ? this.#hasRules && !this.#isExclusion : this.#isExclusion && fields.size === 0) return record
    const changed: Record<string, Value> = {}
    for (const field of valueSchema.fields) {
      const part = rawMember(value, field.name)
      const selection = isStruct(part) ? this.#selection(field.name, fields ?? new Set()) : null
      const result = selection === null || !isStruct(part) ? part : this.#convertStruct(field, part, selection)
      setMember(changed, field.name, result)
    }
    return record.with({ value: changed })
  }

  /** Fields named for a table or topic (none: all of them), or null where no rule speaks of it. */
  #rulesFor(table: string | null, topic: string): Fields | null {
    const { source, topic: topics, any } = this.#rules
    const byTable = (rules: ReadonlyMap<string, Fields>): Fields | undefined =>
      table === null ? undefined : rules.get(table)
    return topics.get(topic) ?? byTable(source) ?? any.get(topic) ?? byTable(any) ?? null
  }

  /** Null: that part of the event stays as it is. Without rules its metadata stays; named fields of it do not. */
  #selection(part: string, fields: Fields): Selection | null {
    if (part !== 'before' && part !== 'after' && part !== 'source') return null
    const prefixed = (prefix: string): string[] =>
      [...fields].filter((f) => f.startsWith(`${prefix}.`)).map((f) => f.slice(prefix.length + 1))
    const own = new Set(prefixed(part))
    if (part === 'source') {
      if (own.size === 0) return null
    } else {
      for (const field of fields) if (!/^(?:source|before|after)\./.test(field)) own.add(field)
    }
    if (fields.size === 0) return all
    return this.#isExclusion ? (field) => !own.has(field) : (field) => own.has(field)
  }

  #convertStruct(
    { name: part, schema }: { name: string; schema: Schema },
    struct: Struct,
    isSelected: Selection,
  ): Struct {
    const result: Record<string, Value> = {}
    for (const field of schema.fields) {
      const value = rawMember(struct, field.name)
      setMember(result, field.name, value)
      if (!isSelected(field.name)) continue
      const current = fieldValue(struct, field, true)
      if (current === null) continue
      if (field.schema.name !== null) setMember(result, field.name, this.#convert(field.schema.name, current, value))
      else if (part === 'source' && epochFields.has(field.name)) {
        setMember(result, field.name, this.#shiftEpoch(field.name, current))
      }
    }
    return result
  }

  /** @param original what stays where the type is none that can be converted */
  #convert(type: string, value: Exclude<Value, null>, original: Value): Value {
    switch (type) {
      case 'io.debezium.time.ZonedTimestamp': {
        const parsed = parseZonedTimestamp(String(value))
        if (parsed === null) throw noTime(value)
        return formatZonedTimestamp(atOffset(parsed, this.#zone.offsetAtLocal(parsed.localS)))
      }
      case 'io.debezium.time.ZonedTime': {
        const parsed = parseZonedTime(String(value))
        if (parsed === null) throw noTime(value)
        // A time of day belongs to no date: today's offset, as in Debezium.
        return formatZonedTime(atOffset(parsed, this.#zone.offsetAt(Math.floor(this.#now() / 1000))))
      }
      case 'io.debezium.time.MicroTimestamp':
        return this.#fromWallClock(value, 1_000_000n)
      case 'io.debezium.time.NanoTimestamp':
        return this.#fromWallClock(value, 1_000_000_000n)
      case 'io.debezium.time.Timestamp':
        return this.#fromWallClock(value, 1000n)
      case LogicalName.timestamp: {
        if (!(value instanceof Date)) throw noTime(value)
        const ms = value.getTime()
        const moved = new Date(ms - this.#zone.offsetAtLocal(Math.floor(ms / 1000)) * 1000)
        // A Date beyond its range would silently become invalid (I6).
        if (Number.isNaN(moved.getTime())) throw noTime(value)
        return moved
      }
      default:
        return original
    }
  }

  #fromWallClock(value: Exclude<Value, null>, perSecond: bigint): bigint {
    const count = epochCount(value)
    const offset = this.#zone.offsetAtLocal(Number(floorDivide(count, perSecond)))
    return checkedInt64(count - BigInt(offset) * perSecond)
  }

  /** Metadata times are instants; what they get is the wall clock of the zone at that instant. */
  #shiftEpoch(field: string, value: Exclude<Value, null>): bigint {
    const perSecond = field === 'ts_ms' ? 1000n : field === 'ts_us' ? 1_000_000n : 1_000_000_000n
    const count = epochCount(value)
    const offset = this.#zone.offsetAt(Number(floorDivide(count, perSecond)))
    return checkedInt64(count + BigInt(offset) * perSecond)
  }
}

function parseRules(list: readonly string[]): Record<Scope, Map<string, Fields>> {
  const rules: Record<Scope, Map<string, Set<string>>> = { source: new Map(), topic: new Map(), any: new Map() }
  let scope: Scope = 'any'
  for (const item of list) {
    const parts = item.split(':')
    const [first = ''] = parts
    if (parts.length > 1 && /^(?:source|topic)$/i.test(first)) {
      scope = first.toLowerCase() === 'source' ? 'source' : 'topic'
      parts.shift()
    }
    const [name = '', field] = parts
    const fields = rules[scope].get(name) ?? new Set()
    rules[scope].set(name, fields)
    if (field !== undefined) fields.add(field)
  }
  return rules
}

function floorDivide(value: bigint, by: bigint): bigint {
  const quotient = value / by
  return value % by < 0n ? quotient - 1n : quotient
}

function epochCount(value: Exclude<Value, null>): bigint {
  if (typeof value === 'bigint') return value
  if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value)
  throw noTime(value)
}

function checkedInt64(value: bigint): bigint {
  if (BigInt.asIntN(64, value) !== value) throw noTime(value)
  return value
}

function noTime(value: Exclude<Value, null>): DataError {
  const text = value instanceof Date ? `${value.getTime()} ms` : String(value)
  return new DataError('CONNECT_TRANSFORM_TIMESTAMP', `TimezoneConverter cannot convert the time ${text.slice(0, 64)}`)
}

export const timezoneConverter = defineTransformation({
  name: 'io.debezium.transforms.TimezoneConverter',
  aliases: [],
  version: debeziumVersion,
  config,
  create: async (context) => {
    const clock: Pick<Clock, 'now'> = context?.clock ?? Date
    return new TimezoneConverter(() => clock.now())
  },
})
