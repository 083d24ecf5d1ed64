import {
  LogicalName,
  type Schema,
  type Struct,
  type StructView,
  type Value,
  type ValueWriter,
} from '../../worker/api/data.ts'

interface Level {
  readonly schema: Schema
  readonly target: Record<string, Value>
  next: number
}

/**
 * Takes what a view writes and makes the plain struct of it, so that the slow lane is the fast lane's own walk and the
 * two cannot come apart.
 */
class StructBuilder implements ValueWriter {
  readonly #levels: Level[] = []
  #result: Struct | null = null

  get result(): Struct {
    if (this.#result === null) throw new RangeError('The view wrote no complete struct')
    return this.#result
  }

  beginStruct(schema: Schema): void {
    const target: Record<string, Value> = {}
    if (this.#levels.length > 0) this.#put(target)
    this.#levels.push({ schema, target, next: 0 })
  }

  endStruct(): void {
    const level = this.#levels.pop()
    if (level !== undefined && this.#levels.length === 0) this.#result = level.target
  }

  null(): void {
    this.#put(null)
  }

  boolean(value: boolean): void {
    this.#put(value)
  }

  integer(value: number): void {
    const schema = this.#schema()
    if (schema?.name !== null && schema !== null && isConnectDate(schema.name)) {
      const ms = schema.name === LogicalName.date ? value * 86_400_000 : value
      // A timestamp behind the end of JavaScript's Date is the bare number, as in the converters.
      this.#put(Math.abs(ms) > maxDateMs ? BigInt(value) : new Date(ms))
    } else this.#put(schema?.type === 'INT64' ? BigInt(value) : value)
  }

  int64(value: bigint): void {
    this.#put(value)
  }

  float(value: number): void {
    this.#put(value)
  }

  string(value: string): void {
    this.#put(value)
  }

  integerText(bytes: Uint8Array, start: number, end: number): void {
    const text = textOf(bytes, start, end)
    this.#put(this.#schema()?.type === 'INT64' ? BigInt(text) : Number(text))
  }

  utf8(bytes: Uint8Array, start: number, end: number): void {
    this.#put(textOf(bytes, start, end))
  }

  value(value: Value): void {
    this.#put(value)
  }

  #schema(): Schema | null {
    const level = this.#levels.at(-1)
    return level?.schema.fields[level.next]?.schema ?? null
  }

  #put(value: Value): void {
    const level = this.#levels.at(-1)
    const field = level?.schema.fields[level.next]
    if (level === undefined || field === undefined) throw new RangeError('The view wrote more values than fields')
    level.target[field.name] = value
    level.next += 1
  }
}

const maxDateMs = 8_640_000_000_000_000

function isConnectDate(name: string): boolean {
  return name === LogicalName.date || name === LogicalName.time || name === LogicalName.timestamp
}

function textOf(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8')
}

/** The plain struct that a view stands for. */
export function materializeView(view: StructView): Struct {
  const builder = new StructBuilder()
  view.writeTo(builder)
  return builder.result
}
