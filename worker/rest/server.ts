/**
 * The REST server of a worker. It listens before the herder exists, so that `/health` answers from the first moment
 * and the bound port is known when the worker joins its group (spec 1.8).
 */
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Clock, Logger } from '../api/context.ts'
import { toError } from '../api/errors.ts'
import { nodeHttp, nodeHttps } from '../api/node-modules.ts'
import type { Herder } from '../cluster/herder.ts'
import { type AdvertisedUrl, advertisedUrl, type Listener, parseHeaderRules } from '../config/listeners.ts'
import { adminListeners, restListeners, tlsOptions, type WorkerConfig } from '../config/worker-config.ts'
import { MetricRegistry } from '../metrics/registry.ts'
import { type AppOptions, createApp, type RestApp } from './app.ts'
import { basicAuthExtension, type Credentials, jaasPathOf, loadCredentials } from './basic-auth.ts'
import { type Extensions, loadExtensions } from './extensions.ts'
import { corsOptions } from './headers.ts'
import { interWorkerClient } from './inter-worker-client.ts'
import { connectorRoutes } from './routes/connectors.ts'
import { health } from './routes/health.ts'
import { internalRoutes } from './routes/internal.ts'
import { loggerRoutes } from './routes/loggers.ts'
import { metricRoutes } from './routes/metrics.ts'
import { offsetRoutes } from './routes/offsets.ts'
import { pluginRoutes } from './routes/plugins.ts'
import { rootRoutes } from './routes/root.ts'
import { statusRoutes } from './routes/status.ts'
import { topicRoutes } from './routes/topics.ts'
import { statusPage } from './status-page.ts'
import { serverTls } from './tls.ts'

export interface RestServerOptions {
  readonly config: WorkerConfig
  readonly logger: Logger
  readonly clock: Clock
  /** Default 90 s, as in Connect. */
  readonly requestTimeoutMs?: number
  /** Default 10 s, as in Connect. */
  readonly healthTimeoutMs?: number
  /** Value of the environment variable `KAFKA_OPTS`: Java's place for the JAAS file. */
  readonly kafkaOpts?: string
}

export interface RestServer extends AsyncDisposable {
  /** Opens all listeners. @throws Error naming the listener when its address is taken or not permitted */
  listen(): Promise<AdvertisedUrl>
  /** From now on requests are answered; before, everything but `/health` and `/ui` is 404. */
  register(herder: Herder): void
  /** Ports in the order of `listeners`; empty before `listen`. */
  readonly ports: readonly number[]
  /** Those of `admin.listeners`, where it has any. */
  readonly adminPorts: readonly number[]
  /** The application without a socket, for tests. */
  readonly app: FastifyInstance
  /** Stops accepting, lets running requests finish. Idempotent. */
  close(): Promise<void>
}

/** @throws ConfigError for an unknown extension, unusable credentials or TLS options */
export async function createRestServer(options: RestServerOptions): Promise<RestServer> {
  const { config, logger, clock } = options
  const metrics = new MetricRegistry()
  const worker = config.options
  let herder: Herder | null = null
  const client = interWorkerClient(config, options.requestTimeoutMs)
  const shared = {
    herder: () => herder,
    client,
    clock,
    logger,
    metrics,
    headerRules: parseHeaderRules(worker['response.http.headers.config']),
    cors: corsOptions(worker['access.control.allow.origin'], worker['access.control.allow.methods']),
    requestTimeoutMs: options.requestTimeoutMs ?? 90_000,
  }
  const admin = adminListeners(config)
  const healthRoute = { path: '/health', serve: (h: Herder | null) => health(h, options.healthTimeoutMs ?? 10_000) }
  const extensions = await loadExtensions(
    worker['rest.extension.classes'].filter((name) => !isBasicAuth(name)),
    config,
  )
  const main = await createApp({
    ...shared,
    credentials: await credentialsOf(options),
    extensions,
    routes: [...mainRoutes(config, metrics), ...extensions.routes, ...(admin === null ? loggerRoutes : [])],
    early: [healthRoute, { path: '/ui', anyType: true, serve: async () => statusPage }],
  })
  // Extensions belong to the main listeners only (spec 4.13).
  const adminApp =
    admin === null || admin.length === 0
      ? null
      : await createApp({ ...shared, credentials: null, routes: loggerRoutes, early: [] })
  return new ListeningServer({
    config,
    main,
    admin: adminApp,
    extensions,
    register: (registered) => {
      herder = registered
      extensions.register(registered).catch((error: unknown) => {
        logger.error({ error: toError(error) }, 'a REST extension could not be registered')
      })
    },
  })
}

