import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ConnectClient } from '../../compose/pipelines/support/connect-client.ts'
import { kafkaFor, recreateTopics } from '../../compose/pipelines/support/kafka-topics.ts'
import { waitFor } from '../../compose/pipelines/support/wait.ts'
import { WorkerCluster } from '../../compose/pipelines/support/workers.ts'
import { PrivatePostgres } from '../support/private-postgres.ts'
import { projectRoot } from '../support/project-root.ts'
import type { Random } from '../support/random.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { type Change, ChaosSource, type Table, tables } from './postgres-source.ts'
import { type Place, SlotWatch } from './slot-watch.ts'

/** `crash` and `restart` are of the server, `cut` and `hole` of the network, `kill` of workers. */
export type PostgresDisaster = 'kill' | 'crash' | 'restart' | 'cut' | 'hole'

export interface PostgresRound {
  readonly round: number
  readonly disaster: PostgresDisaster
  readonly exactlyOnce: boolean
  /** When it struck: before the first offset was durable, while the tables were being read for the first time, or later. */
  readonly phase: 'start' | 'snapshot' | 'stream'
  /** Positions of the slot that were held against what Kafka had. */
  readonly confirmations: number
  readonly changes: number
  readonly events: number
  /** Events that came more than once. */
  readonly repeated: number
  readonly recoveryMs: number
  readonly differences: readonly string[]
}

interface Event {
  readonly table: Table
  readonly key: number
  readonly op: 'r' | 'c' | 'u' | 'd'
  readonly v: number | null
  /** It is the last row of the snapshot. */
  readonly endsSnapshot: boolean
  /** The same in a repeat of the event, and in no other event. */
  readonly identity: string
  readonly place: Place
}

interface Checked {
  readonly changes: number
  readonly repeated: number
  readonly differences: readonly string[]
}

/** Rounds that one connector lives through, from its snapshot on. */
const roundsPerLife = 4
/** Rows of each table before the first change: a snapshot of a few seconds; one transaction per poll takes its time. */
const prefilled = { exactlyOnce: 6000, atLeastOnce: 60_000 } as const
const disasters = ['kill', 'crash', 'cut', 'kill', 'restart', 'hole'] as const

/**
 * A captured database while its server crashes, its network fails and the workers are killed. After every round each
 * change of the database is in its topic, in order per key; with exactly-once on, once for consumers that read committed
 * records; and what the slot was told to forget was in Kafka at that time, looked at every 20 ms (I1–I4, I9; R4). Lives
 * with exactly-once on and off take turns.
 */
export async function postgresRounds(options: {
  readonly brokers: string
  readonly rounds: number
  readonly random: Random
  readonly port: number
  readonly instance: string
  report(result: PostgresRound): void
}): Promise<readonly PostgresRound[]> {
  const { brokers, rounds, random, port, instance } = options
  const kafka = kafkaFor(brokers, `chaos-pg-${instance}`)
  await using server = await PrivatePostgres.open({ settings: { wal_sender_timeout: '5s' } })
  await using proxy = await TcpProxy.open({ host: '127.0.0.1', port: server.port })
  const results: PostgresRound[] = []
  for (let life = 0; results.length < rounds; life++) {
    const exactlyOnce = life % 2 === 0
    await using workers = new WorkerCluster({
      group: `chaos-pg-${instance}-${life}`,
      bootstrapServers: brokers,
      ports: [port, port + 1],
      folder: join(projectRoot, '.stack/chaos'),
      env: {},
      properties: {
        'offset.flush.interval.ms': '100',
        'exactly.once.source.support': exactlyOnce ? 'enabled' : 'disabled',
        'value.converter.schemas.enable': 'false',
        'key.converter.schemas.enable': 'false',
      },
    })
    await workers.startAll()
    const rows = exactlyOnce ? prefilled.exactlyOnce : prefilled.atLeastOnce
    const source = await ChaosSource.create({ server, name: `chaos_${instance}_${life}`, random }, rows)
    const topics = tables.map((table) => `${source.name}.public.${table}`)
    await recreateTopics(brokers, Object.fromEntries(topics.map((topic) => [topic, 2])))
    const offsetTopic = `chaos-pg-${instance}-${life}-offsets`
    await using watch = await SlotWatch.open({ brokers, kafka, source, topics, offsetTopic })
    const subject = new Subject({ kafka, server, proxy, workers, random, source, watch, exactlyOnce })
    try {
      await subject.start(topics)
      for (let i = 0; i < roundsPerLife && results.length < rounds; i++) {
        const disaster = disasters[results.length % disasters.length] ?? 'kill'
        const result = await subject.round(results.length + 1, disaster, i === 0)
        results.push(result)
        options.report(result)
      }
    } finally {
      await subject.stop()
    }
  }
  return results
}

interface SubjectParts {
  readonly kafka: ReturnType<typeof kafkaFor>
  readonly watch: SlotWatch
  readonly server: PrivatePostgres
  readonly proxy: TcpProxy
  readonly workers: WorkerCluster
  readonly random: Random
  readonly source: ChaosSource
  readonly exactlyOnce: boolean
}

