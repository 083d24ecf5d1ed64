/** Random records, and names of what is in them. */
import fc from 'fast-check'
import { type Schema, type Struct, type Value } from '../../../worker/api/data.ts'
import { type ConnectRecord, type Header, SinkRecord, SourceRecord } from '../../../worker/api/record.ts'
import { isStruct } from '../../../worker/api/values.ts'
import {
  type ConnectData,
  connectData,
  type DataOptions,
  schemas,
  structOf,
  values,
} from '../../conformance/java/arbitraries.ts'

export const topics = fc.constantFrom('topic', 'orders-1', 'db.schema.table', 'a', 'x_2024', 'TOPIC')
export const headerKeys = fc.constantFrom('h', 'id', 'k-1', 'ä')

function headers(options: DataOptions): fc.Arbitrary<readonly Header[]> {
  const header = fc
    .tuple(headerKeys, connectData({ ...options, maxDepth: 1 }))
    .map(([key, { schema, value }]) => ({ key, schema, value }))
  return fc.oneof(fc.constant([]), fc.array(header, { maxLength: 3 }))
}

/** Mostly structs and schemaless objects, which is what transforms work on. */
function recordData(options: DataOptions): fc.Arbitrary<ConnectData> {
  const typed = schemas(options)
    .filter((schema) => schema.type === 'STRUCT')
    .chain((schema) => values(schema, options).map((value): ConnectData => ({ schema, value })))
  const untyped = connectData(options)
    .filter(({ schema, value }) => schema !== null && schema.type === 'STRUCT' && value !== null)
    .map(({ schema, value }): ConnectData => ({ schema: null, value: withoutSchema(schema as Schema, value) }))
  return fc.oneof(
    { weight: 6, arbitrary: typed },
    { weight: 2, arbitrary: untyped },
    { weight: 2, arbitrary: connectData(options) },
    { weight: 1, arbitrary: fc.constant({ schema: null, value: null }) },
  )
}

/** What JSON without schemas would have of a value: bytes and times stay, numbers lose their width. */
function withoutSchema(schema: Schema, value: Value): Value {
  if (!isStruct(value)) return value
  const struct: Struct = value
  return structOf(
    schema.fields
      .filter(
        (f) => ['STRUCT', 'STRING', 'INT64', 'BOOLEAN', 'BYTES'].includes(f.schema.type) && f.schema.name === null,
      )
      .map((f) => [f.name, withoutSchema(f.schema, struct[f.name] ?? null)]),
  )
}

export interface RecordParts {
  readonly key: ConnectData
  readonly value: ConnectData
  readonly topic?: string
  readonly headers?: readonly Header[]
}

/** Null makes a record of a source. */
function offsets(kind: RecordKind): fc.Arbitrary<bigint | null> {
  const some = fc.bigInt({ min: 0n, max: 2n ** 62n })
  if (kind === 'any') return fc.option(some)
  return kind === 'sink' ? some : fc.constant(null)
}

export type RecordKind = 'any' | 'source' | 'sink'

/** Records around key and value, of a source or of a sink. */
export function recordsOf(
  parts: fc.Arbitrary<RecordParts>,
  options: DataOptions,
  kind: RecordKind = 'any',
): fc.Arbitrary<ConnectRecord> {
  return fc
    .record({
      parts,
      topic: topics,
      partition: fc.option(fc.integer({ min: 0, max: 9 })),
      timestamp: fc.option(fc.integer({ min: 0, max: 4_000_000_000_000 })),
      headers: headers(options),
      offset: offsets(kind),
    })
    .map(({ parts: { key, value, ...own }, offset, partition, ...rest }) => {
      const data = {
        ...rest,
        ...own,
        keySchema: key.schema,
        key: key.value,
        valueSchema: value.schema,
        value: value.value,
      }
      return offset === null
        ? new SourceRecord({ ...data, partition, sourcePartition: { p: 1 }, sourceOffset: { o: 1n } })
        : new SinkRecord({ ...data, partition: partition ?? 0, offset })
    })
}

export function records(options: DataOptions): fc.Arbitrary<ConnectRecord> {
  return recordsOf(fc.record({ key: recordData(options), value: recordData(options) }), options)
}

/** Names that can stand in a list option: no comma, no colon, no blanks around. */
const isListable = (name: string): boolean => name !== '' && name.trim() === name && !/[,:\s]/.test(name)

export function fieldNamesOf(schema: Schema | null, value: Value): readonly string[] {
  const names = schema === null ? (isStruct(value) ? Object.keys(value) : []) : schema.fields.map((f) => f.name)
  return names.filter(isListable)
}

/** Paths to nested fields, in the V2 syntax. */
export function pathsOf(schema: Schema | null, value: Value): readonly string[] {
  const struct: Struct = isStruct(value) ? value : {}
  return fieldNamesOf(schema, value).flatMap((name) => {
    const step = name.includes('.') ? `\`${name}\`` : name
    const below = pathsOf(schema?.fieldsByName.get(name)?.schema ?? null, struct[name] ?? null)
    return [step, ...below.map((path) => `${step}.${path}`)]
  })
}

/** A name that is there, or now and then one that is not. */
export function oneNameOf(names: readonly string[]): fc.Arbitrary<string> {
  const absent = fc.constantFrom('none', 'id', 'a')
  return names.length === 0 ? absent : fc.oneof({ weight: 8, arbitrary: fc.constantFrom(...names) }, absent)
}

export function someNamesOf(names: readonly string[], limits: fc.ArrayConstraints): fc.Arbitrary<readonly string[]> {
  return fc.uniqueArray(oneNameOf(names), limits)
}
