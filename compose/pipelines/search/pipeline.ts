import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { deleteGroups, groupLag, recreateTopics } from '../support/kafka-topics.ts'
import type { Pipeline, PipelineRun } from '../support/pipeline.ts'
import { percentile, type Report } from '../support/report.ts'
import { waitFor } from '../support/wait.ts'
import { compareDocuments, elasticsearch, index, type SearchDocument } from './documents.ts'
import { insertUsers, liveChanges, openConversations } from './feed.ts'

const sinkGroup = 'connect-search-sink'
const tableTopics = ['shop.users', 'shop.conversations', 'shop.conversation_items']

/** Postgres → Kafka → a stream application → Kafka → Elasticsearch, where a tombstone is a DELETE. */
export class SearchPipeline implements Pipeline {
  readonly name = 'search'
  #stream: ChildProcess | null = null
  #latencies: { readonly indexed: number[]; readonly searchable: number[] } = { indexed: [], searchable: [] }
  #restream = 'not run'

  async prepare(run: PipelineRun): Promise<void> {
    const { services, connect } = run
    for (const name of ['search-source', 'search-sink']) await connect.remove(name)
    const admin = new Client({ connectionString: services.pgUrl })
    await admin.connect()
    try {
      await waitFor('the old replication slot to be free', 30_000, async () => {
        await admin.query(
          `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'shop_search'`,
        )
        return true
      })
      await admin.query('DROP DATABASE IF EXISTS shop WITH (FORCE)')
      await admin.query('CREATE DATABASE shop')
    } finally {
      await admin.end()
    }
    await using client = await shop(services.pgUrl)
    await client.pg.query(await readFile(new URL('schema.sql', import.meta.url), 'utf8'))
    await waitFor('old consumer groups to be empty', 60_000, async () => {
      await deleteGroups(services.kafkaBrokers, [sinkGroup, 'shop-documents'])
      return true
    })
    await recreateTopics(services.kafkaBrokers, {
      'shop.users': 2,
      'shop.conversations': 4,
      'shop.conversation_items': 4,
      'shop.documents': 4,
    })
    await elasticsearch(services.esUrl, 'DELETE', `/${index}?ignore_unavailable=true`)
  }

  async execute(run: PipelineRun): Promise<void> {
    const { services } = run
    const conversations = 20_000 * run.scale
    const users = 2_000
    await using client = await shop(services.pgUrl)

    run.step(`writes ${users} users and ${conversations / 2} conversations to Postgres, before the connectors exist`)
    await insertUsers(client.pg, users)
    await openConversations(client.pg, 1, conversations / 2, users)

    run.step('creates the connectors over REST and starts the stream application')
    await this.start(run)

    run.step('snapshot is on its way; the other half of the conversations and their changes are written meanwhile')
    const chunk = 500
    for (let from = 1; from <= conversations; from += chunk) {
      if (from > conversations / 2) await openConversations(client.pg, from, from + chunk - 1, users)
      await liveChanges(client.pg, from, from + chunk - 1, users)
      if (run.kill && from <= conversations / 2 && from + chunk > conversations / 2)
        await killWorkerOf(run, 'search-source')
    }
    await this.settle(run, client.pg)

    run.step('measures the delay of single commits')
    this.#latencies = await measureDelay(client.pg, services.esUrl)

    run.step('restreams the whole topic: offsets deleted over REST, connector resumed')
    await this.#restreamOnce(run, client.pg)
  }

  /** Starts the stream application and the connectors. */
  async start(run: PipelineRun): Promise<void> {
    const { services, connect } = run
    this.#stream = startStream(services.kafkaBrokers)
    await connect.apply(new URL('source.json', import.meta.url))
    await connect.apply(new URL('sink.json', import.meta.url))
    await connect.running('search-source', 1)
    await connect.running('search-sink', 2)
  }

  /** Waits until everything that was committed has arrived everywhere. */
  async settle(run: PipelineRun, pg: Client): Promise<void> {
    const { services } = run
    const { rows } = await pg.query<{ lsn: string }>('SELECT pg_current_wal_lsn() AS lsn')
    await waitFor('the replication slot to catch up', 180_000, async () => {
      // An idle slot moves on with the server's keepalives; a change of no consequence makes the wait short.
      await pg.query(`UPDATE users SET email = email WHERE uid = (SELECT uid FROM users LIMIT 1)`)
      const slot = await pg.query<{ done: boolean }>(
        `SELECT confirmed_flush_lsn >= $1::pg_lsn AS done FROM pg_replication_slots WHERE slot_name = 'shop_search'`,
        [rows[0]?.lsn],
      )
      return slot.rows[0]?.done ? true : null
    })
    for (const topic of tableTopics) {
      await waitFor(`the stream application to read ${topic}`, 180_000, async () =>
        (await groupLag(services.kafkaBrokers, 'shop-documents', topic)) === 0 ? true : null,
      )
    }
    // Control records count in the end offsets and are never committed by a sink, so a lag of a few stands for none;
    // the documents themselves decide.
    await waitFor('the documents to be equal', 180_000, async () =>
      (await compareDocuments(pg, services.esUrl)).differences.length === 0 ? true : null,
    ).catch(() => run.step('the documents are still not equal: see the table'))
  }

