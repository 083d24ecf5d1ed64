/** Geometric types as well-known binary (OGC 06-103r4), little-endian, as Debezium's geometry structs carry them. */
import { makeSchema, type Schema, type SchemaSpec, Schemas, type Struct, type Value } from '../../../worker/api/data.ts'

const geometryName = 'io.debezium.data.geometry'

export const pointSpec: SchemaSpec = {
  type: 'STRUCT',
  name: `${geometryName}.Point`,
  version: 1,
  doc: 'Geometry (POINT)',
  fields: [
    { name: 'x', schema: Schemas.float64 },
    { name: 'y', schema: Schemas.float64 },
    { name: 'wkb', schema: Schemas.optionalBytes },
    { name: 'srid', schema: Schemas.optionalInt32 },
  ],
}

const pointSchema: Schema = makeSchema(pointSpec)

export const geometrySpec: SchemaSpec = {
  type: 'STRUCT',
  optional: true,
  name: `${geometryName}.Geometry`,
  version: 2,
  doc: 'Geometry',
  fields: [
    { name: 'wkb', schema: Schemas.bytes },
    { name: 'srid', schema: Schemas.optionalInt32 },
    {
      name: 'extensions',
      schema: makeSchema({ type: 'MAP', keySchema: Schemas.string, valueSchema: Schemas.string, optional: true }),
    },
  ],
}

export const geographySpec: SchemaSpec = {
  type: 'STRUCT',
  name: `${geometryName}.Geography`,
  version: 1,
  doc: 'Geography',
  fields: [
    { name: 'wkb', schema: Schemas.bytes },
    { name: 'srid', schema: Schemas.optionalInt32 },
  ],
}

export const circleSpec: SchemaSpec = {
  type: 'STRUCT',
  optional: true,
  name: `${geometryName}.Circle`,
  version: 1,
  doc: 'Geometry (CIRCLE)',
  fields: [
    { name: 'center', schema: pointSchema },
    { name: 'radius', schema: Schemas.float64 },
  ],
}

export const lineSpec: SchemaSpec = {
  type: 'STRUCT',
  optional: true,
  name: `${geometryName}.Line`,
  version: 1,
  doc: 'Geometry (LINE)',
  fields: [
    { name: 'a', schema: Schemas.float64 },
    { name: 'b', schema: Schemas.float64 },
    { name: 'c', schema: Schemas.float64 },
  ],
}

type Point = readonly [number, number]

const number = String.raw`-?(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|Infinity)|NaN`

function numbersOf(text: string): readonly number[] {
  return Array.from(text.matchAll(new RegExp(number, 'gi')), (match) => Number(match[0]))
}

function pointsOf(text: string): readonly Point[] {
  const numbers = numbersOf(text)
  const points: Point[] = []
  for (let i = 0; i + 1 < numbers.length; i += 2) points.push([numbers[i] as number, numbers[i + 1] as number])
  return points
}

const wkb = { point: 1, lineString: 2, polygon: 3 } as const

function encode(kind: number, counts: readonly number[], points: readonly Point[]): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(5 + counts.length * 4 + points.length * 16))
  bytes.setUint8(0, 1)
  bytes.setUint32(1, kind, true)
  let at = 5
  for (const count of counts) {
    bytes.setUint32(at, count, true)
    at += 4
  }
  for (const [x, y] of points) {
    bytes.setFloat64(at, x, true)
    bytes.setFloat64(at + 8, y, true)
    at += 16
  }
  return new Uint8Array(bytes.buffer)
}

/** `(x,y)` */
export function pointValue(text: string): Struct | null {
  const [point] = pointsOf(text)
  if (point === undefined) return null
  return { x: point[0], y: point[1], wkb: encode(wkb.point, [], [point]), srid: null }
}

/** `<(x,y),r>` */
export function circleValue(text: string): Struct | null {
  const [x, y, radius] = numbersOf(text)
  if (x === undefined || y === undefined || radius === undefined) return null
  return { center: { x, y, wkb: encode(wkb.point, [], [[x, y]]), srid: null }, radius }
}

/** `{a,b,c}` */
export function lineValue(text: string): Struct | null {
  const [a, b, c] = numbersOf(text)
  return a === undefined || b === undefined || c === undefined ? null : { a, b, c }
}

function geometry(bytes: Uint8Array, extensions: Readonly<Record<string, string>>): Struct {
  return { wkb: bytes, srid: null, extensions: new Map<Value, Value>(Object.entries(extensions)) }
}

/** A closed ring: the first point again at the end. */
function ring(points: readonly Point[]): readonly Point[] {
  const [first] = points
  return first === undefined ? points : [...points, first]
}

export const geometricValues: Readonly<Record<string, (text: string) => Struct | null>> = {
  box: (text) => {
    const [high, low] = pointsOf(text)
    if (high === undefined || low === undefined) return null
    const corners: readonly Point[] = [
      [high[0], high[1]],
      [high[0], low[1]],
      [low[0], low[1]],
      [low[0], high[1]],
      [high[0], high[1]],
    ]
    return geometry(encode(wkb.polygon, [1, corners.length], corners), { type: 'box' })
  },
  lseg: (text) => {
    const points = pointsOf(text)
    return geometry(encode(wkb.lineString, [points.length], points), { type: 'lseg' })
  },
  path: (text) => {
    const points = pointsOf(text)
    const closed = String(text.startsWith('('))
    return geometry(encode(wkb.lineString, [points.length], points), { type: 'path', closed })
  },
  polygon: (text) => {
    const points = ring(pointsOf(text))
    return geometry(encode(wkb.polygon, [1, points.length], points), { type: 'polygon' })
  },
}

const unitLine: readonly Point[] = [
  [0, 0],
  [1, 0],
]

/** What Debezium puts for a shape that a NOT NULL column of an old row does not have: not empty ones, but of size 1. */
export const geometricFallbacks: Readonly<Record<string, Struct>> = {
  box: geometry(
    encode(
      wkb.polygon,
      [1, 5],
      [
        [0, 0],
        [0, 1],
        [1, 1],
        [1, 0],
        [0, 0],
      ],
    ),
    { type: 'box' },
  ),
  lseg: geometry(encode(wkb.lineString, [2], unitLine), { type: 'lseg' }),
  path: geometry(encode(wkb.lineString, [2], unitLine), { type: 'path' }),
  polygon: geometry(
    encode(
      wkb.polygon,
      [1, 4],
      [
        [0, 0],
        [1, 0],
        [0, 1],
        [0, 0],
      ],
    ),
    { type: 'polygon' },
  ),
}

const sridFlag = 0x2000_0000

/** Extended WKB of PostGIS in hexadecimal; the spatial reference is read out, the bytes stay as they are. */
export function ewkbValue(hex: string, withExtensions: boolean): Struct | null {
  const bytes = new Uint8Array(Buffer.from(hex, 'hex'))
  if (bytes.length < 5) return null
  const view = new DataView(bytes.buffer)
  const littleEndian = view.getUint8(0) === 1
  const hasSrid = (view.getUint32(1, littleEndian) & sridFlag) !== 0
  const srid = hasSrid ? view.getInt32(5, littleEndian) : null
  return withExtensions ? { wkb: bytes, srid, extensions: null } : { wkb: bytes, srid }
}
