import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { GrowingByteWriter } from '../../worker/api/byte-writer.ts'
import type { Converter } from '../../worker/api/converter.ts'
import { type Schema, Schemas, StructView, schemaEquals, type Value, valueEquals } from '../../worker/api/data.ts'
import { kindOf } from '../../worker/api/errors.ts'
import { noHeaders } from '../../worker/api/record.ts'

/** A value that the converter must take, and what comes back of it (`undefined`: the same). */
export interface ConverterSample {
  readonly schema: Schema | null
  readonly value: Value
  readonly readSchema?: Schema | null
  readonly readValue?: Value
}

export interface ConverterSubject {
  /** A configured instance. */
  open(): Promise<Converter<unknown>>
  readonly samples: readonly ConverterSample[]
  /** Bytes that are no message of this converter; each must raise a data error. */
  readonly malformed: readonly Uint8Array[]
}

/** Freezes a value with everything in it, so that a change in place throws (I5). */
export function deepFreeze<T>(value: T): T {
  if (value === null || typeof value !== 'object' || ArrayBuffer.isView(value) || Object.isFrozen(value)) return value
  Object.freeze(value)
  if (value instanceof Map) {
    for (const [key, item] of value) {
      deepFreeze(key)
      deepFreeze(item)
    }
  } else for (const item of Object.values(value)) deepFreeze(item)
  return value
}

/** What every converter owes the runtime, whatever its format. */
export function converterConformance(name: string, subject: ConverterSubject): void {
  describe(`converter conformance: ${name}`, () => {
    it('turns a null without a schema into no bytes, and no bytes into null', async () => {
      const converter = await subject.open()
      assert.equal(converter.fromConnectData('t', noHeaders, null, null), null)
      assert.equal(converter.toConnectData('t', noHeaders, null).value, null)
    })

    it('reads back what it wrote (I6)', async () => {
      const converter = await subject.open()
      for (const sample of subject.samples) {
        const value = deepFreeze(sample.value)
        const bytes = converter.fromConnectData('t', noHeaders, sample.schema, value)
        const read = converter.toConnectData('t', noHeaders, bytes)
        const expected = sample.readValue === undefined ? value : sample.readValue
        assert.ok(valueEquals(read.value, expected), `${JSON.stringify(sample.schema?.type)}: value`)
        const schema = sample.readSchema === undefined ? sample.schema : sample.readSchema
        assert.ok(schemaEquals(read.schema, schema), `${JSON.stringify(sample.schema?.type)}: schema`)
      }
    })

    it('writes the same bytes in the fast lane, after what is already there', async () => {
      const converter = await subject.open()
      if (converter.write === undefined) return
      const out = new GrowingByteWriter(16)
      out.ascii('before')
      for (const { schema, value } of subject.samples) {
        const expected = converter.fromConnectData('t', noHeaders, schema, value)
        const mark = out.mark()
        const written = converter.write('t', noHeaders, schema, value, out)
        assert.equal(written, expected !== null)
        assert.deepEqual(Buffer.from(out.since(mark)), Buffer.from(expected ?? []))
      }
      assert.equal(Buffer.from(out.since(0)).subarray(0, 6).toString(), 'before')
    })

    it('writes nothing for a null in the fast lane', async () => {
      const converter = await subject.open()
      if (converter.write === undefined) return
      const out = new GrowingByteWriter(16)
      assert.equal(converter.write('t', noHeaders, null, null, out), false)
      assert.equal(out.length, 0)
    })

    it('does not keep the buffer of an earlier message', async () => {
      const converter = await subject.open()
      const [first, second] = subject.samples
      if (first === undefined || second === undefined) return
      const bytes = converter.fromConnectData('t', noHeaders, first.schema, first.value)
      const copy = bytes === null ? null : Buffer.from(bytes)
      converter.fromConnectData('t', noHeaders, second.schema, second.value)
      assert.deepEqual(bytes === null ? null : Buffer.from(bytes), copy)
    })

    it('keeps no view of the bytes it reads, if it says so: they are written over', async () => {
      const converter = await subject.open()
      if (converter.copiesBytes !== true) return
      for (const { schema, value } of subject.samples) {
        const bytes = converter.fromConnectData('t', noHeaders, schema, value)
        if (bytes === null) continue
        const expected = converter.toConnectData('t', noHeaders, Uint8Array.from(bytes))
        const storage = Uint8Array.from(bytes)
        const read = converter.toConnectData('t', noHeaders, storage)
        storage.fill(0xee)
        assert.ok(valueEquals(read.value, expected.value) && schemaEquals(read.schema, expected.schema), schema?.type)
      }
    })

    it('answers malformed bytes with an error of kind record', async () => {
      const converter = await subject.open()
      for (const bytes of subject.malformed) {
        assert.throws(
          () => converter.toConnectData('t', noHeaders, bytes),
          (error) => kindOf(error) === 'record',
        )
      }
    })

    it('goes on after an error', async () => {
      const converter = await subject.open()
      for (const bytes of subject.malformed) {
        try {
          converter.toConnectData('t', noHeaders, bytes)
        } catch {
          // The error itself is checked above.
        }
      }
      for (const sample of subject.samples) {
        converter.toConnectData('t', noHeaders, converter.fromConnectData('t', noHeaders, sample.schema, sample.value))
      }
    })
  })
}

