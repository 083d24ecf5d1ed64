import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import protobuf from 'protobufjs'
import { GrowingByteWriter } from '../../../../../worker/api/byte-writer.ts'
import {
  Decimal,
  decimalSchema,
  LogicalName,
  makeSchema,
  type Schema,
  Schemas,
  type Struct,
  type Value,
  valueEquals,
} from '../../../../../worker/api/data.ts'
import { kindOf } from '../../../../../worker/api/errors.ts'
import { TestStructView } from '../../../../conformance/converter.ts'
import { schemas, values } from '../../../../conformance/java/arbitraries.ts'
import { testSeed } from '../../../../support/seed.ts'
import { isWellFormed, ValidNames } from '../../../../support/valid-names.ts'
import { encode, format } from './protobuf-support.ts'

describe('Protobuf converter', () => {
  it('reads back what it wrote, with optional.for.nullables also the nulls (I6)', async () => {
    const made = await format({ 'optional.for.nullables': 'true', 'enhanced.protobuf.schema.support': 'true' })
    const options = { javaVersion: 25 }
    const data = schemas(options).chain((schema) => values(schema, options).map((value) => [schema, value] as const))
    const seed = testSeed
    let count = 0
    fc.assert(
      fc.property(data, ([from, original]) => {
        const schema = new ValidNames().schema(from)
        const value = ValidNames.value(from, original)
        if (schema.type !== 'STRUCT' || value === null || !isWellFormed(value) || !isProtobuf(schema)) return
        if (holdsNullInside(value)) return
        count++
        const { text, bytes } = encode(made, schema, value)
        const read = made.decoding(text, [], null).read(bytes, 0)
        assert.ok(valueEquals(comparable(read.value), comparable(value)), `seed ${seed}: ${text}`)
        const out = new GrowingByteWriter(16)
        out.byte(0)
        made.encoding(schema).write(new TestStructView(schema, value as Struct), out)
        assert.deepEqual(Buffer.from(out.since(0)), bytes)
      }),
      { numRuns: 3000, seed },
    )
    assert.ok(count > 50, `only ${count} structs`)
  })

  it('describes each type as Confluent does, in bytes that an independent library reads', async () => {
    const inner = makeSchema({ type: 'STRUCT', name: 'com.x.Inner', fields: [{ name: 'z', schema: Schemas.float64 }] })
    const schema = makeSchema({
      type: 'STRUCT',
      name: 'com.example.Order',
      fields: [
        { name: 'b', schema: Schemas.int8 },
        { name: 'n', schema: Schemas.optionalInt64 },
        { name: 's', schema: Schemas.optionalString },
        { name: 'list', schema: makeSchema({ type: 'ARRAY', valueSchema: Schemas.int32 }) },
        { name: 'tag_map', schema: makeSchema({ type: 'MAP', keySchema: Schemas.string, valueSchema: Schemas.int64 }) },
        { name: 'inner', schema: inner },
        { name: 'd', schema: decimalSchema(2) },
        { name: 't', schema: makeSchema({ type: 'INT64', name: LogicalName.timestamp, version: 1 }) },
      ],
    })
    const made = await format()
    const { text, bytes } = encode(made, schema, {
      b: -1,
      n: null,
      s: 'é',
      list: [1, -2],
      tag_map: new Map([['k', 9n]]),
      inner: { z: 0.5 },
      d: new Decimal(1020n, 2),
      t: new Date(1_500),
    })
    assert.equal(
      text,
      `syntax = "proto3";
package com.example;

import "confluent/meta.proto";
import "confluent/type/decimal.proto";
import "google/protobuf/timestamp.proto";

message Order {
  int32 b = 1 [(confluent.field_meta) = { params: [{ key: "connect.type", value: "int8" }] }];
  int64 n = 2;
  string s = 3;
  repeated int32 list = 4;
  message TagMapEntry {
    string key = 1;
    int64 value = 2;
  }
  repeated TagMapEntry tag_map = 5;
  message Inner {
    double z = 1;
  }
  Inner inner = 6;
  confluent.type.Decimal d = 7 [(confluent.field_meta) = { params: [{ key: "scale", value: "2" }] }];
  google.protobuf.Timestamp t = 8;
}
`,
    )
    const root = new protobuf.Root()
    protobuf.parse(text.replace(/^import.*$/gm, ''), root, { keepCase: true })
    protobuf.parse(
      'syntax="proto3"; package confluent.type; message Decimal { bytes value=1; uint32 precision=2; int32 scale=3; }',
      root,
    )
    root.addJSON(protobuf.common.get('google/protobuf/timestamp.proto')?.nested ?? {})
    const message = root.lookupType('com.example.Order').decode(bytes.subarray(1)).toJSON()
    assert.deepEqual(message, {
      b: -1,
      s: 'é',
      list: [1, -2],
      tag_map: [{ key: 'k', value: '9' }],
      inner: { z: 0.5 },
      d: { value: 'A/w=', scale: 2 },
      t: { seconds: '1', nanos: 500_000_000 },
    })
    const read = made.decoding(text, [], 7).read(bytes, 0)
    assert.equal(read.schema?.version, 7)
    assert.equal(read.schema.name, 'Order')
    assert.equal(read.schema.fieldsByName.get('b')?.schema.type, 'INT8')
    assert.equal(read.schema.fieldsByName.get('d')?.schema.parameters?.get('scale'), '2')
    assert.deepEqual((read.value as Struct)['n'], 0n)
  })

  it('reads what an independent library wrote: every number, oneof, enum, map, nested, unknown fields', async () => {
    const text = `syntax = "proto3";
      package a.b;
      import "other.proto";
      message First { int32 x = 1; }
      message All {
        sint32 si = 1; uint32 ui = 2; fixed32 f = 3; sfixed64 sf = 4; uint64 ul = 5; sint64 sl = 6;
        float fl = 7; double db = 8; bool ok = 9; bytes raw = 10;
        enum Color { RED = 0; BLUE = 2; }
        Color color = 11; repeated Color colors = 12;
        map<int32, string> names = 13;
        oneof pick { string text = 14; int64 number = 15; }
        optional int32 maybe = 16; optional int32 never = 17;
        repeated string words = 18;
        c.Other other = 19;
        message Deep { bool d = 1; }
        int32 absent = 20;
      }`
    const otherText = 'syntax = "proto3"; package c; message Other { string o = 1; }'
    const root = new protobuf.Root()
    protobuf.parse(text, root, { keepCase: true })
    protobuf.parse(otherText, root, { keepCase: true })
    const type = root.lookupType('a.b.All')
    const data = type
      .encode(
        type.fromObject({
          si: -5,
          ui: 4294967295,
          f: 7,
          sf: '-9007199254740993',
          ul: '18446744073709551615',
          sl: '-3',
          fl: 1.5,
          db: -0.25,
          ok: true,
          raw: Buffer.of(1, 255),
          color: 2,
          colors: ['RED', 'BLUE'],
          names: { 3: 'three', '-1': 'minus' },
          number: '12',
          maybe: 0,
          words: ['a', ''],
          other: { o: 'ref' },
        }),
      )
      .finish()
    const unknown = Buffer.from([0xc0, 0x3e, 0x05])
    // The second message of the file: one index, 1.
    const message = Buffer.concat([Buffer.of(2, 2), data, unknown])
    const made = await format()
    const { value, schema } = made.decoding(text, [{ name: 'other.proto', text: otherText }], null).read(message, 0)
    assert.deepEqual(value, {
      pick_0: { text: null, number: 12n },
      si: -5,
      ui: 4294967295n,
      f: 7n,
      sf: -9007199254740993n,
      ul: -1n,
      sl: -3n,
      fl: 1.5,
      db: -0.25,
      ok: true,
      raw: Uint8Array.of(1, 255),
      color: 'BLUE',
      colors: ['RED', 'BLUE'],
      names: new Map([
        [3, 'three'],
        [-1, 'minus'],
      ]),
      maybe: 0,
      never: null,
      words: ['a', ''],
      other: { o: 'ref' },
      absent: 0,
    })
    assert.equal(schema?.fieldsByName.get('si')?.schema.parameters?.get('io.confluent.connect.protobuf.Type'), 'sint32')
    const first = made.decoding(text, [{ name: 'other.proto', text: otherText }], null).read(Buffer.of(0, 8, 4), 0)
    assert.deepEqual(first.value, { x: 4 })
    const numbers = await format({ 'int.for.enums': 'true' })
    const again = numbers.decoding(text, [{ name: 'other.proto', text: otherText }], null).read(message, 0)
    assert.equal((again.value as Struct)['color'], 2)
  })

  it('reads a oneof under its own name, or as fields of the message, of which the last one counts', async () => {
    const text = 'syntax = "proto3"; message M { oneof pick { string text = 1; int64 number = 2; } int32 n = 3; }'
    // Both branches, the number last.
    const message = Buffer.of(0, 0x0a, 1, 0x61, 0x10, 7, 0x18, 5)
    const read = async (options: Readonly<Record<string, string>>) =>
      (await format(options)).decoding(text, [], null).read(message, 0)
    assert.deepEqual((await read({ 'generate.index.for.unions': 'false' })).value, {
      pick: { text: null, number: 7n },
      n: 5,
    })
    const flat = await read({ 'flatten.unions': 'true' })
    assert.deepEqual(flat.value, { text: null, number: 7n, n: 5 })
    assert.deepEqual(
      flat.schema?.fields.map((field) => [field.name, field.schema.type, field.schema.optional]),
      [
        ['text', 'STRING', true],
        ['number', 'INT64', true],
        ['n', 'INT32', true],
      ],
    )
  })

  it('wraps primitives that stand alone', async () => {
    const made = await format()
    for (const [schema, value] of [
      [Schemas.string, 'x'],
      [Schemas.int64, -(2n ** 62n)],
      [Schemas.boolean, false],
    ] as const) {
      const { text, bytes } = encode(made, schema, value)
      const read = made.decoding(text, [], null).read(bytes, 0)
      assert.deepEqual(read.value, value)
      assert.equal(read.schema?.type, schema.type)
    }
  })

  it('answers broken data with an error of kind record, and schemas that it cannot use', async () => {
    const made = await format()
    const text =
      'syntax="proto3"; message M { string s = 1; repeated fixed64 f = 2; M2 m = 3; message M2 { int64 i = 1; } }'
    const decoding = made.decoding(text, [], null)
    const bytes = Buffer.from([0, 0x0a, 2, 0x61, 0x62, 0x12, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0x1a, 2, 8, 1])
    decoding.read(bytes, 0)
    for (let at = 1; at < bytes.length; at++) {
      for (const byte of [0xff, 0x80]) {
        const changed = Buffer.from(bytes)
        changed[at] = byte
        try {
          decoding.read(changed, 0)
        } catch (error) {
          assert.equal(kindOf(error), 'record')
        }
      }
    }
    assert.throws(() => decoding.read(bytes.subarray(0, 4), 0), { kind: 'record' })
    assert.throws(() => decoding.read(Buffer.of(2, 18, 0), 0), { code: 'CONNECT_REGISTRY_FRAME' })
    assert.throws(() => made.decoding('syntax="proto3"; message L { L next = 1; }', [], null), /contains itself/)
    assert.throws(() => made.decoding('message {', [], null), { kind: 'record' })
    const nested = makeSchema({ type: 'ARRAY', valueSchema: makeSchema({ type: 'ARRAY', valueSchema: Schemas.int32 }) })
    const lists = makeSchema({ type: 'STRUCT', fields: [{ name: 'l', schema: nested }] })
    assert.throws(() => made.encoding(lists), { kind: 'record', message: /list of lists/ })
  })
})

