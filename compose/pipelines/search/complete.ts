import { Client } from 'pg'
import { ElasticsearchIndex } from '../support/elasticsearch-index.ts'
import { deleteGroups, recreateTopics } from '../support/kafka-topics.ts'
import type { Pipeline, PipelineRun, Services } from '../support/pipeline.ts'
import { readTopic, type TopicMessage } from '../support/read-topic.ts'
import type { Report } from '../support/report.ts'
import { waitFor } from '../support/wait.ts'
import { SearchPipeline } from './pipeline.ts'
import { Waterfall } from './waterfall.ts'

const versions = ['v1', 'v2'] as const
const oversizedBytes = 30_000_000
const restreams = 3

interface Joined {
  readonly user_uid?: string
  readonly subject?: string
  readonly closed_at?: string | null
  readonly items?: { readonly id?: readonly number[] }
}

/**
 * The pipeline *search* with everything around it: versioned topics of one table, a record of 30 MB, a dead-letter
 * waterfall, a join by the sink, three restreams. The quickstart runs the core alone.
 */
export class CompleteSearchPipeline implements Pipeline {
  readonly name = 'search'
  readonly #core: SearchPipeline
  readonly #instance: string
  readonly #waterfall: Waterfall

  constructor(instance: string) {
    this.#instance = instance
    this.#core = new SearchPipeline(instance, restreams)
    this.#waterfall = new Waterfall(this.#core.shop, this.#names)
  }

