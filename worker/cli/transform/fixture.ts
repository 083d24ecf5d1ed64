/** Fixtures of `sluice transform test`: records as JSON, and what becomes of them. */
import { readFile, writeFile } from 'node:fs/promises'
import type { Struct, Value } from '../../api/data.ts'
import { toError } from '../../api/errors.ts'
import { parseJson, quoteJson, stringifyJson } from '../../api/json.ts'
import { type ConnectRecord, type Header, SinkRecord, SourceRecord } from '../../api/record.ts'
import { isStruct } from '../../api/values.ts'
import { fromFixture, toFixture } from './record-text.ts'

/** Null: dropped. An object with `error`: its message. Else the record. */
export type Outcome = Value

export interface Fixture {
  readonly path: string
  readonly records: readonly Struct[]
  /** One per record; null when the file has none yet. */
  readonly expected: readonly Outcome[] | null
}

/** A record, a list of records, or `{ "records": […], "expected": […] }`. @throws Error naming the file */
export async function readFixture(path: string): Promise<Fixture> {
  try {
    const json = parseJson(await readFile(path, 'utf8'))
    const isSuite = isStruct(json) && 'records' in json
    const list = isSuite ? json['records'] : Array.isArray(json) ? json : [json]
    // A test that looks at nothing would pass for ever.
    if (!isListOfObjects(list) || list.length === 0) throw new Error('it holds no record, and no list of records')
    const expected = isSuite ? (json['expected'] ?? null) : null
    if (expected !== null && !(Array.isArray(expected) && expected.length === list.length)) {
      throw new Error(`"expected" must be a list of ${list.length}, one outcome per record; use --update`)
    }
    return { path, records: list, expected }
  } catch (error) {
    throw new Error(`Cannot use the fixture ${path}: ${toError(error).message}`, { cause: error })
  }
}

function isListOfObjects(value: Value | undefined): value is readonly Struct[] {
  return Array.isArray(value) && (value as readonly Value[]).every(isStruct)
}

/** Writes what became of the records into the file. */
export async function writeFixture(fixture: Fixture, outcomes: readonly Outcome[]): Promise<void> {
  await writeFile(fixture.path, `${prettyJson({ records: fixture.records, expected: outcomes }, '')}\n`)
}

const members = new Set(['topic', 'partition', 'offset', 'timestamp', 'key', 'value', 'headers'])

/** @throws Error for a member that no record has, or of the wrong type */
export function recordOf(json: Struct, kind: 'source' | 'sink'): ConnectRecord {
  const unknown = Object.keys(json).find((name) => !members.has(name))
  if (unknown !== undefined) throw new Error(`"${unknown}" is no part of a record: ${[...members].join(', ')}`)
  const topic = json['topic'] ?? 'topic'
  if (typeof topic !== 'string') throw new Error('"topic" must be a text')
  const key = fromFixture(json['key'] ?? null)
  const value = fromFixture(json['value'] ?? null)
  const common = {
    topic,
    partition: integer(json, 'partition'),
    keySchema: key.schema,
    key: key.value,
    valueSchema: value.schema,
    value: value.value,
    timestamp: integer(json, 'timestamp'),
    headers: headersOf(json['headers'] ?? []),
  }
  if (kind === 'source') return new SourceRecord({ ...common, sourcePartition: {}, sourceOffset: {} })
  return new SinkRecord({ ...common, partition: common.partition ?? 0, offset: BigInt(integer(json, 'offset') ?? 0) })
}

function integer(json: Struct, name: string): number | null {
  const value = json[name] ?? null
  if (value === null) return null
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value
  throw new Error(`"${name}" must be an integer`)
}

function headersOf(json: Value): readonly Header[] {
  if (!Array.isArray(json)) throw new Error('"headers" must be a list of { key, value }')
  return (json as readonly Value[]).map((header) => {
    const key = isStruct(header) ? header['key'] : null
    if (!isStruct(header) || typeof key !== 'string') throw new Error('A header must be { key, value }')
    return { key, ...fromFixture(header['value'] ?? null) }
  })
}

/** A record as it stands under `expected`. */
export function outcomeOf(record: ConnectRecord | null): Outcome {
  if (record === null) return null
  const headers = record.headers.map(({ key, schema, value }) => ({ key, value: toFixture(schema, value) }))
  return {
    topic: record.topic,
    ...(record.partition === null ? {} : { partition: record.partition }),
    ...(record.timestamp === null ? {} : { timestamp: record.timestamp }),
    ...(headers.length === 0 ? {} : { headers }),
    key: toFixture(record.keySchema, record.key),
    value: toFixture(record.valueSchema, record.value),
  }
}

/** Indented; integers keep all their digits. Short lists and objects stay on one line. */
function prettyJson(value: Value, indent: string): string {
  const short = stringifyJson(value)
  if (value === null || typeof value !== 'object' || short.length + indent.length <= 100) return short
  const inner = `${indent}  `
  if (Array.isArray(value)) {
    const items = (value as readonly Value[]).map((item) => inner + prettyJson(item, inner))
    return `[\n${items.join(',\n')}\n${indent}]`
  }
  if (!isStruct(value)) return short
  const entries = Object.entries(value).map(([name, item]) => `${inner}${quoteJson(name)}: ${prettyJson(item, inner)}`)
  return `{\n${entries.join(',\n')}\n${indent}}`
}
