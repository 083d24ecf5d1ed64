/** Records of two connectors over one database, compared to the last digit: only clocks may differ, and the snapshot's place. */
import type { ActualRecord } from '../../../conformance/postgres/normalise.ts'
import { beatTable } from './options.ts'
import { noticeTopic } from './signals.ts'

export type KafkaRecord = Extract<ActualRecord, { readonly key: Uint8Array | null }>

/** JSON with the order of its members, and numbers as they are written. */
type Tree =
  | { readonly kind: 'scalar'; readonly text: string }
  | { readonly kind: 'list'; readonly items: readonly Tree[] }
  | { readonly kind: 'object'; readonly members: readonly (readonly [string, Tree])[] }

const scalar = (text: string): Tree => ({ kind: 'scalar', text })
const token = /\s*(?:("(?:[^"\\]|\\.)*")|(-?\d[\d.eE+-]*)|(true|false|null)|([[\]{},:]))/y

/** Text of a number, equal for equal numbers: whole ones by their digits, others by the double that they are. */
function numberText(text: string): string {
  if (/^-?\d+$/.test(text)) return text
  const value = Number(text)
  return Object.is(value, -0) ? '-0.0' : `${value}${Number.isInteger(value) ? '.0' : ''}`
}

class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  /** The whole text as JSON; null when it is none. */
  read(): Tree | null {
    const tree = this.#value(this.#next())
    return tree !== null && this.#text.slice(this.#at).trim() === '' ? tree : null
  }

  #next(): RegExpExecArray | null {
    token.lastIndex = this.#at
    const found = token.exec(this.#text)
    this.#at = token.lastIndex
    return found
  }

  #value(found: RegExpExecArray | null): Tree | null {
    if (found === null) return null
    const [, text, number, word, mark] = found
    if (text !== undefined) return scalar(JSON.stringify(JSON.parse(text)))
    if (number !== undefined) return scalar(numberText(number))
    if (word !== undefined) return scalar(word)
    return mark === '[' ? this.#list() : mark === '{' ? this.#object() : null
  }

  #list(): Tree | null {
    const items: Tree[] = []
    for (;;) {
      const found = this.#next()
      if (found?.[4] === ']') return { kind: 'list', items }
      if (found?.[4] === ',') continue
      const item = this.#value(found)
      if (item === null) return null
      items.push(item)
    }
  }

  #object(): Tree | null {
    const members: [string, Tree][] = []
    for (;;) {
      const found = this.#next()
      if (found?.[4] === '}') return { kind: 'object', members }
      if (found?.[4] === ',') continue
      if (found?.[1] === undefined || this.#next()?.[4] !== ':') return null
      const value = this.#value(this.#next())
      if (value === null) return null
      members.push([JSON.parse(found[1]) as string, value])
    }
  }
}

const member = (tree: Tree | undefined, name: string): Tree | undefined =>
  tree?.kind === 'object' ? tree.members.find(([key]) => key === name)?.[1] : undefined
const textOf = (tree: Tree | undefined): string | undefined => (tree?.kind === 'scalar' ? tree.text : undefined)

const clockNames = new Set(['ts_ms', 'ts_us', 'ts_ns'])
/** What of a snapshot's place is its own: each connector reads at a time of its own. */
const snapshotNames = new Set([...clockNames, 'txId', 'lsn', 'sequence', 'xmin'])

function mapMembers(tree: Tree, change: (name: string, value: Tree) => Tree): Tree {
  if (tree.kind !== 'object') return tree
  return { kind: 'object', members: tree.members.map(([name, value]) => [name, change(name, value)] as const) }
}

/** Set or not is compared all the same. */
const hidden = (value: Tree): Tree => (textOf(value) === 'null' ? value : scalar('<set>'))

function maskSource(source: Tree, operation: string | undefined): Tree {
  const snapshot = textOf(member(source, 'snapshot'))
  const isSnapshot = snapshot !== undefined && !['null', '"false"'].includes(snapshot)
  // A message outside of transactions has no time of its own.
  const isClock = operation === '"m"' && textOf(member(source, 'txId')) === 'null'
  return mapMembers(source, (name, value) => {
    // Each asks for its own slot's at a time of its own.
    if (name === 'version' || name === 'xmin') return hidden(value)
    if (isSnapshot && snapshotNames.has(name)) return hidden(value)
    return isClock && clockNames.has(name) ? hidden(value) : value
  })
}

