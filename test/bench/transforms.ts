/**
 * Chains of five transforms, one record at a time and nothing around it, beside the same classes in Java. Each step is
 * measured on what the steps before it made, so a chain's cost is the sum.
 */

import {
  Decimal,
  decimalSchema,
  LogicalName,
  makeSchema,
  type Schema,
  Schemas,
  type Value,
} from '../../worker/api/data.ts'
import type { ConnectRecord } from '../../worker/api/record.ts'
import { SinkRecord } from '../../worker/api/record.ts'
import type { Transformation } from '../../worker/api/transform.ts'
import { builtinPlugins } from '../../worker/plugins/builtin.ts'
import { PluginRegistry } from '../../worker/plugins/registry.ts'
import { createTransformationChain } from '../../worker/runtime/transformation-chain.ts'
import { JavaHarness } from '../conformance/java/harness.ts'
import { recordToWire } from '../parity/transforms/record-text.ts'

type Step = readonly [alias: string, className: string, options: Readonly<Record<string, string>>]

const connect = 'org.apache.kafka.connect.transforms.'

const flatSteps: readonly Step[] = [
  ['mask', `${connect}MaskField$Value`, { fields: 'card,mail' }],
  ['rename', `${connect}ReplaceField$Value`, { renames: 'id:order_id', exclude: 'note' }],
  ['cast', `${connect}Cast$Value`, { spec: 'quantity:int64,order_id:string' }],
  [
    'insert',
    `${connect}InsertField$Value`,
    { 'static.field': 'origin', 'static.value': 'shop', 'topic.field': 'topic' },
  ],
  ['key', `${connect}ValueToKey`, { fields: 'order_id' }],
]
const eventSteps: readonly Step[] = [
  [
    'unwrap',
    'io.debezium.transforms.ExtractNewRecordState',
    { 'add.fields': 'op,table', 'delete.tombstone.handling.mode': 'rewrite' },
  ],
  ['mask', `${connect}MaskField$Value`, { fields: 'card,mail' }],
  [
    'time',
    `${connect}TimestampConverter$Value`,
    { field: 'created', 'target.type': 'string', format: "yyyy-MM-dd'T'HH:mm:ss.SSS" },
  ],
  ['drop', `${connect}ReplaceField$Value`, { exclude: 'note' }],
  ['route', `${connect}RegexRouter`, { regex: '([^.]+)\\.([^.]+)\\.([^.]+)', replacement: '$3' }],
]
const schemalessSteps: readonly Step[] = flatSteps.map(([alias, name, options]) => [alias, name, options] as const)

const row = makeSchema({
  type: 'STRUCT',
  name: 'shop.public.orders.Value',
  optional: true,
  fields: [
    { name: 'id', schema: Schemas.int64 },
    { name: 'mail', schema: Schemas.optionalString },
    { name: 'card', schema: Schemas.optionalString },
    { name: 'quantity', schema: Schemas.int32 },
    { name: 'price', schema: decimalSchema(2) },
    { name: 'paid', schema: Schemas.boolean },
    { name: 'created', schema: makeSchema({ type: 'INT64', name: LogicalName.timestamp, version: 1 }) },
    { name: 'note', schema: Schemas.optionalString },
  ],
})
const source = makeSchema({
  type: 'STRUCT',
  name: 'io.debezium.connector.postgresql.Source',
  fields: ['version', 'connector', 'name', 'db', 'schema', 'table'].map((name) => ({ name, schema: Schemas.string })),
})
const envelope = makeSchema({
  type: 'STRUCT',
  name: 'shop.public.orders.Envelope',
  fields: [
    { name: 'before', schema: row },
    { name: 'after', schema: row },
    { name: 'source', schema: source },
    { name: 'op', schema: Schemas.string },
    { name: 'ts_ms', schema: Schemas.optionalInt64 },
  ],
})

function rowOf(i: number): Record<string, Value> {
  return {
    id: BigInt(i),
    mail: `user${i}@example.org`,
    card: '4111111111111111',
    quantity: i % 100,
    price: new Decimal(BigInt(i * 7), 2),
    paid: i % 2 === 0,
    created: new Date(1_700_000_000_000 + i),
    note: i % 3 === 0 ? null : 'deliver to the neighbour',
  }
}

