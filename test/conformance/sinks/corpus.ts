/** The recorded sink cases (`golden/sinks/`, see its README) as the player needs them. */
import { readdirSync, readFileSync } from 'node:fs'
import type { RecordHeader } from '../../../worker/kafka/types.ts'
import { isJsonObject, type Json, type JsonObject, memberTexts, readJson } from './exact-json.ts'

export type SinkName = 'elasticsearch' | 's3'

const corpus = new URL('../golden/sinks/', import.meta.url)

export function sinkCases(sink: SinkName): readonly string[] {
  return readdirSync(new URL(`${sink}/`, corpus)).sort()
}

export interface TopicPlan {
  readonly partitions?: number
  readonly dlq?: boolean
  readonly config?: Readonly<Record<string, string>>
}

/** What the proxy in front of the server does to requests that match, see the corpus. */
export interface FaultPlan {
  readonly match: string
  readonly body?: string
  readonly do: 'status' | 'drop' | 'dropAfter' | 'item'
  readonly times?: number
  readonly after?: number
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly text?: string
  readonly id?: string
  readonly error?: Json
}

interface CaseFile {
  readonly topics: Readonly<Record<string, TopicPlan>>
  readonly schemas?: Readonly<Record<string, Json>>
  readonly steps: readonly JsonObject[]
  readonly proxy?: readonly FaultPlan[]
  readonly recordActions?: boolean
  readonly autoIds?: boolean
  readonly noBucket?: boolean
  readonly replace?: readonly (readonly [string, string])[]
}

export interface CaseRecord {
  readonly phase: number
  readonly topic: string
  readonly partition: number
  readonly timestamp: number | null
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: readonly RecordHeader[]
}

/** A case with its variables filled in. */
export interface SinkCase extends CaseFile {
  readonly name: string
  readonly connector: Readonly<Record<string, string>>
  readonly records: readonly CaseRecord[]
}

/** What the reference left behind; without variables filled in. */
export interface RecordedOutcome {
  readonly waits: JsonObject
  readonly results?: readonly JsonObject[]
  readonly final: JsonObject
}

/** @param variables values of `${…}`; an unknown one stays as it is */
export function loadCase(sink: SinkName, name: string, variables: ReadonlyMap<string, string>): SinkCase {
  const text = (file: string) => fill(readFileSync(new URL(`${sink}/${name}/${file}`, corpus), 'utf8'), variables)
  const file = readJson(text('case.json')) as unknown as CaseFile
  const lines = text('records.jsonl').split('\n')
  return {
    ...file,
    name,
    connector: JSON.parse(text('connector.json')) as Readonly<Record<string, string>>,
    records: lines.filter((line) => line.trim() !== '').map((line) => parseRecord(line, file.schemas ?? {})),
  }
}

export function loadExpected(sink: SinkName, name: string): RecordedOutcome {
  const text = readFileSync(new URL(`${sink}/${name}/expected.json`, corpus), 'utf8')
  return readJson(text) as unknown as RecordedOutcome
}

/** Replaces `${name}` of known variables. */
export function fill(text: string, variables: ReadonlyMap<string, string>): string {
  return text.replaceAll(/\$\{(\w+)\}/g, (whole, name: string) => variables.get(name) ?? whole)
}

function parseRecord(line: string, schemas: Readonly<Record<string, Json>>): CaseRecord {
  const item = JSON.parse(line) as JsonObject
  const texts = memberTexts(line)
  const side = (name: 'key' | 'value'): Uint8Array | null => {
    const schema = item[`${name}Schema`]
    const text = texts.get(name) ?? 'null'
    if (typeof schema !== 'string') return encodeBytes(item[name] ?? null, text)
    return Buffer.from(`{"schema":${JSON.stringify(schemas[schema])},"payload":${text}}`)
  }
  const headers = (item['headers'] ?? []) as readonly (readonly [string, Json])[]
  return {
    phase: Number(item['phase'] ?? 1),
    topic: String(item['topic']),
    partition: Number(item['partition'] ?? 0),
    timestamp: typeof item['ts'] === 'number' ? item['ts'] : null,
    key: side('key'),
    value: side('value'),
    headers: headers.map(([key, value]) => ({ key, value: encodeBytes(value, JSON.stringify(value)) })),
  }
}

/** The corpus's notation of bytes; what has no notation of its own is its JSON text. */
export function encodeBytes(value: Json, text: string): Buffer | null {
  if (value === null) return null
  if (isJsonObject(value) && Object.keys(value).length === 1) {
    if (typeof value['$text'] === 'string') return Buffer.from(value['$text'])
    if (typeof value['$hex'] === 'string') return Buffer.from(value['$hex'], 'hex')
    if (typeof value['$base64'] === 'string') return Buffer.from(value['$base64'], 'base64')
    const repeat = value['$repeat']
    if (Array.isArray(repeat)) return Buffer.from(String(repeat[0]).repeat(Number(repeat[1])))
  }
  return Buffer.from(text)
}