/**
 * The counts of a transaction stand in no order (a Java hash map's), and each message for itself, under a name that holds
 * the address of an object; with ours all have one name.
 */
function maskTransaction(name: string, value: Tree): Tree {
  if (name !== 'data_collections' || value.kind !== 'list') return value
  const isOfMessages = (item: Tree) =>
    /LogicalDecodingMessageId@|LOGICAL_DECODING_MESSAGE/.test(textOf(member(item, 'data_collection')) ?? '')
  const count = value.items
    .filter(isOfMessages)
    .reduce((sum, item) => sum + Number(textOf(member(item, 'event_count'))), 0)
  const messages = scalar(`<${count} messages>`)
  const items = [...value.items.filter((item) => !isOfMessages(item)), ...(count > 0 ? [messages] : [])]
  return { kind: 'list', items: items.toSorted((a, b) => (render(a) < render(b) ? -1 : 1)) }
}

/** Ids are random or those of signals; the data of a notification stand in the order of a Java hash map, and so do tables. */
function maskNotification(name: string, value: Tree): Tree {
  if (name === 'id' || name === 'timestamp') return hidden(value)
  if (name !== 'additional_data' || value.kind !== 'object') return value
  const isOfBeats = textOf(member(value, 'scanned_collection')) === `"${beatTable}"`
  const members = value.members.map(([key, part]): readonly [string, Tree] => {
    if (isOfBeats && key === 'total_rows_scanned') return [key, hidden(part)]
    const tables = (textOf(part) ?? '').replaceAll('"', '').split(',')
    return [key, key === 'data_collections' ? scalar(tables.sort().join()) : part]
  })
  return { kind: 'object', members: members.toSorted(([a], [b]) => (a < b ? -1 : 1)) }
}

function maskPayload(payload: Tree): Tree {
  if (member(payload, 'event_count') !== undefined) return mapMembers(payload, maskTransaction)
  if (member(payload, 'aggregate_type') !== undefined) return mapMembers(payload, maskNotification)
  const source = member(payload, 'source')
  if (source === undefined || member(source, 'connector') === undefined) {
    // A heartbeat is nothing but the time.
    const isHeartbeat = payload.kind === 'object' && payload.members.map(([name]) => name).join() === 'ts_ms'
    return isHeartbeat ? mapMembers(payload, (_name, value) => hidden(value)) : payload
  }
  const operation = textOf(member(payload, 'op'))
  return mapMembers(payload, (name, value) => {
    if (name === 'source') return maskSource(value, operation)
    // Each message is the first of its own collection there.
    if (name === 'transaction' && operation === '"m"') {
      return mapMembers(value, (key, part) => (key === 'data_collection_order' ? hidden(part) : part))
    }
    return clockNames.has(name) ? hidden(value) : value
  })
}

function body(bytes: Uint8Array | null, prefix: string): Tree {
  if (bytes === null) return scalar('<null>')
  const text = Buffer.from(bytes).toString('utf8').replaceAll(prefix, '<prefix>')
  const tree = new Reader(text).read()
  if (tree === null) return scalar(`text ${JSON.stringify(text)}`)
  const payload = member(tree, 'payload')
  return payload !== undefined && member(tree, 'schema') !== undefined
    ? mapMembers(tree, (name, value) => (name === 'payload' ? maskPayload(value) : value))
    : maskPayload(tree)
}

/** Of what lies before 1970, Connect's header converter writes the time only; ours keeps the day. */
const timesOnly = (text: string): string =>
  text.replaceAll(
    /(?<=[:[,])(\d{4,}-\d\d-\d\d)(?:T(\d\d:\d\d:\d\d\.\d{3}Z))?(?=[\],}])/g,
    (all, day: string, time?: string) => (Date.parse(day) < 0 ? (time ?? '00:00:00.000Z') : all),
  )

function header(name: string, bytes: Uint8Array | null, prefix: string): readonly [string, Tree] {
  if (name.endsWith('.runId')) return [name, scalar('<id>')]
  const isKey = bytes !== null && /^__debezium\.(?:old|new)key$/.test(name)
  return [name, body(isKey ? Buffer.from(timesOnly(Buffer.from(bytes).toString('utf8'))) : bytes, prefix)]
}

