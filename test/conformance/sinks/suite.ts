/** A whole sink corpus: one worker for all cases, several cases at a time. */
import { readFileSync } from 'node:fs'
import { ClusterUnderTest, type WorkerUnderTest } from '../../support/worker-process.ts'
import { type SinkName, sinkCases } from './corpus.ts'
import { type Difference, describeDifference, readJson } from './exact-json.ts'
import { KafkaConnections } from './kafka-side.ts'
import { type OwnExpectation, type PlayerOptions, playSinkCase, type ServerScope, type SinkServer } from './player.ts'

export interface SinkSuite {
  readonly sink: SinkName
  readonly serverUrl: string
  readonly brokers: readonly string[]
  readonly variables: ReadonlyMap<string, string>
  /** Options for every case that does not set them itself. */
  readonly connectorDefaults?: Readonly<Record<string, string>>
  openServer(scope: ServerScope): SinkServer
  /** Cases that this server cannot serve, with what it lacks. */
  missing?(): Promise<ReadonlyMap<string, string>>
}

/** Cases played at the same time: most of a case is waiting until a state stays. */
export const casesAtATime = 10

/** Expectations of our own by case, from the `own-expectations.json` beside the sink's tests. */
export function ownExpectations(sink: SinkName): ReadonlyMap<string, OwnExpectation> {
  const text = readFileSync(new URL(`../${sink}/own-expectations.json`, import.meta.url), 'utf8')
  const own = new Map(Object.entries(readJson(text) as unknown as Readonly<Record<string, OwnExpectation>>))
  const unknown = [...own.keys()].filter((name) => !sinkCases(sink).includes(name))
  if (unknown.length > 0) throw new Error(`expectations for cases that do not exist: ${unknown.join(', ')}`)
  return own
}

interface RunParts {
  readonly suite: SinkSuite
  readonly stack: AsyncDisposableStack
  readonly worker: WorkerUnderTest
  readonly kafka: KafkaConnections
  readonly missing: ReadonlyMap<string, string>
}

/** The worker and the connections of a run; its internal topics go with it. */
export class SuiteRun implements AsyncDisposable {
  readonly #suite: SinkSuite
  readonly #stack: AsyncDisposableStack
  readonly #worker: WorkerUnderTest
  readonly #kafka: KafkaConnections
  readonly #own: ReadonlyMap<string, OwnExpectation>
  /** Cases that the server cannot serve, with what it lacks. */
  readonly missing: ReadonlyMap<string, string>

  private constructor(parts: RunParts) {
    this.#suite = parts.suite
    this.#stack = parts.stack
    this.#worker = parts.worker
    this.#kafka = parts.kafka
    this.missing = parts.missing
    this.#own = ownExpectations(parts.suite.sink)
  }

  static async open(suite: SinkSuite): Promise<SuiteRun> {
    await using starting = new AsyncDisposableStack()
    const kafka = starting.use(new KafkaConnections(suite.brokers))
    const cluster = await ClusterUnderTest.open(suite.brokers, { 'offset.storage.partitions': '1' })
    starting.defer(() =>
      kafka.admin.deleteTopics(['configs', 'offsets', 'statuses'].map((name) => `${name}-${cluster.token}`)),
    )
    starting.use(cluster)
    const worker = await cluster.start()
    await worker.ready()
    const missing = (await suite.missing?.()) ?? new Map()
    return new SuiteRun({ suite, stack: starting.move(), worker, kafka, missing })
  }

  /** @returns one line per place where the outcome is not as expected */
  async play(name: string): Promise<readonly string[]> {
    return (await this.differences(name)).map(describeDifference)
  }

  async differences(name: string): Promise<readonly Difference[]> {
    const options: PlayerOptions = {
      ...this.#suite,
      worker: this.#worker,
      kafka: this.#kafka,
      openServer: this.#suite.openServer,
    }
    return await playSinkCase(options, name, this.#own.get(name))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync()
  }
}
