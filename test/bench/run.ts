/**
 * `npm run bench <cdc|latency|sink|elasticsearch|start|hot-path|transforms|converters|s3|warehouse> [-- --records N --runs N --peers sluice,java --profile FOLDER]`
 *
 * With `--profile` our worker writes a CPU profile of each thread into the folder when it stops; its figures do not count.
 *
 * Variants alternate; ours runs as A and A' so that the table shows what a difference of nothing looks like.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { servicesFrom } from '../../compose/pipelines/support/pipeline.ts'
import { stackEnvironment } from '../../compose/pipelines/support/session.ts'
import { projectRoot } from '../support/project-root.ts'
import { benchCdc } from './cdc.ts'
import { benchConverters } from './converters.ts'
import { benchElasticsearch, type ElasticsearchMeasurement, printShares } from './elasticsearch.ts'
import { benchHotPath } from './hot-path.ts'
import { benchLatency } from './latency.ts'
import { type Measurement, printMeasurements } from './measure.ts'
import { type PeerName, profileInto, startPeer } from './peers.ts'
import { usageOf } from './process-usage.ts'
import { benchS3, s3Variants } from './s3.ts'
import { benchSink, fillTopic } from './sink.ts'
import { benchTransforms } from './transforms.ts'
import { benchWarehouse, printWarehouse } from './warehouse.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    records: { type: 'string', default: '1000000' },
    runs: { type: 'string', default: '2' },
    peers: { type: 'string', default: 'sluice,java' },
    bytes: { type: 'string', default: '500' },
    port: { type: 'string', default: '8283' },
    profile: { type: 'string' },
    'rows-per-transaction': { type: 'string', default: '10000' },
    rates: { type: 'string', default: '1000,10000' },
    seconds: { type: 'string', default: '30' },
    'rotate-ms': { type: 'string', default: '2000' },
  },
})
const records = Number(values.records)
const port = Number(values.port)
const rowsPerTransaction = Number(values['rows-per-transaction'])
if (positionals[0] === 'transforms') {
  // Alone in its process, and without servers.
  await benchTransforms(values.peers.includes('java'))
  process.exit()
}
if (positionals[0] === 'converters') {
  await benchConverters()
  process.exit()
}
const services = servicesFrom(await stackEnvironment())

/** Ours twice (A and A'), the peer once, in turn, `runs` times. */
const variants: readonly (readonly [variant: string, peer: PeerName])[] = values.peers
  .split(',')
  .flatMap((peer): (readonly [string, PeerName])[] =>
    peer === 'java'
      ? [['java', 'java']]
      : [
          ['sluice A', 'sluice'],
          ["sluice A'", 'sluice'],
        ],
  )
if (values.profile !== undefined) profileInto(values.profile)
const reference = values.peers.includes('java') && positionals[0] !== 's3' ? 'java' : 'sluice A'

console.log(`${cpus().length} × ${cpus()[0]?.model}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Node ${process.version}`)
const all: Record<string, Measurement[]> = {}
const record = (group: string, measurement: Measurement) => {
  const list = all[group] ?? []
  list.push(measurement)
  all[group] = list
  console.log(
    `  ${group} ${measurement.variant}: ${measurement.records} records in ${measurement.seconds.toFixed(1)} s, ${measurement.cpuSeconds.toFixed(2)} CPU s, peak ${(measurement.peakRssBytes / 1048576).toFixed(0)} MB`,
  )
}

switch (positionals[0]) {
  case 'cdc':
    for (let run = 0; run < Number(values.runs); run++) {
      for (const [variant, peer] of variants) {
        const { snapshot, streaming } = await benchCdc({ services, peer, variant, records, rowsPerTransaction, port })
        record('snapshot', snapshot)
        record('streaming', streaming)
      }
    }
    break
  case 'latency':
    for (const rate of values.rates.split(',').map(Number)) {
      for (const [variant, peer] of variants) {
        const result = await benchLatency({ services, peer, variant, port, rate, seconds: Number(values.seconds) })
        console.log(
          `  ${variant} at ${rate}/s: commit to record p50 ${result.p50Ms.toFixed(1)} ms, p99 ${result.p99Ms.toFixed(1)} ms, max ${result.maxMs.toFixed(1)} ms over ${result.records} records; ${((result.cpuSeconds / Number(values.seconds)) * 100).toFixed(0)} % of a core, peak ${(result.peakRssBytes / 1048576).toFixed(0)} MB`,
        )
      }
    }
    break
  case 'hot-path':
    await benchHotPath(Math.min(records, 200_000), 2 * Number(values.runs))
    break
  case 'sink': {
    const topic = await fillTopic(services, records, Number(values.bytes))
    for (let run = 0; run < Number(values.runs); run++) {
      for (const [variant, peer] of variants)
        record('sink', await benchSink({ services, peer, variant, topic, records, port }))
    }
    break
  }
  case 's3': {
    const topic = await fillTopic(services, records, Number(values.bytes))
    for (let run = 0; run < Number(values.runs); run++) {
      for (const [variant, sink] of s3Variants)
        record('s3', await benchS3({ services, variant, topic, records, port, sink }))
    }
    break
  }
  case 'elasticsearch': {
    const topic = await fillTopic(services, records, Number(values.bytes))
    const measurements: ElasticsearchMeasurement[] = []
    for (let run = 0; run < Number(values.runs); run++) {
      for (const [variant, peer] of variants) {
        const measurement = await benchElasticsearch({ services, peer, variant, topic, records, port })
        measurements.push(measurement)
        record('elasticsearch', measurement)
      }
    }
    printShares(measurements)
    break
  }
  case 'warehouse': {
    const seconds = Number(values.seconds)
    const rotateMs = Number(values['rotate-ms'])
    for (const rate of values.rates.split(',').map(Number))
      printWarehouse(await benchWarehouse({ services, port, rate, seconds, rotateMs }))
    break
  }
  case 'start':
    for (let run = 0; run < Number(values.runs); run++) {
      for (const [variant, name] of variants) {
        await using peer = await startPeer(name, services.kafkaBrokers, port)
        await new Promise((done) => setTimeout(done, 5_000))
        console.log(
          `  ${variant}: REST answers after ${peer.startMs.toFixed(0)} ms; idle RSS after 5 s ${(usageOf(peer.pid).rssBytes / 1048576).toFixed(0)} MB`,
        )
      }
    }
    break
  default:
    console.error(
      'usage: npm run bench <cdc|latency|sink|elasticsearch|start|hot-path|transforms|converters|s3|warehouse> [-- --records N --runs N --peers sluice,java]',
    )
    process.exitCode = 2
}

for (const [group, measurements] of Object.entries(all)) printMeasurements(group, measurements, reference)
if (Object.keys(all).length > 0) {
  const folder = join(projectRoot, 'test/bench/results')
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `${positionals[0]}-${new Date().toISOString().replaceAll(':', '')}.json`)
  writeFileSync(
    file,
    JSON.stringify({ machine: cpus()[0]?.model, node: process.version, records, measurements: all }, null, 2),
  )
  console.log(`\nraw numbers: ${file}`)
}