class Subject {
  readonly #parts: SubjectParts
  readonly #connect: ConnectClient
  readonly #consumer: ReturnType<SubjectParts['kafka']['consumer']>
  readonly #events: Event[] = []
  readonly #name: string

  constructor(parts: SubjectParts) {
    this.#parts = parts
    this.#name = parts.source.name
    this.#connect = new ConnectClient(() => parts.workers.urls)
    this.#consumer = parts.kafka.consumer({ groupId: `${this.#name}-reader`, maxWaitTimeInMs: 100 })
  }

  async start(topics: readonly string[]): Promise<void> {
    await this.#consumer.connect()
    await this.#consumer.subscribe({ topics: [...topics], fromBeginning: true })
    await this.#consumer.run({
      eachBatch: async ({ batch: { topic, partition, messages } }) => {
        for (const { value, offset } of messages)
          if (value !== null) this.#events.push(eventOf(value.toString(), { topic, partition, offset: BigInt(offset) }))
      },
    })
    await this.#connect.request('PUT', `/connectors/${this.#name}/config`, this.#config())
  }

  async stop(): Promise<void> {
    const { source } = this.#parts
    await this.#consumer.disconnect()
    await this.#connect.remove(this.#name)
    await waitFor('the slot to be dropped', 30_000, async () => {
      await source.query(`SELECT pg_drop_replication_slot('${this.#name}')`)
      return true
    })
    await source.close()
  }

  #config(): Readonly<Record<string, string>> {
    return {
      'connector.class': 'io.debezium.connector.postgresql.PostgresConnector',
      'tasks.max': '1',
      'database.hostname': '127.0.0.1',
      'database.port': String(this.#parts.proxy.port),
      'database.user': 'postgres',
      'database.password': 'none',
      'database.dbname': this.#name,
      'topic.prefix': this.#name,
      'plugin.name': 'pgoutput',
      'slot.name': this.#name,
      'publication.name': this.#name,
      'publication.autocreate.mode': 'filtered',
      'table.include.list': tables.map((table) => `public.${table}`).join(','),
      'snapshot.max.threads': this.#parts.random.pick(['1', '3']),
      // Small, so that a disaster finds the snapshot half way.
      'max.batch.size': '100',
      'tombstones.on.delete': 'false',
      'status.update.interval.ms': '200',
      'poll.interval.ms': '50',
      'retriable.restart.connector.wait.ms': '200',
      'slot.retry.delay.ms': '500',
      'connection.attempts.interval.ms': '100',
    }
  }

  async round(round: number, disaster: PostgresDisaster, isFirst: boolean): Promise<PostgresRound> {
    const { source, random, watch } = this.#parts
    let over = false
    const writing = source.write(() => over)
    // From a start that has not even made its slot to the end of the snapshot and beyond.
    await sleep(random.integer(0, isFirst ? random.pick([400, 1000, 2500]) : 1500))
    const inSnapshot = isFirst && !this.#events.some(({ endsSnapshot }) => endsSnapshot)
    const phase = watch.firstOffset === null ? 'start' : inSnapshot ? 'snapshot' : 'stream'
    const differences: string[] = []
    await this.#disaster(disaster)
    const healedAt = Date.now()
    await sleep(random.integer(0, 500))
    over = true
    await writing
    await this.#settle(differences)
    const recoveryMs = Date.now() - healedAt
    const checked = await this.#checkWhatComes()
    watch.forget()
    return {
      round,
      disaster,
      exactlyOnce: this.#parts.exactlyOnce,
      phase,
      confirmations: watch.samples,
      changes: checked.changes,
      events: this.#events.length,
      repeated: checked.repeated,
      recoveryMs,
      differences: [...differences, ...checked.differences],
    }
  }

  async #disaster(disaster: PostgresDisaster): Promise<void> {
    const { server, proxy, workers, random } = this.#parts
    switch (disaster) {
      case 'kill': {
        const [first = 0, second = 0] = workers.ports
        const victims = random.pick([[first], [second], [first, second], [first, second]])
        await Promise.all(victims.map((port) => workers.kill(port)))
        await Promise.all(victims.map((port) => workers.start(port)))
        return
      }
      case 'crash':
      case 'restart':
        await server.stop(disaster === 'crash' ? 'SIGQUIT' : 'SIGINT')
        await sleep(random.integer(0, 1000))
        return await server.start()
      case 'cut':
        for (let i = random.integer(1, 6); i > 0; i--) {
          proxy.reset()
          await sleep(random.integer(0, 400))
        }
        return
      case 'hole':
        proxy.blackHole()
        await sleep(random.integer(500, 8000))
        proxy.heal()
    }
  }

  /** A last change of each table, seen in its topic: everything before is there too. */
  async #settle(differences: string[]): Promise<void> {
    const { source } = this.#parts
    const ends = new Map<Table, number>()
    for (const table of tables) {
      const sql = `INSERT INTO ${table} VALUES (0, nextval('versions'), 'end') ON CONFLICT (id) DO UPDATE SET v = EXCLUDED.v RETURNING v`
      const v = await waitFor('the server', 30_000, async () => (await source.query(sql))[0]?.['v'] ?? null)
      ends.set(table, Number(v))
    }
    // A snapshot that was interrupted goes on behind changes.
    const arrived = () =>
      this.#events.some(({ endsSnapshot }) => endsSnapshot) &&
      [...ends].every(([table, v]) =>
        this.#events.some((event) => event.table === table && event.key === 0 && event.v === v),
      )
    try {
      await waitFor('the last changes', 60_000, async () => (arrived() ? true : null), 50)
    } catch {
      const status = await this.#connect.status(this.#name)
      differences.push(`the last changes did not come within 60 s: ${JSON.stringify(status)}`)
    }
  }

  #distinct(): readonly Event[] {
    const seen = new Set<string>()
    return this.#events.filter(({ identity }) => !seen.has(identity) && seen.add(identity))
  }

  /** The last changes are there, but the consumer may be behind in other partitions: only what stays is a difference. */
  async #checkWhatComes(): Promise<Checked> {
    const deadline = performance.now() + 10_000
    for (;;) {
      const checked = await this.#check()
      if (checked.differences.length === 0 || performance.now() > deadline) return checked
      await sleep(250)
    }
  }

  async #check(): Promise<Checked> {
    const { source, exactlyOnce, watch } = this.#parts
    const history = await source.history()
    const distinct = this.#distinct()
    const repeated = this.#events.length - distinct.length
    const places = new Map(distinct.flatMap(({ v, op, place }) => (v === null || op === 'r' ? [] : [[v, place]])))
    const differences = [...watch.check(history, places)]
    // What committed before the first offset may be in the rows that were read, and nowhere else.
    const first = watch.firstOffset
    const mustCome = first === null ? Number.MAX_SAFE_INTEGER : source.lastThatMayBeBefore(first)
    if (exactlyOnce && repeated > 0) differences.push(`${repeated} events came more than once`)
    for (const table of tables) {
      const wanted = byKey(history.filter((change) => change.table === table))
      const events = distinct.filter((event) => event.table === table)
      const streamed = byKey(events.filter(({ op }) => op !== 'r'))
      for (const key of new Set([...wanted.keys(), ...streamed.keys()])) {
        const all = wanted.get(key) ?? []
        const least = all.filter(({ seq }) => seq > mustCome).length
        const expected = all.map(textOf)
        const actual = (streamed.get(key) ?? []).map(textOf)
        const isEnd = actual.join(' ') === expected.slice(expected.length - actual.length).join(' ')
        if (!isEnd || actual.length > expected.length || actual.length < least)
          differences.push(`${table} ${key}: ${actual.join(' ')} instead of ${expected.join(' ')}, at least ${least}`)
      }
      differences.push(...(await this.#checkRows(table, events)))
    }
    return { changes: history.length, repeated, differences }
  }

  /** Rows that were read stand in their place among the changes, and what all events come to is the table. */
  async #checkRows(table: Table, events: readonly Event[]): Promise<readonly string[]> {
    const differences: string[] = []
    const rows = new Map<number, number>()
    const newest = new Map<number, number>()
    for (const { key, op, v } of events) {
      if (v === null) {
        rows.delete(key)
        continue
      }
      if (v < (newest.get(key) ?? 0)) differences.push(`${table} ${key}: ${op} ${v} came behind ${newest.get(key)}`)
      newest.set(key, v)
      rows.set(key, v)
    }
    const actual = await this.#parts.source.rows(table)
    for (const key of new Set([...rows.keys(), ...actual.keys()])) {
      if (rows.get(key) !== actual.get(key))
        differences.push(`${table} ${key}: the events come to ${rows.get(key)}, the table has ${actual.get(key)}`)
    }
    return differences
  }
}

function eventOf(value: string, place: Place): Event {
  const { op, before, after, source } = JSON.parse(value) as {
    readonly op: Event['op']
    readonly before: { readonly id: number } | null
    readonly after: { readonly id: number; readonly v: number } | null
    readonly source: { readonly table: Table; readonly lsn: number; readonly txId: number; readonly snapshot: string }
  }
  const key = after?.id ?? before?.id ?? -1
  const v = after?.v ?? null
  const endsSnapshot = source.snapshot === 'last'
  return {
    table: source.table,
    key,
    op,
    v,
    endsSnapshot,
    identity: [source.table, key, op, v, source.lsn, source.txId].join(' '),
    place,
  }
}

const textOf = ({ op, v }: Pick<Change, 'v'> & { readonly op: string }): string => `${op}${v ?? ''}`

function byKey<T extends { readonly key: number }>(items: readonly T[]): ReadonlyMap<number, readonly T[]> {
  return Map.groupBy(items, ({ key }) => key)
}
