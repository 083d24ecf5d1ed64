import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { deleteGroups, groupLag, recreateTopics } from '../support/kafka-topics.ts'
import { killWorkerOf } from '../support/kill.ts'
import type { Pipeline, PipelineRun, Services } from '../support/pipeline.ts'
import { percentile, type Report } from '../support/report.ts'
import { waitFor } from '../support/wait.ts'
import { Documents } from './documents.ts'
import { insertUsers, liveChanges, openConversations } from './feed.ts'

const sourceFile = new URL('source.json', import.meta.url)

/** Postgres → Kafka → a stream application → Kafka → Elasticsearch, where a tombstone is a DELETE. */
export class SearchPipeline implements Pipeline {
  readonly name = 'search'
  /** Database, and first part of topics, slot and index; `shop` in the JSON files. */
  readonly shop: string
  readonly source: string
  readonly sink: string
  #stream: ChildProcess | null = null
  #latencies: { readonly indexed: number[]; readonly searchable: number[] } = { indexed: [], searchable: [] }
  #restream = 'not run'

  readonly #restreams: number

  /** @param restreams how often the whole topic is read again, each time with the same index afterwards */
  constructor(instance: string, restreams = 1) {
    this.#restreams = restreams
    this.shop = `shop${instance}`
    this.source = `search-source${instance}`
    this.sink = `search-sink${instance}`
  }

