import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { ConnectClient } from '../../compose/pipelines/support/connect-client.ts'
import { ElasticsearchIndex } from '../../compose/pipelines/support/elasticsearch-index.ts'
import { groupLag, kafkaFor, recreateTopics } from '../../compose/pipelines/support/kafka-topics.ts'
import { readTopic } from '../../compose/pipelines/support/read-topic.ts'
import { waitFor } from '../../compose/pipelines/support/wait.ts'
import { WorkerCluster } from '../../compose/pipelines/support/workers.ts'
import { ChaosProxy, type ProxyMode } from '../support/chaos-proxy.ts'
import { PrivateElasticsearch } from '../support/private-elasticsearch.ts'
import { projectRoot } from '../support/project-root.ts'
import type { Random } from '../support/random.ts'

/** What goes wrong in a round; `restart` and `crash` are of the server, `kill` of a worker. */
export type Disaster = Exclude<ProxyMode, 'pass'> | 'restart' | 'crash' | 'kill'

export interface ElasticsearchRound {
  readonly round: number
  readonly disaster: Disaster
  readonly records: number
  readonly deadLetters: number
  /** Requests that met a fault. */
  readonly faults: number
  readonly recoveryMs: number
  readonly differences: readonly string[]
}

/** A record as it was written; a large `n` is one that the mapping refuses. */
interface Written {
  readonly key: string
  readonly value: { readonly n: number; readonly seen: string } | null
}

const keyCount = 40
const perRound = 400
const readTimeoutMs = 2_000
const modes = ['insert', 'merge'] as const
type Mode = (typeof modes)[number]

/**
 * Two sinks of one topic, which replace and which merge documents, while their server is busy, slow, cut off or gone
 * and their workers are killed. After every round the indices are the fold of the topic, and what is not in them stands
 * in the dead letter queue (I1–I4, I9; E52, E53, E67, E71).
 */
export async function elasticsearchRounds(options: {
  readonly brokers: string
  readonly rounds: number
  readonly random: Random
  readonly port: number
  /** In turn; all of them by default. */
  readonly disasters?: readonly Disaster[]
  report(result: ElasticsearchRound): void
}): Promise<readonly ElasticsearchRound[]> {
  await using stack = new AsyncDisposableStack()
  const { random, port, brokers } = options
  const node = stack.use(await PrivateElasticsearch.open())
  const proxy = stack.use(await ChaosProxy.open(node.url, random, 3 * readTimeoutMs))
  const workers = stack.use(
    new WorkerCluster({
      group: `chaos-es-${port}`,
      bootstrapServers: brokers,
      ports: [port, port + 1],
      folder: join(projectRoot, '.stack/chaos'),
      env: {},
      properties: { 'offset.flush.interval.ms': '500' },
    }),
  )
  const subject = new Subject({ brokers, node, proxy, workers, random })
  await workers.startAll()
  stack.defer(() => subject.remove())
  await subject.prepare()
  const disasters = options.disasters ?? (['busy', 'restart', 'reset', 'slow', 'kill', 'crash'] as const)
  const results: ElasticsearchRound[] = []
  for (let round = 1; round <= options.rounds; round++) {
    const result = await subject.round(round, disasters[(round - 1) % disasters.length] ?? 'kill')
    results.push(result)
    options.report(result)
  }
  return results
}

interface SubjectParts {
  readonly brokers: string
  readonly node: PrivateElasticsearch
  readonly proxy: ChaosProxy
  readonly workers: WorkerCluster
  readonly random: Random
}

class Subject {
  readonly #parts: SubjectParts
  readonly #connect: ConnectClient
  readonly #topic = `chaos-es-${randomBytes(4).toString('hex')}`
  readonly #written: Written[] = []

  constructor(parts: SubjectParts) {
    this.#parts = parts
    this.#connect = new ConnectClient(() => parts.workers.urls)
  }

