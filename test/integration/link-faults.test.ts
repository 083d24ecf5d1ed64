import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { requireService, skipUnless } from '../support/services.ts'
import { openKafkaProxy, type ProxyTarget, TcpProxy } from '../support/tcp-proxy.ts'
import { ClusterUnderTest, eventually, type WorkerUnderTest } from '../support/worker-process.ts'

const kafka = requireService('kafka')
const postgres = requireService('postgres')
const elasticsearch = requireService('elasticsearch')
const skip = skipUnless(kafka, postgres, elasticsearch)
/** From the end of a fault until both ends are equal again. */
const recoveryMs = 10_000
/** When the worker has lost its session, all tasks start anew: seconds of CPU time, on machines that tests share. */
const restartMs = 20_000
/** `session.timeout.ms` of the worker and of the sink's consumer. */
const sessionMs = 6_000
/** Elasticsearch answers no more in one search. */
const maxDocuments = 10_000

type LinkName = 'kafka' | 'postgres' | 'elasticsearch'

const targetOf = (url: URL): ProxyTarget => ({ host: url.hostname, port: Number(url.port) })

/** A table that is copied into an index by a worker whose every link goes through a proxy. */
class Copy implements AsyncDisposable {
  readonly #resources = new AsyncDisposableStack()
  readonly name = `faults_${Math.random().toString(36).slice(2, 10)}`
  readonly links: Readonly<Record<LinkName, TcpProxy>>
  readonly #worker: WorkerUnderTest
  readonly #pg: Client
  #written = 0

  private constructor(links: Readonly<Record<LinkName, TcpProxy>>, worker: WorkerUnderTest, pg: Client) {
    this.links = links
    this.#worker = worker
    this.#pg = pg
  }

  static async open(): Promise<Copy> {
    await using resources = new AsyncDisposableStack()
    const use = <T extends AsyncDisposable>(resource: T): T => resources.use(resource)
    const links = {
      kafka: use(await openKafkaProxy(kafka.settings.brokers[0] ?? assert.fail('no broker'))),
      postgres: use(await TcpProxy.open(targetOf(new URL(postgres.settings.url)))),
      elasticsearch: use(await TcpProxy.open(targetOf(new URL(elasticsearch.settings.url)))),
    }
    const pg = new Client({ connectionString: postgres.settings.url })
    await pg.connect()
    resources.defer(() => pg.end())
    // A task that cannot flush to a broker out of reach is given up after this time, before the worker joins again.
    const options = { 'task.shutdown.graceful.timeout.ms': '2000' }
    const cluster = use(await ClusterUnderTest.open([`127.0.0.1:${links.kafka.port}`], options))
    const worker = await (await cluster.start()).ready()
    const copy = new Copy(links, worker, pg)
    await pg.query(`CREATE TABLE ${copy.name} (id int PRIMARY KEY, changes int NOT NULL)`)
    copy.#resources.use(resources.move())
    copy.#resources.defer(() => copy.#cleanUp())
    return copy
  }

  async start(): Promise<void> {
    const server = new URL(postgres.settings.url)
    const configs = {
      [`${this.name}-source`]: {
        'connector.class': 'io.debezium.connector.postgresql.PostgresConnector',
        'tasks.max': '1',
        'database.hostname': '127.0.0.1',
        'database.port': String(this.links.postgres.port),
        'database.user': decodeURIComponent(server.username),
        'database.password': decodeURIComponent(server.password),
        'database.dbname': server.pathname.slice(1),
        'topic.prefix': this.name,
        'slot.name': this.name,
        // Debezium's default of 10 s would be most of what this test measures.
        'retriable.restart.connector.wait.ms': '1000',
        'publication.name': this.name,
        'publication.autocreate.mode': 'filtered',
        'table.include.list': `public.${this.name}`,
        transforms: 'unwrap,id',
        'transforms.unwrap.type': 'io.debezium.transforms.ExtractNewRecordState',
        'transforms.id.type': 'org.apache.kafka.connect.transforms.ExtractField$Key',
        'transforms.id.field': 'id',
        'key.converter': 'org.apache.kafka.connect.converters.IntegerConverter',
        'value.converter': 'org.apache.kafka.connect.json.JsonConverter',
        'value.converter.schemas.enable': 'false',
      },
      [`${this.name}-sink`]: {
        'connector.class': 'io.confluent.connect.elasticsearch.ElasticsearchSinkConnector',
        'tasks.max': '1',
        topics: `${this.name}.public.${this.name}`,
        'connection.url': `http://127.0.0.1:${this.links.elasticsearch.port}`,
        'schema.ignore': 'true',
        'max.retries': '1000000',
        'retry.backoff.max.ms': '1000',
        'consumer.override.session.timeout.ms': '6000',
        'consumer.override.heartbeat.interval.ms': '500',
        'consumer.override.metadata.max.age.ms': '1000',
        'key.converter': 'org.apache.kafka.connect.converters.IntegerConverter',
        'value.converter': 'org.apache.kafka.connect.json.JsonConverter',
        'value.converter.schemas.enable': 'false',
      },
    }
    await this.write()
    for (const [name, config] of Object.entries(configs)) {
      const { status, body } = await this.#worker.rest('PUT', `/connectors/${name}/config`, config)
      assert.equal(status, 201, JSON.stringify(body))
    }
  }

