import { AvroOutput } from '../../api/avro-output.ts'
import { type AvroOptions, compileAvro } from '../../api/avro-schema.ts'
import { GrowingByteWriter } from '../../api/byte-writer.ts'
import type { ByteWriter } from '../../api/converter.ts'
import type { Schema, StructView, Value, ValueWriter } from '../../api/data.ts'
import { DataError } from '../../api/errors.ts'

type Write = (value: Value, out: ByteWriter) => void

/** One field of a struct: the branch that a present value takes, and how any value is written. */
interface FieldPlan {
  readonly schema: Schema
  /** Index of the value's branch in the union with null; -1 when there is no union. */
  readonly branch: number
  readonly write: Write
}

/** Takes a view's values one after another, as the compiled writer takes those of a struct; the bytes are the same. */
export class AvroViewWriter implements ValueWriter {
  readonly #options: AvroOptions
  readonly #plans = new WeakMap<Schema, readonly FieldPlan[]>()
  readonly #outer: { readonly plan: readonly FieldPlan[]; readonly index: number }[] = []
  readonly #output = new AvroOutput()
  #out: ByteWriter = new GrowingByteWriter(0)
  #plan: readonly FieldPlan[] | null = null
  #index = 0

  constructor(options: AvroOptions) {
    this.#options = options
  }

  /** @param schema of the record; an optional one puts its branch first */
  write(view: StructView, schema: Schema, out: ByteWriter): void {
    this.#out = out
    this.#output.to(out)
    // A view that failed in the middle has left its plans here.
    this.#outer.length = 0
    this.#plan = null
    this.#index = 0
    if (schema.optional) this.#output.integer(branchOf(schema))
    view.writeTo(this)
  }

  #planOf(schema: Schema): readonly FieldPlan[] {
    let plan = this.#plans.get(schema)
    if (plan === undefined) {
      plan = schema.fields.map((field) => {
        const { write } = compileAvro(field.schema, this.#options)
        return { schema: field.schema, branch: branchOf(field.schema), write }
      })
      this.#plans.set(schema, plan)
    }
    return plan
  }

  #next(): FieldPlan {
    const field = this.#plan?.[this.#index]
    if (field === undefined) {
      throw new DataError('CONNECT_DATA_SCHEMA', 'A view wrote more values than its schema has fields')
    }
    this.#index++
    return field
  }

  /** The next field, whose value is not null. */
  #present(): FieldPlan {
    const field = this.#next()
    if (field.branch >= 0) this.#output.integer(field.branch)
    return field
  }

  beginStruct(schema: Schema): void {
    if (this.#plan !== null) {
      this.#present()
      this.#outer.push({ plan: this.#plan, index: this.#index })
    }
    this.#plan = this.#planOf(schema)
    this.#index = 0
  }

  endStruct(): void {
    if (this.#plan === null || this.#index !== this.#plan.length) {
      throw new DataError('CONNECT_DATA_SCHEMA', 'A view wrote fewer values than its schema has fields')
    }
    const outer = this.#outer.pop()
    this.#plan = outer?.plan ?? null
    this.#index = outer?.index ?? 0
  }

  null(): void {
    this.#next().write(null, this.#out)
  }

  boolean(value: boolean): void {
    this.#present()
    this.#output.boolean(value)
  }

  integer(value: number): void {
    this.#present()
    this.#output.integer(value)
  }

  int64(value: bigint): void {
    this.#present()
    this.#output.long(value)
  }

  float(value: number): void {
    if (this.#present().schema.type === 'FLOAT32') this.#output.float(value)
    else this.#output.double(value)
  }

  string(value: string): void {
    this.#next().write(value, this.#out)
  }

  integerText(bytes: Uint8Array, start: number, end: number): void {
    this.#present()
    this.#output.integerText(bytes, start, end)
  }

  utf8(bytes: Uint8Array, start: number, end: number): void {
    const field = this.#next()
    // An enumeration writes its symbol's number.
    if (field.schema.parameters !== null) {
      return field.write(Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8'), this.#out)
    }
    if (field.branch >= 0) this.#output.integer(field.branch)
    this.#output.integer(end - start)
    this.#out.bytes(bytes, start, end)
  }

  value(value: Value): void {
    this.#next().write(value, this.#out)
  }
}

/** The type of a default comes first in a union; a struct's default is not written. */
function branchOf({ optional, defaultValue, type }: Schema): number {
  if (!optional) return -1
  return defaultValue === null || type === 'STRUCT' ? 1 : 0
}
