import { GrowingByteWriter } from '../../worker/api/byte-writer.ts'
import { type Schema, type Struct, StructView, type Value, type ValueWriter } from '../../worker/api/data.ts'
import { noHeaders } from '../../worker/api/record.ts'
import { parseConfig } from '../../worker/config/config-def.ts'
import { JsonConverter, jsonConverterConfig } from '../../worker/converters/json.ts'
import { avroConverterConfig } from '../../worker/converters/registry/avro-config.ts'
import { AvroFormat } from '../../worker/converters/registry/avro-format.ts'
import { JavaHarness } from '../conformance/java/harness.ts'
import { schemaToWire, valueToWire } from '../conformance/java/wire.ts'
import { changeEvent, changeEventSchema } from '../support/change-events.ts'

/** Of warm-up, and of measuring, per line. */
const measureMs = 2000
const schema = changeEventSchema
const inputs = Array.from({ length: 256 }, (_, i) =>
  changeEvent({ after: { id: i, note: `row number ${i} of the table`, big: 10n ** 12n + BigInt(i), raw: null } }),
)

/** CPU of this process per call, in ns: garbage collection and compilation are part of what a record costs. */
function cpuPerCall(call: (index: number) => void): number {
  const run = (ms: number): number => {
    const deadline = performance.now() + ms
    let calls = 0
    for (; performance.now() < deadline; calls += inputs.length) for (let i = 0; i < inputs.length; i++) call(i)
    return calls
  }
  run(measureMs)
  const before = process.cpuUsage()
  const calls = run(measureMs)
  const { user, system } = process.cpuUsage(before)
  return ((user + system) * 1000) / calls
}

interface Line {
  readonly name: string
  readonly ours: number
  readonly java: number | null
}

async function jsonLines(java: JavaHarness, schemas: 'true' | 'false'): Promise<readonly Line[]> {
  const config = { 'schemas.enable': schemas }
  const plugin = `json ${schemas}`
  await java.make({ plugin, class: 'org.apache.kafka.connect.json.JsonConverter', config })
  const converter = new JsonConverter()
  converter.configure(parseConfig(jsonConverterConfig, { 'converter.type': 'value', ...config }), 'value')
  const out = new GrowingByteWriter()
  const write = (value: Value | StructView): void => {
    out.reset()
    converter.write('t', noHeaders, schema, value, out)
  }
  const messages = inputs.map((value) => converter.fromConnectData('t', noHeaders, schema, value) ?? new Uint8Array(0))
  const views = inputs.map((value) => new RowView(schema, value))
  const common = { op: 'bench', plugin, warmUpMs: measureMs, measureMs } as const
  const [from, to] = await java.run([
    { ...common, call: 'fromConnect', schema: schemaToWire(schema), inputs: inputs.map((v) => valueToWire(schema, v)) },
    { ...common, call: 'toConnect', inputs: messages.map((bytes) => Buffer.from(bytes).toString('base64')) },
  ])
  const theirs = (answer: typeof from): number => (answer?.cpuNs ?? Number.NaN) / (answer?.calls ?? 1)
  const name = schemas === 'true' ? 'JSON with schemas' : 'JSON'
  return [
    { name: `${name}, struct to bytes`, ours: cpuPerCall((i) => write(inputs[i] ?? null)), java: theirs(from) },
    { name: `${name}, view to bytes`, ours: cpuPerCall((i) => write(views[i] ?? null)), java: theirs(from) },
    {
      name: `${name}, bytes to struct`,
      ours: cpuPerCall((i) => converter.toConnectData('t', noHeaders, messages[i] ?? null)),
      java: theirs(to),
    },
  ]
}

/** Confluent's AvroConverter is not on Maven Central, so ours stands alone. */
function avroLines(): readonly Line[] {
  const format = new AvroFormat(
    parseConfig(avroConverterConfig, { 'schema.registry.url': 'http://localhost', 'converter.type': 'value' }),
  )
  const encoding = format.encoding(schema)
  const out = new GrowingByteWriter()
  const write = (value: Value | StructView): void => {
    out.reset()
    encoding.write(value, out)
  }
  const messages = inputs.map((value) => {
    write(value)
    return Buffer.from(out.since(0))
  })
  const views = inputs.map((value) => new RowView(schema, value))
  const decoding = format.decoding(encoding.text, [], null)
  return [
    { name: 'Avro, struct to bytes', ours: cpuPerCall((i) => write(inputs[i] ?? null)), java: null },
    { name: 'Avro, view to bytes', ours: cpuPerCall((i) => write(views[i] ?? null)), java: null },
    { name: 'Avro, bytes to struct', ours: cpuPerCall((i) => decoding.read(messages[i] ?? noBytes, 0)), java: null },
  ]
}

const noBytes = new Uint8Array(0)

/** A view as a source has it: text and numbers are bytes that need not be decoded. */
class RowView extends StructView {
  readonly schema: Schema
  readonly #struct: Struct
  readonly #parts: readonly (Uint8Array | RowView | Value)[]

  constructor(schema: Schema, struct: Struct) {
    super()
    this.schema = schema
    this.#struct = struct
    this.#parts = schema.fields.map(({ name, schema: field }) => {
      const value = struct[name] ?? null
      if (typeof value === 'string' || typeof value === 'bigint') return Buffer.from(String(value))
      return field.type === 'STRUCT' && value !== null ? new RowView(field, value as Struct) : value
    })
  }

  materialize(): Struct {
    return this.#struct
  }

  writeTo(out: ValueWriter): void {
    const { fields } = this.schema
    out.beginStruct(this.schema)
    for (let i = 0; i < fields.length; i++) {
      const part = this.#parts[i] ?? null
      if (part === null) out.null()
      else if (part instanceof RowView) part.writeTo(out)
      else if (!(part instanceof Uint8Array)) out.value(part)
      else if (fields[i]?.schema.type === 'STRING') out.utf8(part, 0, part.length)
      else out.integerText(part, 0, part.length)
    }
    out.endStruct()
  }
}

/**
 * `npm run bench converters`: converters alone, beside Java's on the same inputs; CPU per record of the whole process.
 * Needs no servers.
 */
export async function benchConverters(): Promise<void> {
  await using java = await JavaHarness.open([], ['-Xmx2g'])
  const lines = [...(await jsonLines(java, 'true')), ...(await jsonLines(java, 'false')), ...avroLines()]
  console.log(`a change event of 26 fields; CPU per record, Node ${process.version}, Java ${java.javaVersion}\n`)
  console.log('| Conversion | ours, µs | Java, µs | Java / ours |\n|---|---|---|---|')
  for (const { name, ours, java: theirs } of lines) {
    const us = (ns: number): string => (ns / 1000).toFixed(2)
    const ratio = theirs === null ? '' : (theirs / ours).toFixed(1)
    console.log(`| ${name} | ${us(ours)} | ${theirs === null ? '' : us(theirs)} | ${ratio} |`)
  }
}