  /** New rows, and a change of older ones, in a transaction each. */
  async write(): Promise<void> {
    const from = this.#written
    assert.ok(from + 20 <= maxDocuments)
    this.#written += 20
    await this.#pg.query(`INSERT INTO ${this.name} SELECT i, 0 FROM generate_series(${from}, ${from + 19}) i`)
    await this.#pg.query(`UPDATE ${this.name} SET changes = changes + 1 WHERE id % 7 = ${(from / 20) % 7}`)
  }

  /** Rows that are missing in the index or are different there, and documents without a row. */
  async differences(): Promise<readonly string[]> {
    const { rows } = await this.#pg.query<{ id: number; changes: number }>(`SELECT id, changes FROM ${this.name}`)
    const wanted = rows.map(({ id, changes }) => `${id}:${changes}`)
    const found = new Set(await this.#documents())
    const missing = wanted.filter((row) => !found.delete(row))
    return [...missing, ...[...found].map((row) => `not in the table: ${row}`)]
  }

  async #documents(): Promise<readonly string[]> {
    const url = `${elasticsearch.settings.url}/${this.name}.public.${this.name}`
    await fetch(`${url}/_refresh`, { method: 'POST' })
    const response = await fetch(`${url}/_search?size=${maxDocuments}`)
    if (!response.ok) return []
    const { hits } = (await response.json()) as {
      readonly hits: { readonly hits: readonly { readonly _source: { id: number; changes: number } }[] }
    }
    return hits.hits.map(({ _source: { id, changes } }) => `${id}:${changes}`)
  }

  /** @returns ms until both ends are equal */
  async settled(timeoutMs: number): Promise<number> {
    const startedAt = performance.now()
    try {
      await eventually(async () => assert.deepEqual(await this.differences(), []), timeoutMs)
    } catch (error) {
      throw new Error(`not equal within ${timeoutMs} ms:\n${this.#worker.output.slice(-8000)}`, { cause: error })
    }
    return performance.now() - startedAt
  }

  /** A transient fault is no reason for a task to fail, not even for a moment. */
  async assertNothingFailed(): Promise<void> {
    const { body } = await this.#worker.rest('GET', '/connectors?expand=status')
    assert.doesNotMatch(JSON.stringify(body), /FAILED/)
    assert.doesNotMatch(this.#worker.output, /"state":"FAILED"/)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync()
  }

  async #cleanUp(): Promise<void> {
    for (const link of Object.values(this.links)) link.heal()
    for (const part of ['source', 'sink']) await this.#worker.rest('DELETE', `/connectors/${this.name}-${part}`)
    await eventually(
      () =>
        this.#pg.query('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1', [
          this.name,
        ]),
      20_000,
    )
    await this.#pg.query(`DROP PUBLICATION IF EXISTS ${this.name}`)
    await this.#pg.query(`DROP TABLE IF EXISTS ${this.name}`)
    await fetch(`${elasticsearch.settings.url}/${this.name}.public.${this.name}`, { method: 'DELETE' })
  }
}

interface FaultCase {
  readonly what: string
  readonly lastsMs: number
  begin(link: TcpProxy): void
}

const faults: readonly FaultCase[] = [
  { what: 'is cut', lastsMs: 3_000, begin: (link) => link.cut() },
  { what: 'swallows everything for a moment', lastsMs: 3_000, begin: (link) => link.blackHole() },
  { what: 'swallows everything beyond the session time-out', lastsMs: 8_000, begin: (link) => link.blackHole() },
  { what: 'is slow', lastsMs: 3_000, begin: (link) => link.delay(200) },
  { what: 'resets its connections', lastsMs: 500, begin: (link) => link.reset() },
]

for (const name of ['elasticsearch', 'postgres', 'kafka'] as const) {
  test(`the link to ${name} fails for a while: nothing is lost, nothing FAILED, both ends equal again soon`, {
    skip,
    timeout: 200_000,
  }, async (t) => {
    await using copy = await Copy.open()
    await copy.start()
    await copy.settled(30_000)
    for (const { what, lastsMs, begin } of faults) {
      await t.test(`${what}, ${lastsMs} ms`, async (sub) => {
        const link = copy.links[name]
        await copy.write()
        begin(link)
        const endsAt = performance.now() + lastsMs
        while (performance.now() < endsAt) {
          await copy.write()
          await sleep(100)
        }
        link.heal()
        const ms = await copy.settled(lastsMs > sessionMs ? restartMs : recoveryMs)
        sub.diagnostic(`equal ${Math.round(ms)} ms after the end`)
        await copy.assertNothingFailed()
      })
    }
  })
}
