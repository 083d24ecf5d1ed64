import fc from 'fast-check'
import type { SchemaAndValue } from '../../../worker/api/converter.ts'
import { Float64, type Schema, type Struct, type Value } from '../../../worker/api/data.ts'
import { ConnectError, toError } from '../../../worker/api/errors.ts'
import { parseJsonBytes, stringifyJson } from '../../../worker/api/json.ts'
import { isStruct } from '../../../worker/api/values.ts'
import { type ConnectData, connectData } from '../../conformance/java/arbitraries.ts'
import type { Answer, JavaError, JavaHarness, Job } from '../../conformance/java/harness.ts'
import {
  canonical,
  doubleOf,
  schemaToWire,
  valueToWire,
  type WireSchema,
  type WireValue,
} from '../../conformance/java/wire.ts'
import { mutate } from './mutate.ts'
import { type Both, openOurs, type Subject, subjects } from './subjects.ts'

/**
 * `write`: data to bytes. `read`: those bytes to data. `mutated`: the same after one change, mostly no message any more.
 */
export const steps = ['write', 'read', 'mutated'] as const
export type Step = (typeof steps)[number]

/**
 * `equal`: same bytes or same data. `refused`: an error of both. `guarded`: Java goes on with data that is proved to
 * be another than what was given, where we refuse or give back just what was given (I6). `different`: anything else,
 * which is a defect.
 */
export const verdicts = ['equal', 'refused', 'guarded', 'different'] as const
export type Verdict = (typeof verdicts)[number]

export interface Difference {
  readonly subject: string
  readonly step: Step
  readonly input: string
  readonly ours: string
  readonly java: string
}

export interface Comparison {
  readonly counts: Readonly<Record<Step, Readonly<Record<Verdict, number>>>>
  readonly differences: readonly Difference[]
  /** Errors of both with different texts, each pair of texts once. */
  readonly wordings: ReadonlyMap<string, number>
}

type Result<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: Error }

function attempt<T>(body: () => T): Result<T> {
  try {
    return { ok: true, value: body() }
  } catch (error) {
    return { ok: false, error: toError(error) }
  }
}

interface Pair extends ConnectData {
  readonly subject: Subject
  readonly ours: Both
  /** Decides how the bytes are changed. */
  readonly salt: number
}

interface WriteInput {
  readonly pair: Pair
  readonly java: Answer
}

interface ReadInput extends WireRead {
  readonly pair: Pair
}

interface WireRead {
  readonly step: 'read' | 'mutated'
  readonly bytes: Uint8Array | null
}

/** Compares our converters with Java's on `count` random pairs of schema and value. */
export async function compareConverters(
  java: JavaHarness,
  options: { readonly count: number; readonly seed: number; readonly only?: string },
): Promise<Comparison> {
  const run = new Run(java)
  const chosen = subjects.filter(({ name }) => name.startsWith(options.only ?? ''))
  const slots = chosen.flatMap((subject) => Array.from({ length: subject.weight }, () => subject))
  const ours = new Map<Subject, Both>()
  for (const subject of chosen) {
    await java.make({ plugin: subject.name, class: subject.class, config: subject.config, role: subject.role })
    ours.set(subject, await openOurs(subject))
  }
  const size = 500
  for (let from = 0; from < options.count; from += size) {
    const numRuns = Math.min(size, options.count - from)
    const data = fc.sample(inputs(java.javaVersion), { seed: options.seed ^ Math.imul(from, 0x9e3779b1), numRuns })
    const pairs = data.map(([pick, { schema, value }, salt]): Pair => {
      const subject = slots[pick % slots.length] as Subject
      return { subject, ours: ours.get(subject) as Both, salt, ...fitting(subject, schema, value) }
    })
    await run.compare(pairs)
  }
  return run
}

