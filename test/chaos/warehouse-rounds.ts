import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ConnectClient } from '../../compose/pipelines/support/connect-client.ts'
import { groupLag } from '../../compose/pipelines/support/kafka-topics.ts'
import { type PipelineRun, type Services, workerEnvironment } from '../../compose/pipelines/support/pipeline.ts'
import { waitFor } from '../../compose/pipelines/support/wait.ts'
import { WorkerCluster } from '../../compose/pipelines/support/workers.ts'
import { kinds } from '../../compose/pipelines/warehouse/events.ts'
import { produceEvents } from '../../compose/pipelines/warehouse/feed.ts'
import { WarehousePipeline } from '../../compose/pipelines/warehouse/pipeline.ts'
import { compareTotals } from '../../compose/pipelines/warehouse/totals.ts'
import { Warehouse } from '../../compose/pipelines/warehouse/warehouse-client.ts'
import { verify } from '../../worker/cli/verify.ts'
import { FaultProxy } from '../conformance/sinks/fault-proxy.ts'
import { PrivateS3 } from '../support/private-s3.ts'
import { projectRoot } from '../support/project-root.ts'
import type { Random } from '../support/random.ts'
import { type Emulator, startEmulator } from '../support/redshift/emulator.ts'

/** What goes wrong in a round. */
type WarehouseDisaster = (typeof disasters)[number]

const disasters = [
  'kill',
  'kill-at-step',
  's3-gone',
  's3-restart',
  'rebalance',
  's3-error-after',
  's3-reset-after',
  's3-busy',
  'copy-answer-lost',
  'copy-aborted-though-committed',
  'copy-commit-fails',
  'copy-serialisation',
  'copy-throttled',
  'emulator-restart',
] as const

export interface WarehouseRound {
  readonly round: number
  /** With the step, where there are several. */
  readonly disaster: string
  readonly afterMs: number
  readonly events: number
  readonly recoveryMs: number
  readonly differences: readonly string[]
}

/**
 * Every step on the way from buffer to ledger that a server sees: workers are killed when the request is on its way,
 * and when it is carried out and its answer is not there yet. Between two of them lie the messages of topic B and the
 * commits of offsets.
 */
const steps = ['object', 'manifest', 'load', 'outcome'] as const
const requestOf: Readonly<Record<(typeof steps)[number], { readonly line: string; readonly body?: string }>> = {
  object: { line: '^(PUT|POST) (?!.*_manifests)' },
  manifest: { line: '^PUT .*_manifests' },
  load: { line: '^POST', body: '"Sqls":.*COPY' },
  outcome: { line: '^POST', body: '^\\{"Id":' },
}

const perRound = 1_200
const tasks = 3

/**
 * The pipeline *warehouse* while workers are killed and its servers misbehave: each round writes events, lets one
 * thing go wrong somewhere in the middle and compares the tables with the set of events, by SQL and by `sluice verify`
 * (I1–I4, I9; statements R19, R22, R23, R25).
 */
export async function warehouseRounds(options: {
  readonly services: Services
  readonly rounds: number
  readonly random: Random
  readonly port: number
  readonly instance: string
  report(result: WarehouseRound): void
}): Promise<readonly WarehouseRound[]> {
  const { random, rounds, port, instance } = options
  await using store = await PrivateS3.open(options.services)
  await using proxy = await FaultProxy.open(store.endpoint, [])
  await using emulator = await RestartableEmulator.open({ ...options.services, s3Endpoint: store.endpoint })
  await using dataApi = await FaultProxy.open(emulator.endpoint, [])
  const services = { ...options.services, s3Endpoint: proxy.url, redshiftEndpoint: dataApi.url }
  const choice = new Shuffled(disasters, random)
  const pipeline = new WarehousePipeline(instance)
  await using workers = new WorkerCluster({
    group: `chaos-${port}`,
    bootstrapServers: services.kafkaBrokers,
    ports: [port, port + 1],
    folder: join(projectRoot, '.stack/chaos'),
    env: workerEnvironment(services),
  })
  const connect = new ConnectClient(() => workers.urls)
  const run: PipelineRun = { services, connect, workers, kill: false, scale: 0, step: () => {} }
  const results: WarehouseRound[] = []
  await workers.startAll()
  await using config = await SinkFile.write(pipeline, services)
  try {
    await pipeline.prepare(run)
    await pipeline.start(connect)
    for (let round = 1; round <= rounds; round++) {
      const disaster = choice.next()
      const afterMs = random.integer(0, 2_000)
      const writing = writeRound(services, pipeline, round)
      await sleep(afterMs)
      const brokenAt = Date.now()
      const what = await happen(disaster, { random, workers, connect, store, proxy, dataApi, emulator, pipeline })
      await writing
      await settle(services, pipeline)
      proxy.disarm()
      dataApi.disarm()
      emulator.heal()
      const differences = await compare(services, pipeline, config.path, round * perRound)
      const result = {
        round,
        disaster: what,
        afterMs,
        events: round * perRound,
        recoveryMs: Date.now() - brokenAt,
        differences,
      }
      results.push(result)
      options.report(result)
    }
    return results
  } finally {
    for (const name of [pipeline.s3, pipeline.redshift]) await connect.remove(name).catch(() => {})
  }
}

