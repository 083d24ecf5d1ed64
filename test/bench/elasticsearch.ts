import { randomBytes } from 'node:crypto'
import { ElasticsearchIndex } from '../../compose/pipelines/support/elasticsearch-index.ts'
import { groupLag } from '../../compose/pipelines/support/kafka-topics.ts'
import type { Services } from '../../compose/pipelines/support/pipeline.ts'
import { readRecord } from '../../compose/stack/processes.ts'
import { loadSettings } from '../../compose/stack/state.ts'
import { type Measurement, measure } from './measure.ts'
import { startPeer } from './peers.ts'
import { usageOf } from './process-usage.ts'

/** A run, and what the server spent on it: it should be the server that is saturated. */
export interface ElasticsearchMeasurement extends Measurement {
  /** CPU of the Elasticsearch process over the same span. */
  readonly serverCpuSeconds: number
  /** Documents in the index afterwards. */
  readonly documents: number
}

/**
 * Kafka → Elasticsearch, four partitions, the defaults of the connector but for what is read at once.
 * Counted by committed consumer offsets, and checked by the documents of the index.
 */
export async function benchElasticsearch(options: {
  readonly services: Services
  readonly variant: string
  readonly topic: string
  readonly records: number
  readonly port: number
  readonly tasks: number
}): Promise<ElasticsearchMeasurement> {
  const { services, topic, records } = options
  const name = `bench-es-${randomBytes(3).toString('hex')}`
  const server = readRecord(loadSettings(), 'elasticsearch')
  if (server === null) throw new Error('The bench needs the Elasticsearch of this checkout’s stack, whose CPU it reads')
  const index = new ElasticsearchIndex(services.esUrl, topic)
  await index.recreate({ properties: { text: { type: 'text' } } })
  // Progress is read off the committed offsets, so commits must be frequent against the length of a run.
  await using peer = await startPeer('sluice', services.kafkaBrokers, options.port, {
    'offset.flush.interval.ms': '500',
  })
  await peer.connect.request('PUT', `/connectors/${name}/config`, {
    'connector.class': 'io.confluent.connect.elasticsearch.ElasticsearchSinkConnector',
    'tasks.max': String(options.tasks),
    topics: topic,
    'connection.url': services.esUrl,
    'schema.ignore': 'true',
    'read.timeout.ms': '30000',
    'key.converter': 'org.apache.kafka.connect.storage.StringConverter',
    'value.converter': 'org.apache.kafka.connect.json.JsonConverter',
    'value.converter.schemas.enable': 'false',
    'consumer.override.max.poll.records': '2000',
  })
  let before: number | null = null
  let after = 0
  try {
    const measurement = await measure({
      variant: options.variant,
      pid: peer.pid,
      records,
      timeoutMs: 600_000,
      count: async () => {
        const lag = await groupLag(services.kafkaBrokers, `connect-${name}`, topic)
        const count = lag < 0 ? 0 : records - lag
        after = usageOf(server.pid).cpuSeconds
        if (count > 0) before ??= after
        return count
      },
    })
    await index.call('POST', `/${topic}/_refresh`)
    const documents = Number((await index.call('GET', `/${topic}/_count`))['count'])
    return { ...measurement, serverCpuSeconds: after - (before ?? after), documents }
  } finally {
    await peer.connect.remove(name)
    await index.remove()
  }
}

/** The share of the worker's CPU in that of the server, per run. */
export function printShares(measurements: readonly ElasticsearchMeasurement[]): void {
  for (const m of measurements) {
    const share = ((100 * m.cpuSeconds) / m.serverCpuSeconds).toFixed(0)
    const perMillion = ((1e6 * m.serverCpuSeconds) / m.records).toFixed(1)
    console.log(
      `  ${m.variant}: ${m.documents} documents; worker CPU ${share} % of Elasticsearch's (${perMillion} CPU s per M documents)`,
    )
  }
}
