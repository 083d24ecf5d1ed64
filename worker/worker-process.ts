/** A whole worker in this process: REST server, herder, runtime. `main.ts` starts and stops it. */
import { readFileSync } from 'node:fs'
import type { Clock, Logger } from './api/context.ts'
import { ConnectError, toError } from './api/errors.ts'
import type { Herder } from './cluster/herder.ts'
import type { StandaloneHerder } from './cluster/standalone-herder.ts'
import type { ConnectorFile } from './config/config-files.ts'
import type { WorkerMode } from './config/worker-config.ts'
import type { PluginModule } from './plugins/catalog.ts'
import type { PluginDiscovery } from './plugins/load.ts'
import { letYoungGenerationsGrow } from './runtime/young-generation.ts'
import { systemClock } from './util/clock.ts'
import { Loggers, type LogLevel } from './util/log.ts'
import { WorkLease } from './util/work-lease.ts'

/** Exit codes of Connect's commands. */
export const exitCodes = { ok: 0, usage: 1, startup: 2, connectors: 3 } as const

/** A failure with the exit code that it means for the process. */
export class StartFailure extends Error {
  override readonly name = 'StartFailure'
  readonly exitCode: number

  constructor(exitCode: number, cause: unknown) {
    super(toError(cause).message, { cause })
    this.exitCode = exitCode
  }
}

export interface WorkerProcessOptions {
  readonly mode: WorkerMode
  /** `.properties` or `.json` */
  readonly workerFile: string
  readonly connectorFiles: readonly string[]
  readonly logLevel: LogLevel
  /** Value of the environment variable `KAFKA_OPTS`, where Java looks for the JAAS file. */
  readonly kafkaOpts?: string | undefined
  /** As in `RestServerOptions`. */
  readonly healthTimeoutMs?: number
  /** The worker cannot go on; it has to be stopped and the process to end with code 1. */
  onFatal(error: Error): void
}

export interface WorkerProcess {
  readonly logger: Logger
  /** Resolves when the worker runs and the connector files are applied. @throws StartFailure */
  readonly started: Promise<void>
  /** Time in ms that `stop` may take before the process should end without it. */
  readonly stopTimeoutMs: number
  /** REST first, then the herder with everything it runs. Idempotent; also during the start. */
  stop(): Promise<void>
}

/** Beyond the tasks' own deadline: leaving the group, flushing statuses, closing connections. */
const stopMarginMs = 10_000
/** Time in ms for requests under way to finish before the herder stops. */
const requestGraceMs = 500

/**
 * Opens the REST server, then starts the rest in the background.
 * @throws StartFailure for a config that cannot be used, or a listener that cannot be opened
 */
export async function openWorker(options: WorkerProcessOptions): Promise<WorkerProcess> {
  const loggers = new Loggers({ level: options.logLevel })
  const logger = loggers.logger('worker')
  // What comes after REST is loaded while REST starts: reading modules is most of the time to the first answer.
  const laterModules = loadLater()
  laterModules.catch(() => undefined)
  const clock = systemClock
  try {
    const [{ loadWorkerConfig }, { misspeltOptions }, { createRestServer }] = await Promise.all([
      import('./config/worker-config.ts'),
      import('./config/misspelt-options.ts'),
      import('./rest/server.ts'),
    ])
    await using stack = new AsyncDisposableStack()
    const loaded = await loadWorkerConfig(options.workerFile, options.mode)
    stack.use(loaded.providers)
    const { config } = loaded
    const { kafkaOpts, healthTimeoutMs } = options
    const rest = await createRestServer({
      config,
      logger: loggers.logger('rest'),
      clock,
      ...(kafkaOpts === undefined ? {} : { kafkaOpts }),
      ...(healthTimeoutMs === undefined ? {} : { healthTimeoutMs }),
    })
    const advertised = await rest.listen()
    logger.info({ url: advertised.url, mode: options.mode }, 'REST server is listening')
    for (const { option, meant } of misspeltOptions(Object.keys(config.raw), Object.keys(config.options))) {
      const message = `No worker option is called ${option}, so it has no effect; ${meant} is one`
      logger.warn({ file: options.workerFile, option, meant }, message)
    }
    stack.move()
    return new RunningWorker({ ...options, loaded, rest, advertised, loggers, logger, clock, laterModules })
  } catch (error) {
    throw new StartFailure(exitCodes.startup, error)
  }
}