function mainRoutes(config: WorkerConfig, metrics: MetricRegistry): AppOptions['routes'] {
  const tracking = {
    enabled: config.options['topic.tracking.enable'],
    resetAllowed: config.options['topic.tracking.allow.reset'],
  }
  return [
    ...rootRoutes,
    ...connectorRoutes,
    ...statusRoutes,
    ...topicRoutes(tracking),
    ...offsetRoutes,
    ...pluginRoutes,
    ...internalRoutes,
    ...metricRoutes(metrics),
  ]
}

function isBasicAuth(name: string): boolean {
  return name === basicAuthExtension || name === 'BasicAuthSecurityRestExtension'
}

async function credentialsOf({ config, kafkaOpts }: RestServerOptions): Promise<Credentials | null> {
  let credentials: Credentials | null = null
  for (const name of config.options['rest.extension.classes']) {
    if (!isBasicAuth(name)) continue
    credentials = await loadCredentials(jaasPathOf(config.options['java.security.auth.login.config'], kafkaOpts))
  }
  return credentials
}

interface ListeningOptions {
  readonly config: WorkerConfig
  readonly main: RestApp
  readonly admin: RestApp | null
  readonly extensions: Extensions
  readonly register: (herder: Herder) => void
}

class ListeningServer implements RestServer {
  readonly #options: ListeningOptions
  readonly #servers: Server[] = []
  #ports: readonly number[] = []
  readonly #adminPorts: number[] = []
  #closing: Promise<void> | null = null

  constructor(options: ListeningOptions) {
    this.#options = options
  }

  get app(): FastifyInstance {
    return this.#options.main.app
  }

  get ports(): readonly number[] {
    return this.#ports
  }

  get adminPorts(): readonly number[] {
    return this.#adminPorts
  }

  register(herder: Herder): void {
    this.#options.register(herder)
  }

  async listen(): Promise<AdvertisedUrl> {
    const { config, main, admin } = this.#options
    try {
      const ports: number[] = []
      for (const listener of restListeners(config)) ports.push(await this.#open(listener, main, 'listeners.https.'))
      this.#ports = ports
      for (const listener of admin === null ? [] : (adminListeners(config) ?? [])) {
        this.#adminPorts.push(await this.#open(listener, admin ?? main, 'admin.listeners.https.'))
      }
    } catch (error) {
      await this.close()
      throw error
    }
    return advertisedUrl(config.options, this.#ports)
  }

  async #open(
    listener: Listener,
    app: RestApp,
    prefix: 'listeners.https.' | 'admin.listeners.https.',
  ): Promise<number> {
    const { config } = this.#options
    const server: Server =
      listener.protocol === 'https'
        ? nodeHttps().createServer(serverTls(tlsOptions(config.raw, prefix)), app.handler)
        : nodeHttp().createServer(app.handler)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    server.once('error', reject)
    server.listen({ port: listener.port, ...(listener.host === '' ? {} : { host: listener.host }) }, resolve)
    await promise.catch((error: unknown) => {
      throw new Error(listenFailure(listener, prefix.slice(0, prefix.indexOf('.https.')), toError(error).message), {
        cause: error,
      })
    })
    server.off('error', reject)
    this.#servers.push(server)
    return (server.address() as AddressInfo).port
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const { main, admin, extensions } = this.#options
    const results = await Promise.allSettled([
      ...this.#servers.map(closeServer),
      main.app.close(),
      extensions.close(),
      ...(admin === null ? [] : [admin.app.close()]),
    ])
    const errors = results.flatMap((r) => (r.status === 'rejected' ? [r.reason as unknown] : []))
    if (errors.length > 0) throw new AggregateError(errors, 'REST server did not close cleanly')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

function listenFailure({ protocol, host, port }: Listener, option: string, reason: string): string {
  return `${option}: cannot listen on ${protocol}://${host}:${port}: ${reason}; name another port, or end what has it`
}

/** Running requests may finish; idle connections are cut, or a browser's keep-alive would hold up the shutdown (I9). */
function closeServer(server: Server): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.close((error) => (error === undefined ? resolve() : reject(error)))
  server.closeIdleConnections()
  return promise
}