function recordOf(i: number, valueSchema: Schema | null, value: Value): ConnectRecord {
  return new SinkRecord({
    topic: 'shop.public.orders',
    partition: 0,
    offset: BigInt(i),
    timestamp: 1_700_000_000_000,
    valueSchema,
    value,
  })
}

function eventOf(i: number): Value {
  const metadata = {
    version: '3.7.0.Final',
    connector: 'postgresql',
    name: 'shop',
    db: 'shop',
    schema: 'public',
    table: 'orders',
  }
  return { before: null, after: rowOf(i), source: metadata, op: 'c', ts_ms: 1_700_000_000_000n }
}

const plainRow = ({ price, created, ...rest }: Record<string, Value>): Value => ({
  ...rest,
  price: Number(String(price)),
  created: String(created),
})

const inputs = {
  'rows with a schema': { steps: flatSteps, record: (i: number) => recordOf(i, row, rowOf(i)) },
  'rows without a schema': { steps: schemalessSteps, record: (i: number) => recordOf(i, null, plainRow(rowOf(i))) },
  'change events': { steps: eventSteps, record: (i: number) => recordOf(i, envelope, eventOf(i)) },
} as const

const recordCount = 1000
const warmUpMs = 1500
const measureMs = 1500

async function transformationOf([alias, type, options]: Step): Promise<Transformation<unknown>> {
  const own = Object.entries(options).map(([name, value]) => [`transforms.${alias}.${name}`, value])
  const config = { transforms: alias, [`transforms.${alias}.type`]: type, ...Object.fromEntries(own) }
  const [link] = (await createTransformationChain(config, new PluginRegistry(builtinPlugins))).links
  if (link === undefined) throw new Error(`no transform ${type}`)
  return link.transformation
}

/** CPU of the whole process per call, in ns: garbage collection and compilation are part of what a record costs. */
function measureOurs(transformation: Transformation<unknown>, records: readonly ConnectRecord[]): number {
  let kept = 0
  const pass = (): void => {
    for (const record of records) if (transformation.apply(record) !== null) kept++
  }
  const warmUntil = performance.now() + warmUpMs
  while (performance.now() < warmUntil) pass()
  const until = performance.now() + measureMs
  const before = process.cpuUsage()
  let calls = 0
  for (; performance.now() < until; calls += records.length) pass()
  const { user, system } = process.cpuUsage(before)
  if (kept === 0) throw new Error('the transform dropped everything')
  return ((user + system) * 1000) / calls
}

async function measureJava(java: JavaHarness, step: Step, records: readonly ConnectRecord[]): Promise<number> {
  const [alias, type, config] = step
  await java.make({ plugin: alias, class: type, config })
  const job = {
    op: 'bench',
    plugin: alias,
    call: 'apply',
    inputs: records.map(recordToWire),
    warmUpMs,
    measureMs,
  } as const
  const [answer] = await java.run([job])
  if (answer?.calls === undefined || answer.cpuNs === undefined) throw new Error(JSON.stringify(answer?.error))
  return answer.cpuNs / answer.calls
}

/** Prints a table per chain, ours twice. @param withJava whether the peer runs too */
export async function benchTransforms(withJava: boolean): Promise<void> {
  await using java = withJava ? await JavaHarness.open(['debezium-postgres']) : null
  for (const [name, { steps, record }] of Object.entries(inputs)) {
    console.log(`\n${name}: ns of CPU per record\n\n| Step | A | A′ | Java |\n|---|---|---|---|`)
    let records: readonly ConnectRecord[] = Array.from({ length: recordCount }, (_, i) => record(i))
    const sums = [0, 0, 0]
    for (const step of steps) {
      const ours = [await transformationOf(step), await transformationOf(step)].map((t) => measureOurs(t, records))
      const figures = [...ours, java === null ? Number.NaN : await measureJava(java, step, records)]
      figures.forEach((ns, i) => {
        sums[i] = (sums[i] ?? 0) + ns
      })
      console.log(`| ${step[0]}: ${step[1].replace(/^.*\./, '')} | ${figures.map((ns) => ns.toFixed(0)).join(' | ')} |`)
      const transformation = await transformationOf(step)
      records = records.map((r) => transformation.apply(r)).filter((r) => r !== null)
    }
    console.log(`| per step | ${sums.map((sum) => (sum / steps.length).toFixed(0)).join(' | ')} |`)
  }
}