interface Comparable {
  readonly topic: string
  readonly tree: Tree
}

function comparable(record: KafkaRecord, prefix: string): Comparable {
  const isNotice = record.topic === `${prefix}.${noticeTopic}`
  const headers = record.headers.map(([name, bytes]) => header(name, bytes, prefix))
  const members = [
    ['key', isNotice ? scalar('<notification>') : body(record.key, prefix)],
    ['value', body(record.value, prefix)],
    ['headers', { kind: 'object', members: headers }],
  ] as const
  return { topic: record.topic.replaceAll(prefix, '<prefix>'), tree: { kind: 'object', members } }
}

const sourceOf = (tree: Tree): Tree | undefined => {
  const value = member(tree, 'value')
  return member(member(value, 'payload') ?? value, 'source')
}

/** Without the schema's default a streamed event has null there. */
const isUnset = (snapshot: Tree | undefined): boolean => ['null', '"false"', undefined].includes(textOf(snapshot))

/** Generated columns, by the names that random tables give them. */
const generated = /^gen/

function withoutGenerated(tree: Tree): Tree {
  if (tree.kind === 'scalar') return tree
  if (tree.kind === 'list') {
    const isKept = (item: Tree) => !generated.test(JSON.parse(textOf(member(item, 'field')) ?? '""') as string)
    return { kind: 'list', items: tree.items.filter(isKept).map(withoutGenerated) }
  }
  const kept = tree.members.filter(([name]) => !generated.test(name))
  return { kind: 'object', members: kept.map(([name, value]) => [name, withoutGenerated(value)] as const) }
}

/**
 * An event of Debezium's stream without generated columns. Once a signal has made it read a table that has some, later
 * events have them, without a value of theirs: the server streams none. Ours leaves them out of all events of the stream,
 * so that a signal changes no schema.
 */
function asStreamed(tree: Tree, ours: Tree | undefined): Tree {
  const source = sourceOf(tree)
  // An event that a transform has flattened does not tell where it was read: ours does.
  const isRead =
    source === undefined
      ? ours !== undefined && render(ours) !== render(withoutGenerated(ours))
      : !isUnset(member(source, 'snapshot'))
  return isRead ? tree : mapMembers(tree, (name, part) => (name === 'value' ? withoutGenerated(part) : part))
}

const show = (tree: Tree | undefined): string => {
  const text = tree === undefined ? '<absent>' : render(tree)
  return text.length > 240 ? `${text.slice(0, 240)}… (${text.length})` : text
}

function render(tree: Tree): string {
  if (tree.kind === 'scalar') return tree.text
  if (tree.kind === 'list') return `[${tree.items.map(render).join(',')}]`
  return `{${tree.members.map(([name, value]) => `${JSON.stringify(name)}:${render(value)}`).join(',')}}`
}

/**
 * Infinite days: a snapshot of Debezium has the days of Java's last and first `Date`, which depend on the time zone, its
 * stream others; ours those of the stream in both.
 */
const infiniteDays: ReadonlySet<string> = new Set([
  '-622191234 2146033979',
  '-625821272 -2147472691',
  '"+292278994-08-16Z" "+5877611-06-21Z"',
  '"+292269055-12-02Z" "-5877611-06-22Z"',
])

const isEqual = (expected: string | undefined, actual: string | undefined): boolean =>
  expected === actual || infiniteDays.has(`${expected} ${actual}`)

/** One place at which two records differ. */
export interface RecordDifference {
  readonly path: string
  readonly expected: string
  readonly actual: string
}

/** What Java prints of an array without looking inside: its address, as for the nested arrays of a column. */
const javaArray = /^"\[+(?:L[\w.]+;|[BZIJDFS])@[0-9a-f]+"$/

const holdsJavaArray = (tree: Tree | undefined): boolean =>
  javaArray.test(textOf(tree) ?? '') || (tree?.kind === 'list' && tree.items.some(holdsJavaArray))

