/** Volatile parts of events as ranks or placeholders, by the rules in `golden/README.md`. */

/** JSON with exact integers: those beyond 2^53 are bigints. */
export type Json = null | boolean | number | bigint | string | readonly Json[] | { readonly [key: string]: Json }
type JsonObject = { readonly [key: string]: Json }

interface RawReviverContext {
  readonly source?: string
}

/** Parses with exact integers; null when the text is no JSON. */
export function parseExact(text: string): { readonly value: Json } | null {
  const reviver = (_key: string, value: Json, context?: RawReviverContext): Json => {
    const source = context?.source
    return typeof value === 'number' && source !== undefined && /^-?\d+$/.test(source) && !Number.isSafeInteger(value)
      ? BigInt(source)
      : value
  }
  try {
    return { value: JSON.parse(text, reviver as (this: unknown, key: string, value: unknown) => unknown) as Json }
  } catch {
    return null
  }
}

/** A text with volatile numbers in it. */
class Token {
  readonly parts: readonly (string | readonly [kind: string, value: bigint])[]

  constructor(...parts: readonly (string | readonly [string, bigint])[]) {
    this.parts = parts
  }
}

type Normal = null | boolean | number | bigint | string | Token | readonly Normal[] | { readonly [key: string]: Normal }

export interface CaseRules {
  readonly replace?: readonly (readonly [string, string])[]
  readonly volatile?: Readonly<Record<string, string>>
  readonly jsonFields?: readonly string[]
  readonly collapse?: readonly string[]
  readonly unordered?: readonly string[]
  readonly ignoreTopics?: readonly string[]
  readonly recordTimestamps?: readonly string[]
  readonly maps?: readonly string[]
}

/** A record as it would lie in Kafka, or a pseudo record of a step (`value` given, topic `$…`). */
export type ActualRecord =
  | {
      readonly topic: string
      readonly key: Uint8Array | null
      readonly value: Uint8Array | null
      readonly headers: readonly (readonly [string, Uint8Array | null])[]
      readonly timestamp: number | null
    }
  | { readonly topic: string; readonly pseudoKey: Json; readonly pseudo: Json; readonly offsets?: true }

export interface NormalRecord {
  readonly topic: string
  readonly key: Json
  readonly value: Json
  readonly headers: Json
  readonly timestamp?: Json
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const tsNames = /^(__)?(source_|src_)?(ts_ms|ts_us|ts_ns)$/
const lsnNames = /^(__)?(source_|src_)?lsn$/
const txNames = /^(__)?(source_|src_)?(txId|txid)$/

const isObject = (v: Json | Normal | undefined): v is JsonObject =>
  typeof v === 'object' && v !== null && !Array.isArray(v) && !(v instanceof Token)

const keysOf = (v: object): string => Object.keys(v).join(',')
const big = (v: Json): bigint | null =>
  typeof v === 'bigint' ? v : typeof v === 'number' && Number.isInteger(v) ? BigInt(v) : null

/** JSON text of plain values, bigints as bare digits. */
export function stringify(value: Json): string {
  const mark = '\u{10fffe}'
  const text = JSON.stringify(value, (_key, v: unknown) => (typeof v === 'bigint' ? `${mark}${v}${mark}` : v))
  return text.replaceAll(new RegExp(`"${mark}(-?\\d+)${mark}"`, 'gu'), '$1')
}

function sortedJson(text: string): string {
  const parsed = parseExact(text)
  if (parsed === null) return text
  const sort = (v: Json): Json => {
    if (Array.isArray(v)) return (v as readonly Json[]).map(sort)
    if (!isObject(v)) return v
    return Object.fromEntries(
      Object.entries(v)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([k, x]) => [k, sort(x)]),
    )
  }
  return stringify(sort(parsed.value))
}