/** A view over a plain struct that hands every value over in its undecoded form, as a source would. */
export class TestStructView extends StructView {
  readonly schema: Schema
  readonly #struct: { readonly [field: string]: Value }

  constructor(schema: Schema, struct: { readonly [field: string]: Value }) {
    super()
    this.schema = schema
    this.#struct = struct
  }

  materialize(): { readonly [field: string]: Value } {
    return this.#struct
  }

  writeTo(out: Parameters<StructView['writeTo']>[0]): void {
    out.beginStruct(this.schema)
    for (const { name, schema } of this.schema.fields) {
      const value = this.#struct[name] ?? null
      if (value === null) out.null()
      else if (schema.type === 'STRUCT')
        new TestStructView(schema, value as { readonly [f: string]: Value }).writeTo(out)
      else if (schema.name !== null) out.value(value)
      else writeRaw(out, schema, value)
    }
    out.endStruct()
  }
}

function writeRaw(out: Parameters<StructView['writeTo']>[0], schema: Schema, value: Value): void {
  if (typeof value === 'boolean') out.boolean(value)
  else if (typeof value === 'bigint') {
    const text = Buffer.from(`<${value}>`)
    if (value % 2n === 0n) out.int64(value)
    else out.integerText(text, 1, text.length - 1)
  } else if (typeof value === 'string') {
    const text = Buffer.from(`<${value}>`)
    if (value.length % 2 === 0 && value.isWellFormed()) out.utf8(text, 1, text.length - 1)
    else out.string(value)
  } else if (typeof value === 'number') {
    if (schema.type === 'FLOAT32' || schema.type === 'FLOAT64') out.float(value)
    else out.integer(value)
  } else out.value(value)
}

/** One sample of each primitive type, for converters that take any. */
export const primitiveSamples: readonly ConverterSample[] = [
  { schema: Schemas.boolean, value: true },
  { schema: Schemas.int8, value: -128 },
  { schema: Schemas.int16, value: 32767 },
  { schema: Schemas.int32, value: -2147483648 },
  { schema: Schemas.int64, value: 9223372036854775807n },
  { schema: Schemas.float32, value: 1.5 },
  { schema: Schemas.float64, value: 1e300 },
  { schema: Schemas.string, value: 'a"\\\u0000é😀' },
  { schema: Schemas.bytes, value: Uint8Array.of(0, 255, 1) },
  { schema: Schemas.optionalString, value: null },
]