function inputs(javaVersion: number): fc.Arbitrary<readonly [number, ConnectData, number]> {
  const data = connectData({ javaVersion })
  const typed = data.filter(({ schema }) => schema !== null)
  const mismatched = fc
    .tuple(typed, typed)
    .map(([{ schema }, { value }]) => ({ schema, value: isTellable(value) ? value : null }))
  return fc.tuple(
    fc.nat(),
    fc.oneof({ weight: 11, arbitrary: data }, { weight: 1, arbitrary: mismatched }),
    fc.integer({ min: 0, max: 0x7fffffff }),
  )
}

/**
 * Whether our data model knows the Java class of a value that does not fit its schema: a plain object may be a struct
 * or a map, a large integral number a double, a bigint a time beyond the reach of a Date.
 */
function isTellable(value: Value): boolean {
  if (typeof value === 'bigint') return false
  if (typeof value === 'number') return !Number.isInteger(value) || Number.isSafeInteger(value)
  if (Array.isArray(value)) return (value as readonly Value[]).every(isTellable)
  if (value instanceof Map) return [...(value as ReadonlyMap<Value, Value>)].every((entry) => entry.every(isTellable))
  return !isStruct(value)
}

/**
 * Converters of one type refuse nearly all data; the first field of a struct is worth more to them than another
 * refusal. The width of a number without a schema is nothing that our data model knows.
 */
function fitting(subject: Subject, schema: Schema | null, value: Value): ConnectData {
  const isNumber = typeof value === 'number' || typeof value === 'bigint' || value instanceof Float64
  if (isNumber && subject.weight <= 2 && !tellsWidth(schema, value)) return { schema: null, value: null }
  const [field] = schema?.type === 'STRUCT' && subject.weight <= 2 && isStruct(value) ? schema.fields : []
  if (field === undefined) return { schema, value }
  const item = Object.hasOwn(value as Struct, field.name) ? (value as Struct)[field.name] : null
  return { schema: field.schema, value: item ?? null }
}

function tellsWidth(schema: Schema | null, value: Value): boolean {
  if (schema === null) return false
  if (!schema.type.startsWith('INT')) return schema.type.startsWith('FLOAT')
  // A value that the type does not hold goes to Java as a Long.
  return Number.isInteger(Number(value)) && Math.abs(Number(value)) < 2 ** (Number(schema.type.slice(3)) - 1)
}

class Run implements Comparison {
  readonly counts: Record<Step, Record<Verdict, number>> = {
    write: noCounts(),
    read: noCounts(),
    mutated: noCounts(),
  }
  readonly differences: Difference[] = []
  readonly wordings = new Map<string, number>()
  readonly #java: JavaHarness

  constructor(java: JavaHarness) {
    this.#java = java
  }

  async compare(pairs: readonly Pair[]): Promise<void> {
    const jobs = pairs.map(
      ({ subject, schema, value }): Job => ({
        op: 'fromConnect',
        plugin: subject.name,
        schema: schemaToWire(schema),
        value: valueToWire(schema, value),
      }),
    )
    const answers = await this.#java.run(jobs)
    const reads: ReadInput[] = []
    const writes: WriteInput[] = []
    pairs.forEach((pair, i) => {
      const answer = answers[i] as Answer
      writes.push({ pair, java: answer })
      if (answer.error !== undefined) return
      const bytes = fromBase64(answer.bytes)
      reads.push({ pair, step: 'read', bytes })
      if (bytes !== null) reads.push({ pair, step: 'mutated', bytes: mutate(bytes, pair.salt) })
    })
    await this.#compareReads(reads)
    await this.#compareWrites(writes)
  }

