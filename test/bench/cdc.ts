import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { recreateTopics } from '../../compose/pipelines/support/kafka-topics.ts'
import type { Services } from '../../compose/pipelines/support/pipeline.ts'
import { waitFor } from '../../compose/pipelines/support/wait.ts'
import type { CdcSetup } from './cdc-setups.ts'
import { endOffsetCounter, type Measurement, measure } from './measure.ts'
import { type PeerName, startPeer } from './peers.ts'

const table = `CREATE TABLE bench (id bigint PRIMARY KEY, a text, b text, n int, ts timestamptz)`
/** Rows of about 200 bytes. */
const insert = `INSERT INTO bench SELECT i, md5(i::text) || md5((i + 1)::text) || md5((i + 2)::text), 'row number ' || i || ' with a text', i % 1000, '2026-01-01T00:00:00Z'::timestamptz + i * interval '1 ms'
  FROM generate_series($1::bigint, $2::bigint) i`

export interface CdcOptions {
  readonly services: Services
  readonly peer: PeerName
  readonly variant: string
  /** Of the backlog. */
  readonly records: number
  readonly snapshotRecords: number
  /** Of the backlog that is streamed. */
  readonly rowsPerTransaction: number
  readonly port: number
  readonly setup: CdcSetup
}

/**
 * Postgres → Kafka, full Debezium envelope, JSON without schemas, one table, one slot, one partition, acks=all.
 * First the snapshot of `snapshotRecords` rows; then the connector is stopped, `records` more rows are committed, and the clock
 * runs while it streams that backlog.
 */
export async function benchCdc(
  options: CdcOptions,
): Promise<{ readonly snapshot: Measurement; readonly streaming: Measurement }> {
  const { services, records, snapshotRecords, variant, setup } = options
  const token = randomBytes(3).toString('hex')
  const database = `bench_${token}`
  const topic = `bench_${token}.public.bench`
  const name = `bench-${token}`
  const admin = new Client({ connectionString: services.pgUrl })
  await admin.connect()
  await admin.query(`CREATE DATABASE ${database}`)
  const url = new URL(services.pgUrl)
  url.pathname = `/${database}`
  const pg = new Client({ connectionString: url.href })
  await pg.connect()
  try {
    await pg.query(table)
    await fill(pg, { from: 1, to: snapshotRecords, chunk: 10_000 })
    await pg.query('CHECKPOINT')
    await recreateTopics(services.kafkaBrokers, { [topic]: 1 })
    await using peer = await startPeer(options.peer, services.kafkaBrokers, options.port, setup.worker)
    await using counter = await endOffsetCounter(services.kafkaBrokers, topic)
    await peer.connect.request('PUT', `/connectors/${name}/config`, {
      ...connectorConfig(services, database, `bench_${token}`),
      ...setup.connector,
    })
    const snapshot = await measure({
      variant,
      pid: peer.pid,
      records: snapshotRecords,
      timeoutMs: 600_000,
      count: () => counter.count(),
    })
    await peer.connect.running(name, 1)
    // The offset of the snapshot's end must be committed, or the next start begins again.
    await waitFor('the slot to be in use', 60_000, async () => {
      const slots = await admin.query(`SELECT FROM pg_replication_slots WHERE slot_name = 'bench_${token}' AND active`)
      return slots.rowCount === 1 ? true : null
    })
    await peer.connect.stop(name)
    await fill(pg, {
      from: snapshotRecords + 1,
      to: snapshotRecords + records,
      chunk: options.rowsPerTransaction,
    })
    await pg.query('CHECKPOINT')
    const base = await counter.count()
    await peer.connect.resume(name)
    const streaming = await measure({
      variant,
      pid: peer.pid,
      records,
      timeoutMs: 600_000,
      count: async () => (await counter.count()) - base,
    })
    await peer.connect.remove(name)
    return { snapshot, streaming }
  } finally {
    await pg.end()
    await waitFor('the slot to be dropped', 60_000, async () => {
      await admin.query(
        `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'bench_${token}'`,
      )
      return true
    })
    await admin.query(`DROP DATABASE ${database} WITH (FORCE)`)
    await admin.end()
  }
}

async function fill(
  pg: Client,
  { from, to, chunk }: { readonly from: number; readonly to: number; readonly chunk: number },
): Promise<void> {
  for (let first = from; first <= to; first += chunk) await pg.query(insert, [first, Math.min(to, first + chunk - 1)])
}

/** @param tuning `defaults` leaves everything as a user finds it; otherwise the peer is tuned, not crippled */
export function connectorConfig(
  services: Services,
  database: string,
  prefix: string,
  tuning: 'throughput' | 'defaults' = 'throughput',
): Record<string, string> {
  const url = new URL(services.pgUrl)
  return {
    'connector.class': 'io.debezium.connector.postgresql.PostgresConnector',
    'tasks.max': '1',
    'database.hostname': url.hostname,
    'database.port': url.port,
    'database.user': decodeURIComponent(url.username),
    'database.password': decodeURIComponent(url.password) || 'none',
    'database.dbname': database,
    'topic.prefix': prefix,
    'plugin.name': 'pgoutput',
    'slot.name': prefix,
    'publication.name': prefix,
    'publication.autocreate.mode': 'filtered',
    'table.include.list': 'public.bench',
    ...(tuning === 'throughput' ? throughput : {}),
  }
}

/** What ours does not need it accepts all the same. */
const throughput = {
  'max.batch.size': '20000',
  'max.queue.size': '100000',
  'poll.interval.ms': '10',
  'snapshot.fetch.size': '20000',
  'producer.override.batch.size': '1000000',
  'producer.override.linger.ms': '50',
  'producer.override.compression.type': 'lz4',
}
