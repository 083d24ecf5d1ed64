/**
 * `npm run bench <name> [-- --records N --runs N --peers sluice,java --profile FOLDER]`; names are those of `benches`.
 *
 * With `--profile` our worker writes a CPU profile of each thread into the folder when it stops; its figures do not count.
 *
 * Variants alternate; ours runs as A and A' so that the table shows what a difference of nothing looks like. `--once`
 * leaves A' out, for long runs that compare nothing.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Services, servicesFrom } from '../../compose/pipelines/support/pipeline.ts'
import { stackEnvironment } from '../../compose/pipelines/support/session.ts'
import { projectRoot } from '../support/project-root.ts'
import { benchCdc } from './cdc.ts'
import { cdcSetups, openSetup } from './cdc-setups.ts'
import { benchConverters } from './converters.ts'
import { benchElasticsearch, type ElasticsearchMeasurement, printShares } from './elasticsearch.ts'
import { benchHotPath } from './hot-path.ts'
import { benchLatency, printLatency } from './latency.ts'
import { type Measurement, printMeasurements } from './measure.ts'
import { benchPartitions, describeFairness } from './partitions.ts'
import { type PeerName, profileInto } from './peers.ts'
import { benchS3, s3Setups, shardsFor } from './s3.ts'
import { benchSink, fillTopic } from './sink.ts'
import { benchSinkPath } from './sink-path.ts'
import { benchStart, describeStart } from './start.ts'
import { benchTransforms } from './transforms.ts'
import { benchWarehouse, printWarehouse } from './warehouse.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    records: { type: 'string', default: '1000000' },
    snapshot: { type: 'string' },
    runs: { type: 'string', default: '2' },
    peers: { type: 'string', default: 'sluice,java' },
    setups: { type: 'string' },
    open: { type: 'string', default: '200' },
    once: { type: 'boolean', default: false },
    bytes: { type: 'string', default: '500' },
    tasks: { type: 'string', default: '1,2' },
    partitions: { type: 'string', default: '1000' },
    port: { type: 'string', default: '8283' },
    profile: { type: 'string' },
    'rows-per-transaction': { type: 'string' },
    rates: { type: 'string', default: '1000,10000' },
    seconds: { type: 'string', default: '30' },
    'rotate-ms': { type: 'string', default: '2000' },
    connectors: { type: 'string', default: '50' },
  },
})
const records = Number(values.records)
const runs = Number(values.runs)
const port = Number(values.port)
const rates = values.rates.split(',').map(Number)
const seconds = Number(values.seconds)

/** Ours twice (A and A'), the peer once, in turn, `runs` times. */
const variants: readonly (readonly [variant: string, peer: PeerName])[] = values.peers
  .split(',')
  .flatMap((peer): (readonly [string, PeerName])[] => {
    if (peer === 'java') return [['java', 'java']]
    return values.once ? [['sluice A', 'sluice']] : ['sluice A', "sluice A'"].map((name) => [name, 'sluice'])
  })
const all: Record<string, Measurement[]> = {}

/** Prints a measurement and keeps it for the table of its group. */
function record(group: string, measurement: Measurement): void {
  const list = all[group] ?? []
  list.push(measurement)
  all[group] = list
  const { variant, records: count, seconds: took, cpuSeconds, peakRssBytes, rssBytes } = measurement
  const megabytes = (bytes: number) => (bytes / 1048576).toFixed(0)
  console.log(
    `  ${group} ${variant}: ${count} records in ${took.toFixed(1)} s, ${cpuSeconds.toFixed(2)} CPU s, ` +
      `peak ${megabytes(peakRssBytes)} MB; by tenths ${rssBytes.map(megabytes).join(' ')} MB`,
  )
}

/** Calls `bench` for each variant in turn, `runs` times. */
async function inTurn(bench: (variant: string, peer: PeerName) => Promise<void>): Promise<void> {
  for (let run = 0; run < runs; run++) for (const [variant, peer] of variants) await bench(variant, peer)
}

const openServices = async (): Promise<Services> => servicesFrom(await stackEnvironment())