  /** What stands in the JSON files → what this instance calls it. */
  get #names(): Readonly<Record<string, string>> {
    return { shop: this.shop, 'search-source': this.source, 'search-sink': this.sink }
  }

  documents(services: Services): Documents {
    return new Documents(services.esUrl, `${this.shop}.documents`)
  }

  /** A connection to the pipeline's own database. */
  async open(services: Services): Promise<{ readonly pg: Client } & AsyncDisposable> {
    const url = new URL(services.pgUrl)
    url.pathname = `/${this.shop}`
    const pg = new Client({ connectionString: url.href })
    await pg.connect()
    return { pg, [Symbol.asyncDispose]: () => pg.end() }
  }

  async prepare(run: PipelineRun): Promise<void> {
    const { services, connect } = run
    for (const name of [this.source, this.sink]) await connect.remove(name)
    const admin = new Client({ connectionString: services.pgUrl })
    await admin.connect()
    try {
      await waitFor('the old replication slot to be free', 30_000, async () => {
        await admin.query(
          `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '${this.shop}_search'`,
        )
        return true
      })
      await admin.query(`DROP DATABASE IF EXISTS ${this.shop} WITH (FORCE)`)
      await admin.query(`CREATE DATABASE ${this.shop}`)
    } finally {
      await admin.end()
    }
    await using client = await this.open(services)
    await client.pg.query(await readFile(new URL('schema.sql', import.meta.url), 'utf8'))
    await connect.forgetOffsets(sourceFile, this.#names)
    await waitFor('old consumer groups to be empty', 60_000, async () => {
      await deleteGroups(services.kafkaBrokers, [`connect-${this.sink}`, `${this.shop}-documents`])
      return true
    })
    await recreateTopics(services.kafkaBrokers, {
      [`${this.shop}.users`]: 2,
      [`${this.shop}.conversations`]: 4,
      [`${this.shop}.conversation_items`]: 4,
      [`${this.shop}.documents`]: 4,
    })
    await this.documents(services).remove()
  }

  async execute(run: PipelineRun): Promise<void> {
    const { services } = run
    const conversations = 20_000 * run.scale
    const users = 2_000
    await using client = await this.open(services)

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
        await killWorkerOf(run, this.source)
    }
    await this.settle(run, client.pg)

    run.step('measures the delay of single commits')
    this.#latencies = await measureDelay(client.pg, this.documents(services))

    for (let i = 1; i <= this.#restreams && !this.#restream.startsWith('CHANGED'); i++) {
      run.step(`restreams the whole topic (${i} of ${this.#restreams}): offsets deleted over REST, connector resumed`)
      await this.#restreamOnce(run, client.pg)
    }
  }

  /** Starts the stream application and the connectors. */
  async start(run: PipelineRun): Promise<void> {
    const { services, connect } = run
    this.#stream = startStream(services.kafkaBrokers, this.shop)
    await connect.apply(sourceFile, this.#names)
    await connect.apply(new URL('sink.json', import.meta.url), this.#names)
    await connect.running(this.source, 1)
    await connect.running(this.sink, 2)
  }

  /** Waits until everything that was committed has arrived everywhere. */
  async settle(run: PipelineRun, pg: Client): Promise<void> {
    const { services } = run
    const { rows } = await pg.query<{ lsn: string }>('SELECT pg_current_wal_lsn() AS lsn')
    await waitFor('the replication slot to catch up', 180_000, async () => {
      // An idle slot moves on with the server's keepalives; a change of no consequence makes the wait short.
      await pg.query(`UPDATE users SET email = email WHERE uid = (SELECT uid FROM users LIMIT 1)`)
      const slot = await pg.query<{ done: boolean }>(
        `SELECT confirmed_flush_lsn >= $1::pg_lsn AS done FROM pg_replication_slots WHERE slot_name = '${this.shop}_search'`,
        [rows[0]?.lsn],
      )
      return slot.rows[0]?.done ? true : null
    })
    for (const table of ['users', 'conversations', 'conversation_items']) {
      const topic = `${this.shop}.${table}`
      await waitFor(`the stream application to read ${topic}`, 180_000, async () =>
        (await groupLag(services.kafkaBrokers, `${this.shop}-documents`, topic)) === 0 ? true : null,
      )
    }
    // Control records count in the end offsets and are never committed by a sink, so a lag of a few stands for none;
    // the documents themselves decide.
    await waitFor('the documents to be equal', 180_000, async () =>
      (await this.documents(services).compare(pg)).differences.length === 0 ? true : null,
    ).catch(() => run.step('the documents are still not equal: see the table'))
  }

  async #restreamOnce(run: PipelineRun, pg: Client): Promise<void> {
    const { connect, services } = run
    const before = await this.documents(services).compare(pg)
    await connect.stop(this.sink)
    await connect.deleteOffsets(this.sink)
    await connect.resume(this.sink)
    await connect.running(this.sink, 2)
    await waitFor('the restream to be read', 180_000, async () => {
      const lag = await groupLag(services.kafkaBrokers, `connect-${this.sink}`, `${this.shop}.documents`)
      return lag >= 0 && lag <= 64 ? true : null
    })
    const after = await waitFor('the index to be as before', 60_000, async () => {
      const now = await this.documents(services).compare(pg)
      return now.actual === before.actual && now.differences.length === 0 ? now : null
    }).catch(() => null)
    this.#restream = after === null ? 'CHANGED the index' : `${after.actual} documents, as before`
  }

  async check(run: PipelineRun): Promise<Report> {
    await using client = await this.open(run.services)
    const result = await this.documents(run.services).compare(client.pg)
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
      notes: [`restream of the whole topic, ${this.#restreams} ×: ${this.#restream}`],
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

function startStream(brokers: string, shop: string): ChildProcess {
  const file = fileURLToPath(new URL('stream.ts', import.meta.url))
  return spawn(process.execPath, ['--disable-warning=TimeoutNegativeWarning', file, brokers, shop], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
}

/** COMMIT → the document can be fetched (indexed), and → found by a search (searchable); one row at a time. */
async function measureDelay(pg: Client, documents: Documents): Promise<{ indexed: number[]; searchable: number[] }> {
  await documents.setRefreshInterval('1s')
  const indexed: number[] = []
  const searchable: number[] = []
  const { rows } = await pg.query<{ uid: string }>(
    'SELECT uid::text AS uid FROM conversations WHERE closed_at IS NULL ORDER BY uid LIMIT 40',
  )
  for (const [i, { uid }] of rows.entries()) {
    const subject = `delay-${Date.now()}-${i}`
    await pg.query('UPDATE conversations SET subject = $1 WHERE uid = $2', [subject, uid])
    const committed = performance.now()
    const arrived = async () => ((await documents.get(uid))?.subject === subject ? true : null)
    await waitFor('the document', 30_000, arrived, 2)
    indexed.push(performance.now() - committed)
    const found = async () => ((await documents.search(subject))?.subject === subject ? true : null)
    await waitFor('the document to be searchable', 30_000, found, 10)
    searchable.push(performance.now() - committed)
  }
  return { indexed, searchable }
}