  /** What stands in the JSON files → what this instance calls it. */
  get #names(): Readonly<Record<string, string>> {
    const connectors = ['search-users-v1', 'search-users-v2', 'search-strict', 'search-lenient', 'search-join']
    return {
      shop: this.#core.shop,
      ...Object.fromEntries(connectors.map((name) => [name, `${name}${this.#instance}`])),
    }
  }

  #named(connector: string): string {
    return `${connector}${this.#instance}`
  }

  async prepare(run: PipelineRun): Promise<void> {
    const { services, connect } = run
    const { shop } = this.#core
    const sinks = [...this.#waterfall.connectors, this.#named('search-join')]
    for (const name of [...versions.map((v) => this.#named(`search-users-${v}`)), ...sinks]) await connect.remove(name)
    await dropSlots(
      services,
      versions.map((v) => `${shop}_users_${v}`),
    )
    await waitFor('old consumer groups to be empty', 60_000, async () => {
      await deleteGroups(
        services.kafkaBrokers,
        sinks.map((name) => `connect-${name}`),
      )
      return true
    })
    for (const v of versions) await connect.forgetOffsets(new URL(`users-${v}.json`, import.meta.url), this.#names)
    await recreateTopics(services.kafkaBrokers, { [`${shop}.users.v1`]: 2, [`${shop}.users.v2`]: 2 })
    await this.#waterfall.prepare(run)
    await this.#joined(services).remove()
    await this.#core.prepare(run)
  }

  #joined(services: Services): ElasticsearchIndex {
    return new ElasticsearchIndex(services.esUrl, `${this.#core.shop}.joined`)
  }

  async execute(run: PipelineRun): Promise<void> {
    const { connect, services } = run
    await this.#core.execute(run)
    await using client = await this.#core.open(services)

    run.step('a second version of the users topic, with one more column, beside the first')
    for (const v of versions) {
      await connect.apply(new URL(`users-${v}.json`, import.meta.url), this.#names)
      await connect.running(this.#named(`search-users-${v}`), 1)
    }
    await client.pg.query(`UPDATE users SET last_name = last_name || '!' WHERE first_name < 'First2'`)

    run.step(`an item of ${oversizedBytes / 1e6} MB, which no topic takes`)
    await client.pg.query(
      `INSERT INTO conversation_items (conversation_uid, type, body)
         SELECT uid, 'message', repeat('x', ${oversizedBytes}) FROM conversations ORDER BY uid LIMIT 1`,
    )
    await this.#core.settle(run, client.pg)

    run.step('ratings that the strict index refuses fall into the lenient one, and from there into the last queue')
    await this.#waterfall.execute(run)

    run.step('joins conversations and items into one document by the sink alone')
    await connect.apply(new URL('join-sink.json', import.meta.url), this.#names)
    await connect.running(this.#named('search-join'), 2)
    await waitFor('the joined documents to be equal', 180_000, async () =>
      (await this.#compareJoined(services, client.pg)).length === 0 ? true : null,
    ).catch(() => run.step('the joined documents are still not equal: see the table'))
    await waitFor('both versions of the users', 60_000, async () =>
      (await this.#compareVersions(services, client.pg)).length === 0 ? true : null,
    ).catch(() => run.step('the versions of the users are still not equal: see the table'))
  }

  async check(run: PipelineRun): Promise<Report> {
    const core = await this.#core.check(run)
    await using client = await this.#core.open(run.services)
    const waterfall = await this.#waterfall.check(run)
    const users = await this.#compareVersions(run.services, client.pg)
    const joined = await this.#compareJoined(run.services, client.pg)
    const oversized = await this.#checkOversized(run.services)
    return {
      ...core,
      differences: [...core.differences, ...waterfall.differences, ...users, ...joined, ...oversized.differences].slice(
        0,
        20,
      ),
      notes: [
        ...core.notes,
        'delays are per record, from COMMIT; aims: 150 ms to indexed, 1.2 s to searchable (p99, quiet machine)',
        `users.v1 and users.v2 ${users.length === 0 ? 'both equal the table, v1 without the new column' : 'DIFFER from the table'}`,
        oversized.note,
        waterfall.note,
        `join by the sink: ${joined.length === 0 ? 'equal to what Postgres joins' : `${joined.length} differences`}`,
      ],
    }
  }

  async close(): Promise<void> {
    await this.#core.close()
  }

  /** The last value of each key, against the columns of the table. */
  async #compareVersions(services: Services, pg: Client): Promise<readonly string[]> {
    const differences: string[] = []
    for (const v of versions) {
      const columns = `uid::text AS uid, first_name, last_name${v === 'v2' ? ', email' : ''}`
      const { rows } = await pg.query<Readonly<Record<string, string | null>>>(`SELECT ${columns} FROM users`)
      const last = new Map<string, unknown>()
      for (const { value } of await readTopic(services.kafkaBrokers, `${this.#core.shop}.users.${v}`)) {
        const row = JSON.parse(value ?? '{}') as { readonly uid?: string }
        last.set(row.uid ?? '', row)
      }
      for (const row of rows) {
        if (canonical(last.get(row['uid'] ?? '')) !== canonical(row))
          differences.push(`users.${v}: ${row['uid']} differs`)
      }
      if (last.size !== rows.length) differences.push(`users.${v}: ${last.size} users instead of ${rows.length}`)
    }
    return differences.slice(0, 5)
  }

  async #compareJoined(services: Services, pg: Client): Promise<readonly string[]> {
    const actual = await this.#joined(services).all<Joined>()
    const { rows } = await pg.query<{
      uid: string
      user_uid: string
      subject: string
      closed: boolean
      items: number[]
    }>(
      `SELECT c.uid::text AS uid, c.user_uid::text AS user_uid, c.subject, c.closed_at IS NOT NULL AS closed,
         COALESCE((SELECT json_agg(i.id ORDER BY i.id) FROM conversation_items i WHERE i.conversation_uid = c.uid), '[]') AS items
       FROM conversations c`,
    )
    const differences: string[] = []
    for (const row of rows) {
      const found = actual.get(row.uid)
      const isEqual =
        found !== undefined &&
        found.user_uid === row.user_uid &&
        found.subject === row.subject &&
        ((found.closed_at ?? null) !== null) === row.closed &&
        [...(found.items?.id ?? [])].sort((a, b) => a - b).join() === row.items.join()
      if (!isEqual) differences.push(`joined document ${row.uid} ${found === undefined ? 'is missing' : 'differs'}`)
    }
    if (actual.size !== rows.length) differences.push(`${actual.size} joined documents instead of ${rows.length}`)
    return differences.slice(0, 5)
  }

  /** The large item is in the topic, cut, and says so. */
  async #checkOversized(
    services: Services,
  ): Promise<{ readonly differences: readonly string[]; readonly note: string }> {
    const messages = await readTopic(services.kafkaBrokers, `${this.#core.shop}.conversation_items`)
    const cut = messages.filter(({ headers }) => headers['sluice.shortened'] !== undefined)
    if (cut.length === 0)
      return { differences: ['the oversized item is not in its topic'], note: 'oversized item: MISSING' }
    const sizes = new Set(cut.map((message: TopicMessage) => Buffer.byteLength(message.value ?? '')))
    return {
      differences: [],
      note: `item of ${oversizedBytes} bytes: cut to ${[...sizes].join(', ')}, ${cut[0]?.headers['sluice.shortened']}`,
    }
  }
}

function canonical(row: unknown): string {
  return JSON.stringify(Object.entries(row ?? {}).sort())
}

async function dropSlots(services: Services, slots: readonly string[]): Promise<void> {
  const admin = new Client({ connectionString: services.pgUrl })
  await admin.connect()
  try {
    await waitFor('old replication slots to be free', 30_000, async () => {
      await admin.query(
        'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = ANY($1)',
        [slots],
      )
      return true
    })
  } finally {
    await admin.end()
  }
}