function differ(expected: Tree | undefined, actual: Tree | undefined, path: string, found: RecordDifference[]): void {
  // Ours has null there, or for the whole: nested arrays are not modelled.
  if (holdsJavaArray(expected)) return
  if (expected?.kind === 'list' && actual?.kind === 'list') {
    const fields = [expected, actual].map(({ items }) => items.map((item) => textOf(member(item, 'field'))))
    if (fields.flat().length > 0 && fields.flat().every((field) => field !== undefined)) {
      // Fields of a schema by their names: one that is missing is one difference.
      const named = ({ items }: { readonly items: readonly Tree[] }): Tree => ({
        kind: 'object',
        members: items.map((item) => [JSON.parse(textOf(member(item, 'field')) ?? '""') as string, item] as const),
      })
      differ(named(expected), named(actual), path, found)
      return
    }
    const length = Math.max(expected.items.length, actual.items.length)
    for (let i = 0; i < length; i++) {
      differ(expected.items[i], actual.items[i], `${path}[${i}]`, found)
    }
  } else if (expected?.kind === 'object' && actual?.kind === 'object') {
    const names = new Set([...expected.members, ...actual.members].map(([name]) => name))
    for (const name of names) differ(member(expected, name), member(actual, name), `${path}.${name}`, found)
    const order = ({ members }: { readonly members: readonly (readonly [string, Tree])[] }) =>
      members.map(([name]) => name).join()
    if (found.length === 0 && order(expected) !== order(actual)) {
      found.push({ path: `${path} (order)`, expected: order(expected), actual: order(actual) })
    }
  } else if (textOf(expected) === undefined || !isEqual(textOf(expected), textOf(actual))) {
    found.push({ path: path.slice(1), expected: show(expected), actual: show(actual) })
  }
}

/** What Debezium may send twice, by where in the log it stands; null for other records. */
function repeatable(tree: Tree | undefined): string | null {
  const value = tree === undefined ? undefined : member(tree, 'value')
  const payload = member(value, 'payload') ?? value
  if (textOf(member(payload, 'status')) === '"END"') return (textOf(member(payload, 'id')) ?? '').split(':')[0] ?? null
  if (textOf(member(payload, 'op')) !== '"m"') return null
  const source = member(payload, 'source')
  return `${textOf(member(source, 'lsn'))} ${textOf(member(source, 'txId'))}`
}

/**
 * After a restart, Debezium sends a message again that was the last thing before it, as long as it has seen no commit; and
 * ends, before the next transaction, the one that its offset names although that had ended.
 */
const withoutRepeated = (records: readonly Comparable[]): Comparable[] =>
  records.filter(({ tree }, i) => {
    const place = repeatable(tree)
    return place === null || place !== repeatable(records[i - 1]?.tree)
  })

const isAborted = (tree: Tree): boolean => {
  const value = member(tree, 'value')
  return textOf(member(member(value, 'payload') ?? value, 'type')) === '"ABORTED"'
}

export interface Side {
  readonly prefix: string
  readonly records: readonly KafkaRecord[]
}

/** The records of a side as they are compared, one per line, to look at. */
export function recordTexts({ records, prefix }: Side): readonly string[] {
  return records.map((record) => {
    const { topic, tree } = comparable(record, prefix)
    const parts = ['key', 'value'].map((name) => {
      const part = member(tree, name) ?? scalar('')
      return render(member(part, 'payload') ?? part)
    })
    return [topic, ...parts].join('\t')
  })
}

const sorted = (records: readonly Comparable[]): readonly Comparable[] =>
  records.toSorted((a, b) => (render(a.tree) < render(b.tree) ? -1 : 1))

/** Notifications without those of chunks: Debezium cuts every table into as many as it has readers, ours large ones only. */
const withoutChunks = (notices: readonly Comparable[]): readonly Comparable[] =>
  notices.filter(({ tree }) => {
    const value = member(tree, 'value')
    return !/CHUNK/.test(textOf(member(member(value, 'payload') ?? value, 'type')) ?? '')
  })

/** The records of a topic with the rows of each snapshot sorted, and all notifications. */
function inAnyOrder(topic: string, records: readonly Comparable[]): Comparable[] {
  if (topic.endsWith(`.${noticeTopic}`)) return [...sorted(withoutChunks(records))]
  const done: Comparable[] = []
  let rows: Comparable[] = []
  for (const record of records) {
    if (places.has(placeOf(record.tree))) rows.push({ topic, tree: withoutPlace(record.tree) })
    else {
      done.push(...sorted(rows), record)
      rows = []
    }
  }
  return [...done, ...sorted(rows)]
}