  async #restreamOnce(run: PipelineRun, pg: Client): Promise<void> {
    const { connect, services } = run
    const before = await compareDocuments(pg, services.esUrl)
    await connect.stop('search-sink')
    await connect.deleteOffsets('search-sink')
    await connect.resume('search-sink')
    await connect.running('search-sink', 2)
    await waitFor('the restream to be read', 180_000, async () => {
      const lag = await groupLag(services.kafkaBrokers, sinkGroup, index)
      return lag >= 0 && lag <= 64 ? true : null
    })
    const after = await waitFor('the index to be as before', 60_000, async () => {
      const now = await compareDocuments(pg, services.esUrl)
      return now.actual === before.actual && now.differences.length === 0 ? now : null
    }).catch(() => null)
    this.#restream = after === null ? 'CHANGED the index' : `${after.actual} documents, as before`
  }

  async check(run: PipelineRun): Promise<Report> {
    await using client = await shop(run.services.pgUrl)
    const result = await compareDocuments(client.pg, run.services.esUrl)
    const { rows } = await client.pg.query<{ all: string; closed: string }>(
      'SELECT count(*) AS all, count(closed_at) AS closed FROM conversations',
    )
    const { indexed, searchable } = this.#latencies
    return {
      title: 'search: Postgres → Kafka → Elasticsearch',
      rows: [
        {
          conversations: Number(rows[0]?.all),
          closed: Number(rows[0]?.closed),
          'documents expected': result.expected,
          documents: result.actual,
          'deleted from the index': Number(rows[0]?.all) - result.actual,
          differences: result.differences.length,
          'p50 / p99 to indexed, ms': `${percentile(indexed, 0.5).toFixed(0)} / ${percentile(indexed, 0.99).toFixed(0)}`,
          'p50 / p99 to searchable, ms': `${percentile(searchable, 0.5).toFixed(0)} / ${percentile(searchable, 0.99).toFixed(0)}`,
        },
      ],
      differences: [
        ...result.differences.slice(0, 10),
        ...(this.#restream.startsWith('CHANGED') ? ['the restream changed the index'] : []),
      ],
      notes: [`restream of the whole topic: ${this.#restream}`],
    }
  }

  async close(): Promise<void> {
    const stream = this.#stream
    this.#stream = null
    if (stream === null || stream.exitCode !== null) return
    const exited = once(stream, 'exit')
    stream.kill('SIGTERM')
    const timer = setTimeout(() => stream.kill('SIGKILL'), 10_000)
    await exited
    clearTimeout(timer)
  }
}

/** SIGKILL of the worker that runs task 0 of a connector; it is started again at once, as a supervisor would. */
export async function killWorkerOf(run: PipelineRun, connector: string): Promise<void> {
  const status = await run.connect.status(connector)
  const owner = status.tasks[0]?.worker_id ?? status.connector.worker_id
  const port = Number(owner.split(':')[1])
  run.step(`kills worker ${owner} (SIGKILL), which runs ${connector}-0`)
  await run.workers.kill(port)
  await run.workers.start(port)
}

function startStream(brokers: string): ChildProcess {
  const file = fileURLToPath(new URL('stream.ts', import.meta.url))
  return spawn(process.execPath, ['--disable-warning=TimeoutNegativeWarning', file, brokers], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
}

/** A connection to the pipeline's own database. */
export async function shop(pgUrl: string): Promise<{ readonly pg: Client } & AsyncDisposable> {
  const url = new URL(pgUrl)
  url.pathname = '/shop'
  const pg = new Client({ connectionString: url.href })
  await pg.connect()
  return { pg, [Symbol.asyncDispose]: () => pg.end() }
}

/** COMMIT → the document can be fetched (indexed), and → found by a search (searchable); one row at a time. */
async function measureDelay(pg: Client, esUrl: string): Promise<{ indexed: number[]; searchable: number[] }> {
  await elasticsearch(esUrl, 'PUT', `/${index}/_settings`, { index: { refresh_interval: '1s' } })
  const indexed: number[] = []
  const searchable: number[] = []
  const { rows } = await pg.query<{ uid: string }>(
    'SELECT uid::text AS uid FROM conversations WHERE closed_at IS NULL ORDER BY uid LIMIT 40',
  )
  for (const [i, { uid }] of rows.entries()) {
    const subject = `delay-${Date.now()}-${i}`
    await pg.query('UPDATE conversations SET subject = $1 WHERE uid = $2', [subject, uid])
    const committed = performance.now()
    await waitFor(
      'the document',
      30_000,
      async () => {
        const { _source } = (await elasticsearch(esUrl, 'GET', `/${index}/_doc/${uid}`)) as { _source?: SearchDocument }
        return _source?.subject === subject ? true : null
      },
      2,
    )
    indexed.push(performance.now() - committed)
    await waitFor(
      'the document to be searchable',
      30_000,
      async () => {
        const found = (await elasticsearch(esUrl, 'POST', `/${index}/_search`, {
          query: { match_phrase: { subject } },
          size: 1,
        })) as { hits: { hits: readonly { _source: SearchDocument }[] } }
        return found.hits.hits[0]?._source.subject === subject ? true : null
      },
      10,
    )
    searchable.push(performance.now() - committed)
  }
  return { indexed, searchable }
}