  async #compareWrites(writes: readonly WriteInput[]): Promise<void> {
    const suspects: (WriteInput & { readonly ours: Result<Uint8Array | null> })[] = []
    for (const write of writes) {
      const { pair, java } = write
      const ours = attempt(() => pair.ours.write(pair.schema, pair.value))
      const verdict = this.#verdictOfWrite(ours, java)
      if (verdict === 'different' && java.error === undefined && !isFault(ours)) suspects.push({ ...write, ours })
      else this.#note('write', pair, verdict, [inputText(pair), oursText(ours), java])
    }
    // What Java makes of what it wrote shows whether the bytes hold what was given.
    const answers = await this.#java.run(
      suspects.map(
        ({ pair, java }): Job => ({ op: 'toConnect', plugin: pair.subject.name, bytes: java.bytes ?? null }),
      ),
    )
    suspects.forEach(({ pair, java, ours }, i) => {
      const sent = dataText(valueToWire(pair.schema, pair.value))
      const back = answers[i]
      const javaKeeps = back?.error === undefined && dataText(back?.value ?? null) === sent
      const kept =
        !ours.ok ||
        this.#oursKeeps(pair, ours.value, sent) ||
        isLossyDate(pair.subject, ours.value, fromBase64(java.bytes))
      const guarded = !javaKeeps && kept
      this.#note('write', pair, guarded ? 'guarded' : 'different', [inputText(pair), oursText(ours), java])
    })
  }

  #oursKeeps(pair: Pair, bytes: Uint8Array | null, sent: string): boolean {
    const back = attempt(() => pair.ours.read(bytes))
    return back.ok && dataText(valueToWire(back.value.schema, back.value.value)) === sent
  }

  #verdictOfWrite(ours: Result<Uint8Array | null>, java: Answer): Verdict {
    if (!ours.ok) return this.#bothRefuse(ours.error, java.error)
    if (java.error !== undefined) return 'different'
    const theirs = fromBase64(java.bytes)
    if (ours.value === null || theirs === null) return ours.value === theirs ? 'equal' : 'different'
    return Buffer.compare(ours.value, theirs) === 0 ? 'equal' : 'different'
  }

  async #compareReads(reads: readonly ReadInput[]): Promise<void> {
    const answers = await this.#java.run(
      reads.map(({ pair, bytes }): Job => ({ op: 'toConnect', plugin: pair.subject.name, bytes: toBase64(bytes) })),
    )
    const suspects: { readonly read: ReadInput; readonly java: Answer; readonly ours: Result<SchemaAndValue> }[] = []
    reads.forEach((read, i) => {
      const { pair, step, bytes } = read
      const java = answers[i] as Answer
      const ours = attempt(() => pair.ours.read(bytes))
      const verdict = this.#verdictOfRead(bytes, ours, java)
      if (verdict === 'different' && java.error === undefined && !isFault(ours)) suspects.push({ read, java, ours })
      else this.#note(step, pair, verdict, [bytesText(bytes), oursText(ours), java])
    })
    // What Java makes of what it read shows whether it kept what was given.
    const back = await this.#java.run(
      suspects.map(
        ({ read, java }): Job => ({
          op: 'fromConnect',
          plugin: read.pair.subject.name,
          schema: java.schema ?? null,
          value: java.value ?? null,
        }),
      ),
    )
    suspects.forEach(({ read, java, ours }, i) => {
      const javaKeeps =
        java.valid !== false && back[i]?.error === undefined && sameMessage(read.bytes, fromBase64(back[i]?.bytes))
      const again = ours.ok ? attempt(() => read.pair.ours.write(ours.value.schema, ours.value.value)) : null
      const kept = again === null || (again.ok && sameMessage(read.bytes, again.value)) || isVerbatim(ours, read.bytes)
      const guarded = (!javaKeeps && kept) || isKnownLoss(ours, java) || isBeyondDate(ours)
      const lines = [bytesText(read.bytes), oursText(ours), java] as const
      this.#note(read.step, read.pair, guarded ? 'guarded' : 'different', lines)
    })
  }

  #verdictOfRead(bytes: Uint8Array | null, ours: Result<SchemaAndValue>, java: Answer): Verdict {
    if (!ours.ok) return java.error === undefined ? 'different' : this.#bothRefuse(ours.error, java.error)
    if (java.error !== undefined) return isBeyondJava(bytes) ? 'guarded' : 'different'
    const { schema, value } = ours.value
    const sameSchema = schemaText(schemaToWire(schema)) === schemaText(java.schema ?? null)
    const sameValue = dataText(valueToWire(schema, value)) === dataText(java.value ?? null)
    return sameSchema && sameValue ? 'equal' : 'different'
  }

  #bothRefuse(ours: Error, java: JavaError | undefined): Verdict {
    if (java === undefined || !isDataError(ours)) return 'different'
    if (ours.message !== java.message) {
      const key = `${ours.message}  |  ${java.class.replace(/^.*\./, '')}: ${java.message}`
        .replaceAll(/\d+/g, '#')
        .slice(0, 260)
      this.wordings.set(key, (this.wordings.get(key) ?? 0) + 1)
    }
    return 'refused'
  }

  #note(step: Step, pair: Pair, verdict: Verdict, [input, ours, java]: readonly [string, string, Answer]): void {
    this.counts[step][verdict]++
    if (verdict === 'different') {
      this.differences.push({ subject: pair.subject.name, step, input, ours, java: javaText(java) })
    }
  }
}