export interface SidesCompared {
  /** Of Debezium's, without heartbeats. */
  readonly records: number
  /** One text per record that differs, at most `most` of them. */
  readonly differences: readonly string[]
}

export interface HowCompared {
  /** Ours may go on where Debezium's ended: its task failed. */
  readonly isPrefix: boolean
  /** Several connections read a snapshot: its rows come in any order. */
  readonly isParallel: boolean
}

/** Where a row stands among those of a snapshot, which is nobody's when several readers share the tables. */
const places = new Set(['"first"', '"first_in_data_collection"', '"true"', '"last_in_data_collection"', '"last"'])

const placeOf = (tree: Tree): string => textOf(member(sourceOf(tree), 'snapshot')) ?? ''
const withoutPlace = (tree: Tree): Tree =>
  mapMembers(tree, (name, value) =>
    name === 'snapshot' && places.has(textOf(value) ?? '') ? scalar('"true"') : withoutPlace(value),
  )

/** Heartbeats come by the clock: what they are counts, not how many. */
export const byClock = /heartbeat|__beat/

/**
 * Compares topic by topic, in order.
 * @param theirs Debezium's
 */
export function compareSides(theirs: Side, ours: Side, { isPrefix, isParallel }: HowCompared): SidesCompared {
  const sides = [theirs, ours].map(({ records, prefix }) => {
    const all = records.map((record) => comparable(record, prefix))
    const byTopic = [...Map.groupBy(all, ({ topic }) => topic)]
    return new Map(isParallel ? byTopic.map(([topic, some]) => [topic, inAnyOrder(topic, some)] as const) : byTopic)
  })
  const [left = new Map<string, Comparable[]>(), right = new Map<string, Comparable[]>()] = sides
  // Of the snapshot in which its task failed.
  for (const records of isPrefix ? left.values() : []) {
    const last = records.findLastIndex(({ tree }) => !isAborted(tree))
    records.splice(last + 1)
  }
  const differences: string[] = []
  const seen = new Set<string>()
  for (const topic of [...new Set([...left.keys(), ...right.keys()])].sort()) {
    const e = withoutRepeated(left.get(topic) ?? [])
    const a = right.get(topic) ?? []
    const all = isPrefix ? e.length : Math.max(e.length, a.length)
    // A task that died on its first record may have been too quick for one.
    const length = byClock.test(topic) ? Math.min(all, isPrefix ? a.length : 1, 1) : all
    for (let i = 0; i < length; i++) {
      const found: RecordDifference[] = []
      const theirTree = e[i]?.tree
      differ(theirTree === undefined ? undefined : asStreamed(theirTree, a[i]?.tree), a[i]?.tree, '', found)
      // One fault shows in every record of its column: the first tells.
      const what = found.map(({ path }) => `${topic} ${path.replace(/^value(?:\.payload)?\.(?:before|after)/, 'row')}`)
      if (found.length === 0 || what.every((key) => seen.has(key))) continue
      for (const key of what) seen.add(key)
      if (e[i] === undefined || a[i] === undefined) {
        const value = member(e[i]?.tree ?? a[i]?.tree, 'value')
        const text = render(member(value, 'payload') ?? value ?? scalar('')).slice(0, 600)
        differences.push(`  ${topic}: ${e.length} records expected, ${a.length} came; [${i}] of the one is ${text}`)
        // One that is missing shifts all that follow.
        break
      }
      const lines = found
        .slice(0, 6)
        .map(({ path, expected, actual }) => `    ${path}\n      expected ${expected}\n      actual   ${actual}`)
      differences.push([`  ${topic} [${i}]`, ...lines].join('\n'))
      const key = (c: Comparable | undefined) => show(member(c?.tree, 'key'))
      if (e.length !== a.length && key(e[i]) !== key(a[i])) {
        differences.push(`  ${topic}: ${e.length} records expected, ${a.length} came`)
        break
      }
    }
  }
  return { records: theirs.records.filter(({ topic }) => !byClock.test(topic)).length, differences }
}