function holdsNullInside(value: Value): boolean {
  if (Array.isArray(value)) return value.includes(null) || (value as readonly Value[]).some(holdsNullInside)
  if (value instanceof Map) {
    const entries = [...(value as ReadonlyMap<Value, Value>)]
    return entries.some(([, item]) => item === null || holdsNullInside(item))
  }
  if (value === null || typeof value !== 'object' || Object.getPrototypeOf(value) !== Object.prototype) return false
  return Object.values(value as Struct).some(holdsNullInside)
}

/** Empty and absent lists and maps are the same in Protobuf. */
function comparable(value: Value): Value {
  if (Array.isArray(value)) return value.length === 0 ? null : (value as readonly Value[]).map(comparable)
  if (value instanceof Map) {
    const entries = [...(value as ReadonlyMap<Value, Value>)]
    return entries.length === 0 ? null : new Map(entries.map(([k, v]) => [k, comparable(v)]))
  }
  if (value === null || typeof value !== 'object' || Object.getPrototypeOf(value) !== Object.prototype) return value
  return Object.fromEntries(Object.entries(value as Struct).map(([name, item]) => [name, comparable(item)]))
}

/** Protobuf has no lists of lists, and of map keys only numbers, booleans and text. */
function isProtobuf(schema: Schema, inList = false): boolean {
  const { type, keySchema, valueSchema, defaultValue } = schema
  if (inList && (type === 'ARRAY' || type === 'MAP')) return false
  if (defaultValue !== null) return false
  if (keySchema !== null && keySchema.type === 'BYTES') return false
  if (type === 'MAP' && (valueSchema?.type === 'ARRAY' || valueSchema?.type === 'MAP')) return false
  const parts = [...schema.fields.map((field) => field.schema), keySchema]
  return (
    parts.every((part) => part === null || isProtobuf(part)) && (valueSchema === null || isProtobuf(valueSchema, true))
  )
}