export class Normaliser {
  readonly #names: readonly (readonly [string, string])[]
  readonly #rules: CaseRules
  readonly #regex: readonly (readonly [RegExp, string])[]
  readonly #json: ReadonlySet<string>

  constructor(variables: { readonly prefix: string; readonly db: string; readonly slot: string }, rules: CaseRules) {
    this.#names = Object.entries(variables).map(([name, value]) => [value, `<${name}>`])
    this.#rules = rules
    this.#regex = (rules.replace ?? []).map(([pattern, text]) => [new RegExp(pattern, 'g'), text])
    this.#json = new Set(rules.jsonFields)
  }

  /** Whether records of the topic are counted by `counts.json`. */
  countable(topic: string): boolean {
    const name = this.#text(topic)
    return ![...(this.#rules.collapse ?? []), ...(this.#rules.ignoreTopics ?? [])].some((p) => new RegExp(p).test(name))
  }

  run(records: readonly ActualRecord[]): readonly NormalRecord[] {
    const normal = records
      .map((record) => this.#record(record))
      .filter((record) => !this.#matches(this.#rules.ignoreTopics, String(record['topic'])))
    const ranks = rankTokens(normal)
    const rendered = normal.map((record) => render(record, ranks)) as unknown as NormalRecord[]
    const topics = Map.groupBy(rendered, (record) => record.topic)
    return [...topics.keys()].sort().flatMap((topic) => this.#topic(topic, topics.get(topic) ?? []))
  }

  #topic(topic: string, records: readonly NormalRecord[]): readonly NormalRecord[] {
    let list = [...records]
    if (this.#matches(this.#rules.collapse, topic)) {
      list = list.filter((record, i) => i === 0 || masked(list[i - 1] as NormalRecord) !== masked(record))
    }
    if (this.#matches(this.#rules.unordered, topic)) list.sort((a, b) => (masked(a) < masked(b) ? -1 : 1))
    const last: Record<string, string> = {}
    return list.map((record) => {
      const shorten = (part: 'key' | 'value'): Json => {
        const body = record[part]
        if (!isObject(body) || keysOf(body) !== 'schema,payload') return body
        const schema = stringify(body['schema'] ?? null)
        const same = last[part] === schema && body['schema'] !== null
        last[part] = schema
        return same ? { schema: '<same>', payload: body['payload'] ?? null } : body
      }
      return { ...record, key: shorten('key'), value: shorten('value') }
    })
  }

  #matches(patterns: readonly string[] | undefined, topic: string): boolean {
    return (patterns ?? []).some((pattern) => new RegExp(pattern).test(topic))
  }

  #text(text: string): string {
    let out = text
    for (const [value, name] of this.#names) out = out.replaceAll(value, name)
    for (const [pattern, replacement] of this.#regex) out = out.replace(pattern, replacement)
    return out
  }

  #record(record: ActualRecord): { readonly [key: string]: Normal } {
    const topic = this.#text(record.topic)
    if ('pseudo' in record) {
      const value = record.offsets === true ? this.#offsets(record.pseudo) : this.#row(record.pseudo)
      return { topic, key: record.pseudoKey, value, headers: [] }
    }
    const headers = foldContext(record.headers.map(([name, value]) => [name, this.#header(name, value)] as const))
    const value = this.#body(record.value)
    const stamped = this.#matches(this.#rules.recordTimestamps, topic)
    const timestamp: { timestamp?: Normal } =
      record.timestamp === null ? { timestamp: 'not set' } : stamped ? { timestamp: record.timestamp } : {}
    return { topic, key: notificationKey(this.#body(record.key), value), value, headers, ...timestamp }
  }

  #offsets(value: Json): Normal {
    return (value as readonly JsonObject[]).map((entry) => {
      const offset = Object.entries((entry['offset'] ?? {}) as JsonObject).map(([name, v]): [string, Normal] => {
        if (['lsn', 'lsn_proc', 'lsn_commit', 'ts_usec', 'xmin'].includes(name) && big(v) !== null)
          return [name, '<set>']
        const isTransaction = (name === 'txId' || name === 'transaction_id') && v !== null
        return [name, isTransaction ? new Token(['tx', BigInt(String(v))]) : this.#walk(v)]
      })
      offset.sort(([a], [b]) => (a < b ? -1 : 1))
      return { partition: this.#row(entry['partition'] ?? null), offset: Object.fromEntries(offset) }
    })
  }

  #walk(value: Json, name?: string): Normal {
    if (Array.isArray(value)) return (value as readonly Json[]).map((v) => this.#walk(v))
    if (isObject(value)) {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [this.#text(k), this.#walk(v, k)]))
    }
    if (name !== undefined && value !== null) {
      const how =
        this.#rules.volatile?.[name] ??
        (tsNames.test(name) ? 'ts' : lsnNames.test(name) ? 'lsn' : txNames.test(name) ? 'tx' : undefined)
      if (how === 'drop' || how === 'ts') return '<set>'
      if ((how === 'lsn' || how === 'tx') && /^-?\d+$/.test(String(value)))
        return new Token([how, BigInt(String(value))])
    }
    return typeof value === 'string' ? this.#text(value) : value
  }

  #source(source: JsonObject, op: Json): Normal {
    const snapshot = source['snapshot'] ?? null
    const isSnapshot = snapshot !== null && snapshot !== 'false' && snapshot !== 'incremental'
    const us = big(source['ts_us'] ?? null)
    const clock = snapshot === 'incremental' || (op === 'm' && source['txId'] === null)
    const lsnKind = isSnapshot ? 'snapshot-lsn' : op === 'm' ? 'message-lsn' : 'lsn'
    const field = (name: string, v: Json): Normal => {
      if (v === null) return null
      if (name === 'version') return '<version>'
      if (this.#rules.volatile?.[`source.${name}`] !== undefined) return '<set>'
      const number = big(v)
      if (name === 'ts_us') return clock || number === null ? '<set>' : new Token(['ts', number])
      if (name === 'ts_ms' && us !== null) return number === us / 1000n ? '<ts_us/1000>' : '<not ts_us/1000>'
      // Read off a clock: whole microseconds once in a thousand times.
      if (name === 'ts_ns' && snapshot === 'incremental') return '<not ts_us*1000>'
      if (name === 'ts_ns' && us !== null) return number === us * 1000n ? '<ts_us*1000>' : '<not ts_us*1000>'
      if (['ts_ms', 'ts_ns', 'xmin'].includes(name)) return '<set>'
      if (name === 'txId' && number !== null) return new Token(['tx', number])
      if (name === 'lsn' && number !== null) return new Token([lsnKind, number])
      if (name === 'sequence') return sequence(String(v), big(source['lsn'] ?? null))
      return this.#walk(v)
    }
    return Object.fromEntries(Object.entries(source).map(([name, v]) => [name, field(name, v)]))
  }

  #payload(payload: Json): Normal {
    if (!isObject(payload)) return this.#walk(payload)
    const source = payload['source']
    if (isObject(source) && 'connector' in source) return this.#event(payload, source)
    if ('event_count' in payload && 'status' in payload) {
      const out = { ...(this.#walk(payload) as { [key: string]: Normal }) }
      out['id'] = transactionId(payload['id'] ?? null, null, payload['status'] === 'BEGIN' ? 'begin-lsn' : 'end-lsn')
      const collections = out['data_collections']
      if (Array.isArray(collections)) {
        const name = (c: Normal) => String((c as { readonly [key: string]: Normal })['data_collection'])
        out['data_collections'] = (collections as readonly Normal[]).toSorted((a, b) => (name(a) < name(b) ? -1 : 1))
      }
      return out
    }
    if ('aggregate_type' in payload && 'additional_data' in payload) {
      const out = { ...(this.#walk(payload) as { [key: string]: Normal }) }
      if (payload['timestamp']) out['timestamp'] = '<set>'
      if (uuid.test(String(payload['id']))) out['id'] = '<uuid>'
      return out
    }
    const id = payload['id']
    if (keysOf(payload) === 'id' && typeof id === 'string' && /^\d+:\d+$/.test(id)) {
      return { id: new Token(['tx', BigInt(id.split(':')[0] as string)], ':<lsn>') }
    }
    return this.#walk(payload)
  }

  #event(payload: JsonObject, source: JsonObject): Normal {
    const field = (name: string, v: Json): Normal => {
      if (v === null) return null
      if (name === 'source') return this.#source(source, payload['op'] ?? null)
      if (['ts_ms', 'ts_us', 'ts_ns'].includes(name)) return '<set>'
      if (name === 'transaction' && isObject(v)) {
        const lsn = big(source['lsn'] ?? null)
        return Object.fromEntries(
          Object.entries(v).map(([k, x]) => [k, k === 'id' ? transactionId(x, lsn, 'data') : x]),
        )
      }
      return name === 'before' || name === 'after' ? this.#row(v) : this.#walk(v)
    }
    return Object.fromEntries(Object.entries(payload).map(([name, v]) => [name, field(name, v)]))
  }

  #row(value: Json): Normal {
    if (Array.isArray(value)) return (value as readonly Json[]).map((v) => this.#row(v))
    if (isObject(value)) {
      const field = (name: string, v: Json): Normal => {
        if (v !== null && this.#rules.volatile?.[name] !== undefined) return '<set>'
        return this.#json.has(name) && typeof v === 'string' ? sortedJson(v) : this.#row(v)
      }
      return Object.fromEntries(Object.entries(value).map(([name, v]) => [this.#text(name), field(name, v)]))
    }
    return typeof value === 'string' ? this.#text(value) : value
  }

  #body(bytes: Uint8Array | null): Normal {
    if (bytes === null) return null
    let text: string
    try {
      text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    } catch {
      return { $hex: Buffer.from(bytes).toString('hex') }
    }
    const parsed = parseExact(text)
    if (parsed === null) return { $text: this.#text(text) }
    const { value } = parsed
    if (value === null) return { $text: 'null' }
    if (isObject(value) && keysOf(value) === 'schema,payload') {
      return { schema: this.#row(value['schema'] ?? null), payload: this.#payload(value['payload'] ?? null) }
    }
    return this.#payload(value)
  }

  #header(name: string, bytes: Uint8Array | null): Normal {
    if (bytes === null) return null
    const text = Buffer.from(bytes).toString('utf8')
    if (name.endsWith('.runId')) {
      if (text.startsWith('"') && text.endsWith('"') && uuid.test(text.slice(1, -1))) return '"<uuid>"'
      return uuid.test(text) ? '<uuid>' : `<malformed ${text}>`
    }
    if (this.#rules.volatile?.[name] !== undefined || tsNames.test(name)) return '<set>'
    if (lsnNames.test(name) && /^\d+$/.test(text)) return new Token(['lsn', BigInt(text)])
    if (txNames.test(name) && /^\d+$/.test(text)) return new Token(['tx', BigInt(text)])
    if (text.startsWith('{"schema":')) {
      const value = parseExact(text)?.value
      if (isObject(value) && keysOf(value) === 'schema,payload') {
        return { schema: this.#row(value['schema'] ?? null), payload: this.#payload(value['payload'] ?? null) }
      }
    }
    return this.#text(text)
  }
}

function notificationKey(key: Normal, value: Normal): Normal {
  const payload = (v: Normal): Normal =>
    isObject(v as Json) && 'payload' in (v as object) ? ((v as { payload: Normal }).payload ?? null) : v
  const notification = payload(value)
  const holder = payload(key)
  if (!isObject(notification as Json) || !('aggregate_type' in (notification as object))) return key
  if (!isObject(holder as Json) || !uuid.test(String((holder as JsonObject)['id']))) return key
  const masked = { ...(holder as JsonObject), id: '<uuid>' }
  return holder === key ? masked : { ...(key as JsonObject), payload: masked }
}

function sequence(text: string, lsn: bigint | null): Normal {
  const parsed = parseExact(text)?.value
  if (!Array.isArray(parsed) || parsed.length !== 2) return `<malformed ${text}>`
  const [commit, last] = parsed as [Json, Json]
  const parts: (string | readonly [string, bigint])[] = ['[']
  if (commit === null) parts.push('null,')
  else if (typeof commit === 'string') parts.push(['commit', BigInt(commit)], ',')
  else parts.push('<not a string>,')
  if (typeof last === 'string' && lsn === null) return new Token(...parts, ['sequence-lsn', BigInt(last)], ']')
  parts.push(last === null ? 'null]' : typeof last === 'string' && BigInt(last) === lsn ? 'lsn]' : '<not lsn>]')
  return new Token(...parts)
}

function transactionId(value: Json, lsn: bigint | null, kind: string): Normal {
  const match = /^(\d+):(\d+)$/.exec(String(value))
  if (match === null) return value === null ? null : `<malformed ${String(value)}>`
  const tx = ['tx', BigInt(match[1] as string)] as const
  const at = BigInt(match[2] as string)
  if (kind === 'data') return new Token(tx, lsn !== null && at === lsn ? ':lsn' : ':<not lsn>')
  return new Token(tx, ':', [kind, at])
}

const contextNames = ['connectorLogicalName', 'taskId', 'connectorName', 'runId'].map((n) => `__debezium.context.${n}`)

function foldContext(headers: readonly (readonly [string, Normal])[]): Normal {
  for (let i = 0; i + 3 < headers.length; i++) {
    const four = headers.slice(i, i + 4)
    if (four.every(([name, value], j) => name === contextNames[j] && typeof value === 'string')) {
      const folded: readonly Normal[] = ['__debezium.context.*', four.map(([, value]) => value).join(', ')]
      return [...headers.slice(0, i), folded, ...headers.slice(i + 4)] as readonly Normal[]
    }
  }
  return headers as readonly Normal[]
}

function rankTokens(value: Normal): ReadonlyMap<string, ReadonlyMap<bigint, number>> {
  const seen = new Map<string, Set<bigint>>()
  const collect = (v: Normal): void => {
    if (v instanceof Token) {
      for (const part of v.parts) {
        if (typeof part === 'string') continue
        const values = seen.get(part[0]) ?? new Set()
        seen.set(part[0], values.add(part[1]))
      }
    } else if (Array.isArray(v)) for (const x of v as readonly Normal[]) collect(x)
    else if (typeof v === 'object' && v !== null) for (const x of Object.values(v as object)) collect(x as Normal)
  }
  collect(value)
  const ascending = (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0)
  return new Map(Array.from(seen, ([kind, set]) => [kind, new Map([...set].sort(ascending).map((n, i) => [n, i + 1]))]))
}

function render(value: Normal, ranks: ReadonlyMap<string, ReadonlyMap<bigint, number>>): Json {
  if (value instanceof Token) {
    return value.parts.map((p) => (typeof p === 'string' ? p : `${p[0]}#${ranks.get(p[0])?.get(p[1])}`)).join('')
  }
  if (Array.isArray(value)) return (value as readonly Normal[]).map((v) => render(v, ranks))
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value as { [key: string]: Normal }).map(([k, v]) => [k, render(v, ranks)]))
  }
  return value
}

export const tokenPattern = /\b([a-z][a-z-]*)#(\d+)/g

/** A record with the numbers of its tokens left out. */
export function masked(record: NormalRecord): string {
  return stringify(record as unknown as Json).replace(tokenPattern, '$1#')
}