const benches: Readonly<Record<string, () => Promise<void>>> = {
  /** Postgres snapshot, then stream, to Kafka. */
  cdc: async () => {
    const services = await openServices()
    const rowsPerTransaction = Number(values['rows-per-transaction'] ?? 10_000)
    const snapshotRecords = Number(values.snapshot ?? records)
    for (const name of (values.setups ?? 'plain').split(',')) {
      await inTurn(async (variant, peer) => {
        await using setup = await openSetup(name)
        const label = name === 'plain' ? '' : `, ${name}`
        const options = { services, peer, variant, records, snapshotRecords, rowsPerTransaction, port, setup }
        const { snapshot, streaming } = await benchCdc(options)
        record(`snapshot${label}`, snapshot)
        record(`streaming${label}`, streaming)
      })
    }
  },
  /** Commit in Postgres to record at a consumer, with the defaults. */
  latency: async () => {
    const services = await openServices()
    const rowsPerTransaction = Number(values['rows-per-transaction'] ?? 1)
    for (const rate of rates)
      for (const [variant, peer] of variants)
        printLatency(await benchLatency({ services, peer, variant, port, rate, rowsPerTransaction, seconds }))
  },
  /** From replication bytes to a sealed record batch, in one thread, without servers. */
  'hot-path': async () => {
    await benchHotPath(Math.min(records, 200_000), 2 * runs)
  },
  /** From the bytes of a fetch to the lines of a file, in one thread, without servers. */
  'sink-path': async () => {
    await benchSinkPath({ records: Math.min(records, 120_000), runs: 4 * runs, bytes: Number(values.bytes) })
  },
  /** Kafka to a sink that does next to nothing. */
  sink: async () => {
    const services = await openServices()
    await using filled = await fillTopic(services, { records, bytes: Number(values.bytes) })
    const { topic } = filled
    await inTurn(async (variant, peer) =>
      record('sink', await benchSink({ services, peer, variant, topic, records, port })),
    )
  },
  /** Kafka to one task of such a sink with many partitions. */
  partitions: async () => {
    const services = await openServices()
    const partitions = Number(values.partitions)
    await using filled = await fillTopic(services, { records, bytes: Number(values.bytes), partitions })
    const { topic } = filled
    await inTurn(async (variant, peer) => {
      const { measurement, fairness } = await benchPartitions({ services, peer, variant, topic, records, port })
      record(`${partitions} partitions`, measurement)
      console.log(`  ${variant}: ${describeFairness(fairness)}`)
    })
  },
  /** Kafka to S3, JSON lines. */
  s3: async () => {
    const services = await openServices()
    const open = Number(values.open)
    await using filled = await fillTopic(services, { records, bytes: Number(values.bytes), shards: shardsFor(open) })
    const { topic } = filled
    const chosen = (values.setups ?? Object.keys(s3Setups).join(',')).split(',').flatMap((name) => {
      const setup = s3Setups[name]
      if (setup === undefined) throw new Error(`--setups ${name}: there are ${Object.keys(s3Setups).join(', ')}`)
      return setup(open)
    })
    for (let run = 0; run < runs; run++)
      for (const [variant, sink] of chosen)
        record('s3', await benchS3({ services, variant, topic, records, port, sink }))
  },
  /** Kafka to Elasticsearch, with the share of the server's CPU. */
  elasticsearch: async () => {
    const services = await openServices()
    await using filled = await fillTopic(services, { records, bytes: Number(values.bytes) })
    const { topic } = filled
    const measurements: ElasticsearchMeasurement[] = []
    // The peer's connector is not on Maven Central.
    const names = values.once ? ['sluice A'] : ['sluice A', "sluice A'"]
    for (let run = 0; run < runs; run++)
      for (const tasks of values.tasks.split(',').map(Number))
        for (const name of names) {
          const variant = `${name}, ${tasks} task${tasks === 1 ? '' : 's'}`
          const measurement = await benchElasticsearch({ services, variant, topic, records, port, tasks })
          measurements.push(measurement)
          record('elasticsearch', measurement)
        }
    printShares(measurements)
  },
  /** From an event to a visible row of the warehouse. */
  warehouse: async () => {
    const services = await openServices()
    const rotateMs = Number(values['rotate-ms'])
    for (const rate of rates) printWarehouse(await benchWarehouse({ services, port, rate, seconds, rotateMs }))
  },
  /** Process start to REST answer; idle memory. */
  start: async () => {
    const { kafkaBrokers } = await openServices()
    const connectors = Number(values.connectors)
    await inTurn(async (variant, peer) => {
      console.log(describeStart(await benchStart({ kafkaBrokers, peer, variant, port, connectors }), connectors))
    })
  },
  /** Converters alone, beside the same classes in Java; without servers. */
  converters: async () => {
    await benchConverters()
  },
  /** Chains of five transforms, beside the same classes in Java; without servers. */
  transforms: async () => {
    await benchTransforms(values.peers.includes('java'))
  },
}

/** The tables of what was recorded, and the raw numbers as a file. */
function printResults(name: string): void {
  for (const [group, measurements] of Object.entries(all)) printMeasurements(group, measurements, 'java')
  if (Object.keys(all).length === 0) return
  const folder = join(projectRoot, 'test/bench/results')
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `${name}-${new Date().toISOString().replaceAll(':', '')}.json`)
  const machine = { machine: cpus()[0]?.model, node: process.version }
  writeFileSync(file, JSON.stringify({ ...machine, records, measurements: all }, null, 2))
  console.log(`\nraw numbers: ${file}`)
}

const [name = ''] = positionals
const bench = benches[name]
if (bench === undefined) {
  console.error(
    `usage: npm run bench <${Object.keys(benches).join('|')}> [-- --records N --runs N --peers sluice,java]\n` +
      `  cdc: --setups ${Object.keys(cdcSetups).join(',')} --rows-per-transaction N --snapshot ROWS --once\n` +
      `  s3: --setups ${Object.keys(s3Setups).join(',')} --open OBJECTS --bytes N\n` +
      '  elasticsearch: --tasks 1,2 --bytes N --once',
  )
  process.exitCode = 2
} else {
  if (values.profile !== undefined) profileInto(values.profile)
  console.log(
    `${cpus().length} × ${cpus()[0]?.model}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Node ${process.version}`,
  )
  await bench()
  printResults(name)
}