function noCounts(): Record<Verdict, number> {
  return { equal: 0, refused: 0, guarded: 0, different: 0 }
}

function isDataError(error: Error): boolean {
  return error instanceof ConnectError && error.kind === 'record'
}

/** An error that is no data error is a defect, whatever Java does. */
function isFault(result: Result<unknown>): boolean {
  return !result.ok && !isDataError(result.error)
}

function dataText(value: WireValue): string {
  return JSON.stringify(canonical(value, 'ignore'))
}

/** SimpleHeaderConverter writes only the time of day of what lies before 1970; ours has the day, too. */
function isLossyDate(subject: Subject, ours: Uint8Array | null, java: Uint8Array | null): boolean {
  if (subject.role !== 'header' || ours === null || java === null) return false
  const [a, b] = [ours, java].map((bytes) => Buffer.from(bytes).toString('utf8').replaceAll(dayText, dayless))
  return a === b
}

const dayText = /(?:-\d{6}|\d{4,6})-\d{2}-\d{2}(?:T(\d{2}:\d{2}:\d{2}\.\d{3}Z))?/g

function dayless(_: string, time: string | undefined): string {
  return time ?? '00:00:00.000Z'
}

/** Bytes that are no text stay bytes. */
function isVerbatim(ours: Result<SchemaAndValue>, bytes: Uint8Array | null): boolean {
  if (!ours.ok || bytes === null || !(ours.value.value instanceof Uint8Array)) return false
  return Buffer.compare(ours.value.value, bytes) === 0
}

/**
 * Java reads the texts that it writes for NaN and the infinities as 0, and wraps integers of more than
 * 64 bits; in the strings of a header it leaves the escapes, and drops blanks between delimiters, so that two keys may
 * become one. Nothing else differs.
 */
function isKnownLoss(ours: Result<SchemaAndValue>, java: Answer): boolean {
  if (!ours.ok) return false
  const { schema, value } = ours.value
  const plain = (data: WireValue): string => dataText(bareText(data))
  const zeroed = (text: string): string => text.replaceAll(unreadNumber, (match) => `${match.slice(0, 8)}0"]`)
  return (
    zeroed(schemaText(schemaToWire(schema))) === schemaText(java.schema ?? null) &&
    // A schema that Java's value does not fit tells nothing about the types in ours.
    plain(valueToWire(java.valid === false ? null : schema, value)) === plain(java.value ?? null)
  )
}

/**
 * Strings without escapes and blanks, integers wrapped to 64 bits, be they written as doubles; of keys that are equal
 * then, the last.
 */
function bareText(value: WireValue): WireValue {
  const bare = canonical(value, 'ignore')
  if (bare === null || value === null) return bare
  const [type, content] = bare
  if (type === 'list') return ['list', (content as readonly WireValue[]).map(bareText)]
  if (type === 'struct') return ['struct', (content as readonly WireValue[]).map(bareText)]
  if (type === 'map') {
    // In the order in which they came: the canonical one is another.
    const entries = (value[1] as readonly (readonly [WireValue, WireValue])[]).map(
      ([key, item]) => [bareText(key), bareText(item)] as const,
    )
    return ['map', [...new Map(entries.map((entry) => [dataText(entry[0]), entry])).values()]]
  }
  if (type === 'f64') return integerOf(String(content)) ?? bare
  if (type === 'i64') return ['i64', String(BigInt.asIntN(64, BigInt(String(content))))]
  if (type !== 'str') return bare
  const chars = Array.from(String(content)).filter((char) => char > ' ' && char !== '\\')
  return ['str', chars.join('')]
}