async function loadLater() {
  const [wiring, worker, hosts, kafka, topicLog, plugins, catalog, files, client] = await Promise.all([
    import('./cluster/wiring.ts'),
    import('./runtime/worker.ts'),
    import('./runtime/task-host.ts'),
    import('./kafka/client.ts'),
    import('./kafka/topic-log.ts'),
    import('./plugins/load.ts'),
    import('./plugins/catalog.ts'),
    import('./config/config-files.ts'),
    import('./rest/inter-worker-client.ts'),
  ])
  return { ...wiring, ...worker, ...hosts, ...kafka, ...topicLog, ...plugins, ...catalog, ...files, ...client }
}

type Later = Awaited<ReturnType<typeof loadLater>>

interface RunningWorkerOptions extends WorkerProcessOptions {
  readonly loaded: Awaited<ReturnType<typeof import('./config/worker-config.ts').loadWorkerConfig>>
  readonly rest: Awaited<ReturnType<typeof import('./rest/server.ts').createRestServer>>
  readonly advertised: Awaited<ReturnType<RunningWorkerOptions['rest']['listen']>>
  readonly loggers: Loggers
  readonly logger: Logger
  readonly clock: Clock
  readonly laterModules: Promise<Later>
}

class RunningWorker implements WorkerProcess {
  readonly #options: RunningWorkerOptions
  readonly #stopping = new AbortController()
  readonly started: Promise<void>
  readonly stopTimeoutMs: number
  #herder: Herder | null = null
  /** A standalone worker waits for the connectors of its command line, and ends when one does not start. */
  #standalone: StandaloneHerder | null = null
  #stopped: Promise<void> | null = null

  constructor(options: RunningWorkerOptions) {
    this.#options = options
    this.stopTimeoutMs = options.loaded.config.options['task.shutdown.graceful.timeout.ms'] + stopMarginMs
    this.started = this.#start()
  }