/** Each once in a random order before any comes again. */
class Shuffled<T> {
  readonly #all: readonly T[]
  readonly #random: Random
  #left: T[] = []

  constructor(all: readonly [T, ...T[]], random: Random) {
    this.#all = all
    this.#random = random
  }

  next(): T {
    if (this.#left.length === 0) this.#left = [...this.#all]
    const [next] = this.#left.splice(this.#random.integer(0, this.#left.length - 1), 1)
    return next ?? this.next()
  }
}

async function writeRound(services: Services, { payroll }: WarehousePipeline, round: number): Promise<void> {
  const from = (round - 1) * perRound
  for (let part = 0; part < 6; part++) {
    const share = { producer: 0, of: 1, from: from + part * 200, to: from + (part + 1) * 200 }
    await produceEvents(services.kafkaBrokers, `${payroll}.events`, share)
    await sleep(250)
  }
}

interface Surroundings {
  readonly random: Random
  readonly workers: WorkerCluster
  readonly connect: ConnectClient
  readonly store: PrivateS3
  /** In front of S3. */
  readonly proxy: FaultProxy
  /** In front of the Data API. */
  readonly dataApi: FaultProxy
  readonly emulator: RestartableEmulator
  readonly pipeline: WarehousePipeline
}

/** @returns what happened, with details */
async function happen(disaster: WarehouseDisaster, around: Surroundings): Promise<string> {
  if (disaster === 'kill-at-step') return await killAtStep(around)
  await breakSomething(disaster, around)
  return disaster
}

async function breakSomething(
  disaster: Exclude<WarehouseDisaster, 'kill-at-step'>,
  around: Surroundings,
): Promise<void> {
  const { random, workers, connect, store, proxy, emulator, pipeline } = around
  const writes = '^(PUT|POST) '
  const times = random.integer(1, 4)
  switch (disaster) {
    case 'kill': {
      const [first = 0, second = 0] = workers.ports
      return await killAndStart(workers, random.pick([[first], [second], [first, second]]))
    }
    case 'rebalance':
      // Fewer tasks, then as many as before: every partition changes hands.
      for (const count of [1, tasks]) {
        await waitFor(`${count} tasks of either sink`, 60_000, () => runTasks(pipeline, connect, count))
        await sleep(random.integer(0, 500))
      }
      return
    case 's3-gone':
      // As behind a cable that is pulled out: the server goes on with what it has.
      proxy.arm({ match: '.', do: 'drop', times: Number.POSITIVE_INFINITY })
      await sleep(random.integer(500, 4_000))
      return proxy.disarm()
    case 's3-restart':
      await store.stop(random.pick(['SIGTERM', 'SIGKILL'] as const))
      await sleep(random.integer(0, 2_000))
      return await store.start()
    case 's3-error-after':
      return proxy.arm({ match: writes, do: 'statusAfter', status: 500, times })
    case 's3-reset-after':
      return proxy.arm({ match: writes, do: 'dropAfter', times })
    case 's3-busy':
      return proxy.arm({ match: '.', do: 'status', status: 503, times: times * 3 })
    case 'copy-answer-lost':
      return emulator.arm({ kind: 'drop-response', operation: 'BatchExecuteStatement', count: times })
    case 'copy-aborted-though-committed':
      return emulator.arm({ kind: 'abort-though-committed', sqlContains: 'COPY', count: times })
    case 'copy-commit-fails':
      return emulator.arm({ kind: 'fail-commit', sqlContains: 'COPY', count: times })
    case 'copy-serialisation':
      return emulator.arm({ kind: 'serializable-violation', sqlContains: 'COPY', count: times })
    case 'copy-throttled':
      return emulator.arm({ kind: 'throttle', count: times * 5 })
    case 'emulator-restart':
      return emulator.restart(random.integer(0, 1_000))
  }
}

/** Gives both sinks this many tasks. What failed on the way is started again: others look after that. */
async function runTasks(pipeline: WarehousePipeline, connect: ConnectClient, count: number): Promise<true> {
  try {
    await pipeline.start(connect, { 'tasks.max': String(count) })
    return true
  } catch (error) {
    for (const name of [pipeline.s3, pipeline.redshift]) {
      await connect.request('POST', `/connectors/${name}/restart?includeTasks=true&onlyFailed=true`)
    }
    throw error
  }
}

/** Kills both workers at a request of one of them, or shortly after it was answered. */
async function killAtStep({ random, workers, proxy, dataApi }: Surroundings): Promise<string> {
  const step = random.pick(steps)
  const when = random.pick(['before', 'after', 'answered'] as const)
  const server = step === 'load' || step === 'outcome' ? dataApi : proxy
  const giveUp = setTimeout(() => server.disarm(), 30_000)
  const release = await server.hold({ ...requestOf[step], when: when === 'answered' ? 'after' : when })
  clearTimeout(giveUp)
  if (when === 'answered') {
    release()
    // Messages, offsets and the next request follow within moments.
    await sleep(random.integer(0, 100))
  }
  await killAndStart(workers, workers.ports)
  release()
  return `killed at ${step}, ${when}`
}

async function killAndStart(workers: WorkerCluster, victims: readonly number[]): Promise<void> {
  await Promise.all(victims.map((victim) => workers.kill(victim)))
  await Promise.all(victims.map((victim) => workers.start(victim)))
}

async function settle({ kafkaBrokers }: Services, { payroll, s3, redshift }: WarehousePipeline): Promise<void> {
  for (const [sink, topic] of [
    [s3, 'events'],
    [redshift, 'files'],
  ] as const) {
    await waitFor(`${sink} to commit everything`, 120_000, async () =>
      (await groupLag(kafkaBrokers, `connect-${sink}`, `${payroll}.${topic}`)) === 0 ? true : null,
    )
  }
}

async function compare(
  services: Services,
  { payroll }: WarehousePipeline,
  file: string,
  events: number,
): Promise<readonly string[]> {
  const warehouse = new Warehouse(services)
  try {
    const totals = await compareTotals(warehouse, payroll, events)
    const how = {
      file,
      bootstrapServers: services.kafkaBrokers,
      records: true,
      files: true,
      tables: [...kinds],
      against: null,
    }
    const findings = await verify({ ...how, attempts: 1, json: true }, new AbortController().signal)
    return [
      ...totals.flatMap(({ differences }) => differences),
      ...findings.flatMap(({ what, differences }) => differences.map((text) => `verify ${what}: ${text}`)),
    ]
  } finally {
    warehouse.close()
  }
}

/** The configuration of the Redshift sink as `sluice verify` reads it, with its references resolved. */
class SinkFile implements AsyncDisposable {
  readonly path: string
  readonly #folder: string