/** A list's schema may name another type than its elements have; then the type of a whole number is not known. */
function integerOf(hex: string): WireValue {
  const number = doubleOf(hex)
  if (!Number.isFinite(number)) return ['i64', '0']
  return Number.isSafeInteger(number) ? ['i64', String(number)] : null
}

const unreadNumber =
  /\["(f64)","(?:7ff8000000000000|7ff0000000000000|fff0000000000000)"\]|\["(f32)","(?:7fc00000|7f800000|ff800000)"\]/g

/** Java writes member names with half a character, and cannot read them again; nor exponents of ten digits. */
function isBeyondJava(bytes: Uint8Array | null): boolean {
  return bytes !== null && /\\u[dD][89a-fA-F]|\d[eE][+-]?\d{10}/.test(Buffer.from(bytes).toString('latin1'))
}

/** Days that Java's Date holds, and JavaScript's does not. */
function isBeyondDate(ours: Result<unknown>): boolean {
  return !ours.ok && ours.error instanceof ConnectError && ours.error.code === 'CONNECT_DATA_DATE'
}

/** Java's HashMap of parameters has no order; a schema's default is a value. */
function schemaText(schema: WireSchema | null): string {
  return JSON.stringify(schema, (key, value: unknown) => {
    if (key === 'parameters') return [...(value as readonly (readonly string[])[])].sort()
    return key === 'default' ? canonical(value as WireValue) : value
  })
}

/** Whether two messages say the same, whatever the blanks and the order of members. */
function sameMessage(a: Uint8Array | null, b: Uint8Array | null): boolean {
  if (a === null || b === null) return a === b
  if (Buffer.from(a).toString('latin1').trim() === Buffer.from(b).toString('latin1').trim()) return true
  // Doubles keep the sign of zero, decimals keep every digit: both must be the same.
  return (['double', 'decimal'] as const).every((fractions) => {
    const texts = [a, b].map((bytes) => attempt(() => stringifyJson(sorted(parseJsonBytes(bytes, { fractions })))))
    return texts.every((text) => text.ok) && JSON.stringify(texts[0]) === JSON.stringify(texts[1])
  })
}

function sorted(json: Value): Value {
  if (Array.isArray(json)) return (json as readonly Value[]).map(sorted)
  if (json === null || typeof json !== 'object' || Object.getPrototypeOf(json) !== Object.prototype) return json
  const members = Object.entries(json as { readonly [name: string]: Value }).sort(([a], [b]) => (a < b ? -1 : 1))
  return new Map<Value, Value>(members.map(([name, value]) => [name, sorted(value)]))
}

function fromBase64(text: string | null | undefined): Uint8Array | null {
  return text === null || text === undefined ? null : Buffer.from(text, 'base64')
}

function toBase64(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes).toString('base64')
}

function bytesText(bytes: Uint8Array | null): string {
  return bytes === null ? 'null' : JSON.stringify(Buffer.from(bytes).toString('latin1'))
}

function inputText({ schema, value }: ConnectData): string {
  return `${JSON.stringify(schemaToWire(schema))} ${JSON.stringify(valueToWire(schema, value))}`
}

function oursText(result: Result<unknown>): string {
  if (!result.ok) return `${result.error.name}: ${result.error.message}`
  const { value } = result
  if (value === null) return 'null'
  if (value instanceof Uint8Array) return bytesText(value)
  const { schema, value: data } = value as SchemaAndValue
  return `${JSON.stringify(schemaToWire(schema))} ${dataText(valueToWire(schema, data))}`
}

function javaText({ error, bytes, schema, value }: Answer): string {
  if (error !== undefined) return `${error.class}: ${error.message}`
  if (bytes !== undefined) return bytesText(fromBase64(bytes))
  return `${JSON.stringify(schema)} ${JSON.stringify(canonical(value ?? null, 'ignore'))}`
}