  #name(mode: Mode): string {
    return `${this.#topic}-${mode}`
  }

  #index(mode: Mode): ElasticsearchIndex {
    return new ElasticsearchIndex(this.#parts.node.url, this.#name(mode))
  }

  async prepare(): Promise<void> {
    const { brokers } = this.#parts
    const queues = modes.map((mode) => [`${this.#name(mode)}-dlq`, 1] as const)
    await recreateTopics(brokers, { [this.#topic]: 4, ...Object.fromEntries(queues) })
    for (const mode of modes) {
      await this.#index(mode).recreate({ properties: { n: { type: 'integer' }, seen: { type: 'keyword' } } })
      const name = this.#name(mode)
      await this.#connect.request('PUT', `/connectors/${name}/config`, this.#config(mode))
      await this.#connect.running(name, 2)
    }
  }

  #config(mode: Mode): Readonly<Record<string, string>> {
    return {
      'connector.class': 'ElasticsearchSink',
      'tasks.max': '2',
      topics: this.#topic,
      'connection.url': this.#parts.proxy.url,
      'index.name.format': this.#name(mode),
      'write.method': mode,
      ...(mode === 'merge' && { 'merge.increment.fields': 'n', 'merge.append.fields': 'seen' }),
      'schema.ignore': 'true',
      'behavior.on.null.values': 'delete',
      'behavior.on.malformed.documents': 'report',
      'batch.size': '20',
      'max.in.flight.requests': '3',
      'linger.ms': '5',
      'read.timeout.ms': String(readTimeoutMs),
      'connection.timeout.ms': '500',
      'flush.timeout.ms': '5000',
      'max.retries': '1000000',
      'retry.backoff.ms': '20',
      'retry.backoff.max.ms': '500',
      'consumer.override.session.timeout.ms': '6000',
      'errors.tolerance': 'all',
      'errors.deadletterqueue.topic.name': `${this.#name(mode)}-dlq`,
      'errors.deadletterqueue.topic.replication.factor': '1',
      'errors.deadletterqueue.context.headers.enable': 'true',
      'key.converter': 'StringConverter',
      'value.converter': 'JsonConverter',
      'value.converter.schemas.enable': 'false',
    }
  }

  async round(round: number, disaster: Disaster): Promise<ElasticsearchRound> {
    const faultsBefore = this.#parts.proxy.faults
    const writing = this.#write()
    await sleep(this.#parts.random.integer(0, 800))
    await this.#disaster(disaster)
    const healedAt = Date.now()
    await writing
    await this.#settle()
    const recoveryMs = Date.now() - healedAt
    const checks = await Promise.all(modes.map((mode) => this.#check(mode)))
    return {
      round,
      disaster,
      records: this.#written.length,
      deadLetters: checks.reduce((sum, check) => sum + check.deadLetters, 0),
      faults: this.#parts.proxy.faults - faultsBefore,
      recoveryMs,
      differences: checks.flatMap((check) => check.differences),
    }
  }

  async #disaster(disaster: Disaster): Promise<void> {
    const { node, proxy, workers, random } = this.#parts
    switch (disaster) {
      case 'restart':
      case 'crash':
        await node.stop(disaster === 'restart' ? 'SIGTERM' : 'SIGKILL')
        return await node.start()
      case 'kill': {
        const [first = 0, second = 0] = workers.ports
        const victims = random.pick([[first], [second], [first, second]])
        await Promise.all(victims.map((port) => workers.kill(port)))
        await Promise.all(victims.map((port) => workers.start(port)))
        return
      }
      default:
        proxy.mode = disaster
        await sleep(random.integer(1_000, 4_000))
        proxy.mode = 'pass'
    }
  }

  /** Over about two seconds: values, values that the mapping refuses, and tombstones. */
  async #write(): Promise<void> {
    const { random, brokers } = this.#parts
    const producer = kafkaFor(brokers, 'chaos').producer({ idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    try {
      for (let i = 0; i < perRound; i += 20) {
        const records = Array.from({ length: 20 }, () => this.#next(random))
        const messages = records.map(({ key, value }) => ({
          key,
          value: value === null ? null : JSON.stringify(value),
        }))
        await producer.send({ topic: this.#topic, messages })
        await sleep(100)
      }
    } finally {
      await producer.disconnect()
    }
  }

  #next(random: Random): Written {
    const key = `k${random.integer(0, keyCount - 1)}`
    const kind = random.integer(0, 99)
    const seen = `s${this.#written.length}`
    const value = kind < 4 ? null : { n: kind < 7 ? 3_000_000_000 : random.integer(1, 9), seen }
    const written = { key, value }
    this.#written.push(written)
    return written
  }

  async #settle(): Promise<void> {
    for (const mode of modes) {
      const name = this.#name(mode)
      await waitFor(`${name} to read everything`, 90_000, async () => {
        const status = await this.#connect.status(name)
        const failed = status.tasks.find((task) => task.state === 'FAILED')
        if (failed !== undefined) return failed
        return (await groupLag(this.#parts.brokers, `connect-${name}`, this.#topic)) === 0 ? true : null
      })
    }
  }

  async #check(mode: Mode): Promise<{ readonly deadLetters: number; readonly differences: readonly string[] }> {
    const expected = mode === 'insert' ? this.#inserted() : this.#merged()
    const actual = await this.#index(mode).all<Readonly<Record<string, unknown>>>()
    const differences: string[] = []
    for (const [key, document] of expected) {
      const found = { ...actual.get(key) }
      delete found['kc_fence']
      const own = document ?? {}
      if (!isDeepStrictEqual(found, own)) {
        differences.push(
          `${mode} ${key}: ${JSON.stringify(found).slice(0, 200)} instead of ${JSON.stringify(own).slice(0, 200)}`,
        )
      }
    }
    for (const key of actual.keys()) if (!expected.has(key)) differences.push(`${mode} ${key} should not exist`)
    const refused = new Set(this.#written.filter(isRefused).map(({ value }) => value?.seen ?? ''))
    const letters = new Set<string>()
    for (const { value } of await readTopic(this.#parts.brokers, `${this.#name(mode)}-dlq`)) {
      letters.add((JSON.parse(value ?? '{}') as { readonly seen?: string }).seen ?? '')
    }
    const superseded = mode === 'merge' ? this.#superseded() : new Set<string>()
    for (const seen of refused)
      if (!letters.has(seen) && !superseded.has(seen))
        differences.push(`${mode} ${seen} is not in the dead letter queue`)
    for (const seen of letters) if (!refused.has(seen)) differences.push(`${mode} ${seen} is in the dead letter queue`)
    return { deadLetters: letters.size, differences }
  }

  /**
   * Refused records with a tombstone of their key behind them: when one write merges both, the server never sees what
   * it would have refused.
   */
  #superseded(): ReadonlySet<string> {
    const superseded = new Set<string>()
    const deleted = new Set<string>()
    for (const { key, value } of this.#written.toReversed()) {
      if (value === null) deleted.add(key)
      else if (deleted.has(key)) superseded.add(value.seen)
    }
    return superseded
  }

  /** The last value of each key that the server takes; null for a deleted one. */
  #inserted(): ReadonlyMap<string, object | null> {
    const documents = new Map<string, object | null>()
    for (const record of this.#written) if (!isRefused(record)) documents.set(record.key, record.value)
    for (const [key, document] of documents) if (document === null) documents.delete(key)
    return documents
  }

  #merged(): ReadonlyMap<string, object> {
    const documents = new Map<string, { n: number; seen: string[] } | { deleted: true }>()
    for (const record of this.#written) {
      const { key, value } = record
      if (isRefused(record)) continue
      const before = documents.get(key)
      if (value === null) documents.set(key, { deleted: true })
      else if (before === undefined || 'deleted' in before) documents.set(key, { n: value.n, seen: [value.seen] })
      else documents.set(key, { n: before.n + value.n, seen: [...before.seen, value.seen] })
    }
    return documents
  }

  async remove(): Promise<void> {
    for (const mode of modes) await this.#connect.remove(this.#name(mode))
  }
}

/** Above what an `integer` of the mapping holds, alone or as a sum. */
function isRefused({ value }: Written): boolean {
  return value !== null && value.n > 2 ** 31
}