  private constructor(folder: string) {
    this.#folder = folder
    this.path = join(folder, 'redshift-sink.json')
  }

  static async write(pipeline: WarehousePipeline, services: Services): Promise<SinkFile> {
    const file = new SinkFile(await mkdtemp(join(projectRoot, '.stack/verify-')))
    const source = new URL('../../compose/pipelines/warehouse/redshift-sink.json', import.meta.url)
    let text = await readFile(source, 'utf8')
    for (const [from, to] of Object.entries(pipeline.names)) text = text.replaceAll(from, to)
    for (const [name, value] of Object.entries(workerEnvironment(services)))
      text = text.replaceAll(`\${env:${name}}`, value)
    await writeFile(file.path, text)
    return file
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
  }
}

/** An emulator of its own, which may go down and come back: it forgets its statements, not its tables. */
class RestartableEmulator implements AsyncDisposable {
  readonly #services: Services
  #running: Emulator

  private constructor(services: Services, running: Emulator) {
    this.#services = services
    this.#running = running
  }

  static async open(services: Services): Promise<RestartableEmulator> {
    return new RestartableEmulator(services, await startEmulator({ port: 0, ...placeOf(services) }))
  }

  get endpoint(): string {
    return this.#running.endpoint
  }

  arm(fault: Parameters<Emulator['faults']['arm']>[0]): void {
    this.#running.faults.arm(fault)
  }

  heal(): void {
    this.#running.faults.clear(null)
  }

  /** Down, a pause, and up again at the same address. */
  async restart(pauseMs: number): Promise<void> {
    const port = Number(new URL(this.endpoint).port)
    await this.#running.close()
    await sleep(pauseMs)
    this.#running = await startEmulator({ port, ...placeOf(this.#services) })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running.close()
  }
}

function placeOf({ pgUrl, s3Endpoint, s3AccessKey, s3SecretKey }: Services) {
  return { postgresUrl: pgUrl, s3: { endpoint: s3Endpoint, accessKey: s3AccessKey, secretKey: s3SecretKey } }
}
