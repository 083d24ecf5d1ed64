import type { Schema, Value } from '../../worker/api/data.ts'
import { DataError } from '../../worker/api/errors.ts'
import { headerText } from '../../worker/api/header-text.ts'
import { lastHeader, type SinkRecord } from '../../worker/api/record.ts'
import { FieldPath } from './field-access.ts'
import { keyText, percentEncode } from './key-text.ts'
import { TimePattern, TimeZone } from './time-pattern.ts'

/** Text of a part for one record. @throws DataError CONNECT_S3_PARTITION */
type Part = (record: SinkRecord, now: number) => string

export interface NameTemplate {
  /**
   * `files`: a file per name and start offset, cut by the rules of rotation. `keys`: one object per key, which holds
   * what its records make.
   */
  readonly kind: 'files' | 'keys'
  /** Whether one topic partition may have several files open at a time. */
  readonly splitsPartitions: boolean
  readonly parts: readonly Part[]
}

/** What `{{timestamp:unit=…}}` means. */
export interface TemplateClock {
  readonly timeZone: string
  readonly source: 'wallclock' | 'event'
}

/** In the names of open files, where the first offset of a file goes as soon as it is known. */
const startOffsetMark = '\u0000'
const paddedStartOffsetMark = '\u0001'
const startOffsetDigits = 20
const partitionDigits = 10

const pattern = /\{\{\s*([a-z_]+)\s*(?::\s*([^}]*?))?\s*\}\}/g
const units: readonly string[] = ['yyyy', 'MM', 'dd', 'HH']

/**
 * Reads a template with the variables of Aiven's connector, and `{{field:a.b}}` and `{{header:x}}`.
 * @throws RangeError with what is allowed
 */
export function parseNameTemplate(text: string, clock: TemplateClock): NameTemplate {
  const parts: Part[] = []
  const used = new Set<string>()
  const constant = (literal: string) => {
    const marks = ['{{', '}}', startOffsetMark, paddedStartOffsetMark]
    if (marks.some((mark) => literal.includes(mark))) throw new RangeError(`'${literal}' is no variable: ${allowed}`)
    if (literal !== '') parts.push(() => literal)
  }
  let at = 0
  for (const match of text.matchAll(pattern)) {
    const [whole, name = '', parameter = ''] = match
    constant(text.slice(at, match.index))
    if (name === 'end_offset') throw new RangeError(`'${whole}' is not known when a file begins: ${allowed}`)
    parts.push(partOf(name, parameter, clock) ?? unknown(whole))
    used.add(name)
    at = match.index + whole.length
  }
  constant(text.slice(at))
  const own = ['topic', 'partition', 'start_offset']
  return { kind: kindOf(used), splitsPartitions: [...used].some((name) => !own.includes(name)), parts }
}

function unknown(variable: string): never {
  throw new RangeError(`'${variable}' is not supported: ${allowed}`)
}

function kindOf(used: ReadonlySet<string>): NameTemplate['kind'] {
  const hasSource = used.has('topic') && used.has('partition')
  // Files of two topic partitions must not share a name.
  if (used.has('start_offset') && hasSource) return 'files'
  const names = [...used].filter((name) => name !== 'key')
  const isPerKey = names.length === 0 || (names.length === 2 && hasSource)
  if (used.has('key') && isPerKey) return 'keys'
  throw new RangeError(allowed)
}

const allowed =
  'use {{key}}, alone or with {{topic}} and {{partition}}, for one object per key; or {{topic}}, {{partition}} and {{start_offset}} (these with :padding=true), and as you like {{key}}, {{timestamp:unit=yyyy|MM|dd|HH}}, {{field:path}}, {{header:name}}, for files'

/** Null: no such variable, or none with this parameter. */
function partOf(name: string, parameter: string, clock: TemplateClock): Part | null {
  const isPadded = parameter === 'padding=true'
  const isPlain = parameter === '' || parameter === 'padding=false'
  switch (name) {
    case 'topic':
      return parameter === '' ? (record) => record.topic : null
    case 'key':
      return parameter === '' ? (record) => percentEncode(keyText(record)) : null
    case 'partition':
      if (!isPadded && !isPlain) return null
      return (record) => partitionText(record).padStart(isPadded ? partitionDigits : 1, '0')
    case 'start_offset':
      if (!isPadded && !isPlain) return null
      return () => (isPadded ? paddedStartOffsetMark : startOffsetMark)
    case 'timestamp':
      return timestampPart(parameter, clock)
    case 'field':
      return parameter === '' ? null : fieldPart(parameter)
    case 'header':
      return parameter === '' ? null : (record) => headerSegment(record, parameter)
    default:
      return null
  }
}

function partitionText({ partition, originalPartition }: SinkRecord): string {
  return String(partition ?? originalPartition)
}

function timestampPart(parameter: string, { timeZone, source }: TemplateClock): Part | null {
  const unit = parameter.startsWith('unit=') ? parameter.slice('unit='.length) : ''
  if (!units.includes(unit)) return null
  const format = new TimePattern(unit, new TimeZone(timeZone), 'en')
  if (source === 'wallclock') return (_, now) => format.format(now)
  return ({ timestamp }) => {
    if (timestamp === null) throw new DataError('CONNECT_S3_PARTITION', 'the record has no timestamp for its file name')
    return format.format(timestamp)
  }
}

function fieldPart(field: string): Part {
  const path = new FieldPath(field)
  return (record) => {
    const found = path.read(record)
    return segmentText(found.schema, found.value, `field ${field}`)
  }
}

/** Text of the last header of that name, so that it is one segment of a path; `null` when there is none. */
export function headerSegment(record: SinkRecord, name: string): string {
  const header = lastHeader(record.headers, name)
  return segmentText(header?.schema ?? null, header?.value ?? null, `header ${name}`)
}

function segmentText(schema: Schema | null, value: Value, what: string): string {
  if (value === null) return 'null'
  if (typeof value === 'object' && !(value instanceof Date)) {
    throw new DataError('CONNECT_S3_PARTITION', `${what} is no text, number or boolean, so it cannot be in a name`)
  }
  return percentEncode(typeof value === 'object' ? headerText(schema, value) : String(value))
}

/** @throws DataError CONNECT_S3_PARTITION for a structure in a name */
export function renderName({ parts }: NameTemplate, record: SinkRecord, now: number): string {
  return parts.map((part) => part(record, now)).join('')
}

/** The name of a file, once its first offset is known. */
export function nameOfFile(rendered: string, startOffset: bigint): string {
  const digits = startOffset.toString()
  return rendered
    .replaceAll(startOffsetMark, digits)
    .replaceAll(paddedStartOffsetMark, digits.padStart(startOffsetDigits, '0'))
}