  get logger(): Logger {
    return this.#options.logger
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    this.#stopping.abort()
    // New requests are refused from now on; those that wait for the herder are answered when it stops.
    const closed = this.#options.rest.close()
    await Promise.race([closed.catch(() => undefined), this.#options.clock.sleep(requestGraceMs)])
    const outcomes = await Promise.allSettled([this.#herder?.stop()])
    outcomes.push(...(await Promise.allSettled([closed, this.#options.loaded.providers.close()])))
    const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []))
    if (failures.length > 0) throw new AggregateError(failures, 'the worker did not stop cleanly')
  }

  async #start(): Promise<void> {
    const { rest, logger } = this.#options
    let files: readonly ConnectorFile[]
    let later: Later
    try {
      later = await this.#options.laterModules
      files = await this.#readFiles(later)
      const herder = await this.#createHerder(later)
      this.#herder = herder
      rest.register(herder)
      if (this.#stopping.signal.aborted) return
      await herder.start()
    } catch (error) {
      if (this.#stopping.signal.aborted) return
      throw error instanceof StartFailure ? error : new StartFailure(exitCodes.startup, error)
    }
    logger.info({}, 'Kafka Connect started')
    try {
      await this.#applyFiles(later, files)
    } catch (error) {
      if (this.#stopping.signal.aborted) return
      throw new StartFailure(exitCodes.connectors, error)
    }
    this.#standalone?.markReady()
  }

  async #readFiles(later: Later): Promise<readonly ConnectorFile[]> {
    try {
      return await Promise.all(this.#options.connectorFiles.map((path) => later.readConnectorFile(path)))
    } catch (error) {
      throw new StartFailure(exitCodes.connectors, error)
    }
  }

  async #createHerder(later: Later): Promise<Herder> {
    const { loaded, loggers, clock, advertised, onFatal } = this.#options
    const { config, providers } = loaded
    const kafka = later.createKafkaClientFactory({ clock, log: loggers.logger('kafka') })
    const services = {
      kafka,
      createLog: (log: Parameters<typeof later.createTopicLog>[1]) => later.createTopicLog(kafka, log, clock),
      loggers,
      clock,
    }
    const pluginModules = await this.#findPlugins(later)
    const registry = new later.PluginCatalog(pluginModules)
    const isThreaded = config.options['task.isolation'] === 'thread'
    if (!isThreaded) letYoungGenerationsGrow()
    const lease = new WorkLease()
    const taskKafka = later.createKafkaClientFactory({ clock, log: loggers.logger('kafka'), lease })
    let herder: Herder | null = null
    const worker = new later.ConnectWorker({
      config,
      providers,
      // Known once the herder has reached the brokers, which is before it starts the worker.
      get clusterId() {
        return herder?.serverInfo().kafka_cluster_id ?? ''
      },
      offsets: later.createOffsetStore(config, services),
      kafka,
      registry,
      pluginModules,
      lease,
      hosts: isThreaded
        ? later.threadHosts
        : later.inProcessHosts({ registry, loadKafka: async () => taskKafka, loggers, clock, random: Math.random }),
      loggers,
      clock,
    })
    const parts = {
      ...services,
      worker,
      advertised,
      commit: buildName(),
      leaderClient: later.interWorkerClient(config),
    }
    if (config.mode === 'distributed') {
      herder = later.createDistributedHerder(config, { ...parts, lease, onFatal })
    } else {
      this.#standalone = later.createStandaloneHerder(config, parts)
      herder = this.#standalone
    }
    return herder
  }

  /** A broken plugin is told and left out; the worker runs without it. @throws ConnectError as `plugin.discovery` wants */
  async #findPlugins(later: Later): Promise<readonly PluginModule[]> {
    const { options } = this.#options.loaded.config
    const discovery = options['plugin.discovery'].toLowerCase() as PluginDiscovery
    const { modules, problems, undeclared } = await later.usablePlugins(options['plugin.path'] ?? [], { discovery })
    for (const { origin, code, message } of problems) {
      this.#options.logger.error({ code, origin }, `a plugin of plugin.path is left out: ${message}`)
    }
    if (undeclared.length > 0 && discovery === 'hybrid_fail') {
      const message = `No package.json declares the plugins of ${undeclared.join(', ')}, as plugin.discovery=hybrid_fail demands`
      throw new ConnectError('config', 'CONNECT_PLUGIN_UNDECLARED', message)
    }
    if (undeclared.length > 0 && discovery === 'hybrid_warn') {
      this.#options.logger.warn(
        { undeclared },
        'plugins that no package.json declares; service_load would not find them',
      )
    }
    return modules.map(({ url, plugins }) => ({ url, plugins }))
  }

  async #applyFiles(later: Later, files: readonly ConnectorFile[]): Promise<void> {
    const { logger, clock, loaded } = this.#options
    const herder = this.#herder
    if (herder === null || files.length === 0) return
    const client = later.interWorkerClient(loaded.config)
    const { signal } = this.#stopping
    const forward = async (url: string, file: ConnectorFile, exists: boolean): Promise<void> => {
      const { name, config, initialState } = file
      const body = exists ? config : { name, config, ...(initialState === null ? {} : { initial_state: initialState }) }
      const answer = await client.send({
        method: exists ? 'PUT' : 'POST',
        baseUrl: url,
        path: exists ? `/connectors/${encodeURIComponent(name)}/config` : '/connectors',
        query: new URLSearchParams({ forward: 'true' }),
        body: Buffer.from(JSON.stringify(body)),
        headers: {},
      })
      if (answer.status >= 300) throw later.refused(answer)
    }
    for (const file of files) {
      const applied = await later.applyConnectorFile(file, { herder, logger, clock, signal, forward })
      if (applied !== 'unchanged') await this.#standalone?.whenStarted(file.name, signal)
    }
  }
}

/** Name and version of this package, in the place of Connect's commit id. @throws ConnectError without a readable package.json */
export function buildName(): string {
  // Sources lie in worker/, the build in dist/worker/.
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as Record<
        string,
        unknown
      >
      if (name === 'sluice') return `${name}-${String(version)}`
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') continue
      throw new ConnectError('fatal', 'CONNECT_PACKAGE', `package.json cannot be read: ${toError(error).message}`)
    }
  }
  return 'sluice'
}
