import { GrowingByteWriter } from './byte-writer.ts'
import type { ByteWriter } from './converter.ts'
import type { RepeatedValues, Schema, StructView, Value, ValueWriter } from './data.ts'
import { DataError } from './errors.ts'
import { doubleJson, floatJson } from './json.ts'
import { type NullRule, type StructPlan, type Write, writeNull } from './json-plan.ts'
import { writeJsonString, writeJsonUtf8 } from './json-text.ts'
import { falseBytes, trueBytes } from './json-values.ts'

/** What a `JsonViewWriter` keeps of values that come again: their bytes at one place of one plan. */
class RepeatedBytes {
  readonly plan: StructPlan
  readonly index: number
  /** Null until they have come a second time: most values of short transactions never do. */
  readonly bytes: Uint8Array | null

  constructor(plan: StructPlan, index: number, bytes: Uint8Array | null) {
    this.plan = plan
    this.index = index
    this.bytes = bytes
  }
}

/** Takes a view's values one after another; nesting is a stack of plans. */
export class JsonViewWriter implements ValueWriter {
  readonly #planOf: (schema: Schema) => StructPlan
  /** Plans and indexes of the structs around the present one; their storage is used again. */
  readonly #outerPlans: StructPlan[] = []
  readonly #outerIndexes: number[] = []
  #depth = 0
  #out: ByteWriter = new GrowingByteWriter(0)
  #plan: StructPlan | null = null
  #index = 0

  constructor(planOf: (schema: Schema) => StructPlan) {
    this.#planOf = planOf
  }

  write(view: StructView, out: ByteWriter): void {
    this.#out = out
    // A view that failed in the middle has left its plans here.
    this.#depth = 0
    this.#plan = null
    this.#index = 0
    view.writeTo(this)
  }

  /** Writes the name of the next field. */
  #next(): StructPlan {
    const plan = this.#plan
    const prefix = plan?.prefixes[this.#index]
    if (plan === null || prefix === undefined) {
      throw new DataError('CONNECT_DATA_SCHEMA', 'A view wrote more values than its schema has fields')
    }
    this.#out.bytes(prefix)
    this.#index++
    return plan
  }

  beginStruct(schema: Schema): void {
    if (this.#plan !== null) {
      this.#next()
      this.#outerPlans[this.#depth] = this.#plan
      this.#outerIndexes[this.#depth] = this.#index
      this.#depth++
    }
    this.#plan = this.#planOf(schema)
    this.#index = 0
    if (this.#plan.count === 0) this.#out.byte(0x7b)
  }

  endStruct(): void {
    if (this.#plan === null || this.#index !== this.#plan.count) {
      throw new DataError('CONNECT_DATA_SCHEMA', 'A view wrote fewer values than its schema has fields')
    }
    this.#out.byte(0x7d)
    if (this.#depth === 0) {
      this.#plan = null
      this.#index = 0
      return
    }
    this.#depth--
    this.#plan = this.#outerPlans[this.#depth] ?? null
    this.#index = this.#outerIndexes[this.#depth] ?? 0
  }

  null(): void {
    const plan = this.#next()
    writeNull(plan.nulls[this.#index - 1] as NullRule, this.#out, plan.names[this.#index - 1])
  }

  boolean(value: boolean): void {
    this.#next()
    this.#out.bytes(value ? trueBytes : falseBytes)
  }

  integer(value: number): void {
    this.#next()
    this.#out.decimal(value)
  }

  int64(value: bigint): void {
    this.#next()
    this.#out.ascii(value.toString())
  }

  float(value: number): void {
    const plan = this.#next()
    this.#out.ascii(plan.types[this.#index - 1] === 'FLOAT32' ? floatJson(value) : doubleJson(value))
  }

  string(value: string): void {
    this.#next()
    writeJsonString(value, this.#out)
  }

  integerText(bytes: Uint8Array, start: number, end: number): void {
    this.#next()
    this.#out.bytes(bytes, start, end)
  }

  utf8(bytes: Uint8Array, start: number, end: number): void {
    this.#next()
    writeJsonUtf8(bytes, start, end, this.#out)
  }

  value(value: Value): void {
    const plan = this.#next()
    const at = this.#index - 1
    if (value === null) writeNull(plan.nulls[at] as NullRule, this.#out, plan.names[at])
    else (plan.writers[at] as Write)(value, this.#out)
  }

  /** A plan belongs to one writer and its options, so whose memo it is shows in its plan. */
  repeated(values: RepeatedValues): void {
    const plan = this.#plan
    const index = this.#index
    if (plan === null) throw new RangeError('No struct was begun')
    const memo = values.memo
    const own = memo instanceof RepeatedBytes && memo.plan === plan && memo.index === index
    if (own && memo.bytes !== null) {
      this.#out.bytes(memo.bytes)
      this.#index = index + values.count
      return
    }
    const mark = this.#out.mark()
    values.writeTo(this)
    if (this.#plan !== plan || this.#index !== index + values.count) {
      throw new RangeError('Repeated values wrote another number of values than they said')
    }
    values.memo = new RepeatedBytes(plan, index, own ? Uint8Array.from(this.#out.since(mark)) : null)
  }
}
