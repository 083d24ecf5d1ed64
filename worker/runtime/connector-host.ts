/**
 * The one host of all connector instances and of validation. A plugin that blocks its thread would hold up all the
 * others: when the host does not answer any more it is replaced, the connector that holds it fails, and the others
 * are started again. A host that nobody asks anything of, and whose connectors have nothing to watch, is let go with its
 * thread; what is asked of a connector afterwards starts it again in the next one.
 */
import type { RawConfig } from '../api/connector.ts'
import type { Clock, Logger } from '../api/context.ts'
import { ConnectError, toError } from '../api/errors.ts'
import type { MetricSnapshot } from '../metrics/snapshot.ts'
import { traceOf } from '../util/error-codec.ts'
import { hostGone } from './host-channel.ts'
import type { GeneratedTaskConfigs, Handlers, HostCalls, HostEvent, HostInit, MainCalls } from './host-protocol.ts'
import { deadline, orAborted } from './run-state.ts'
import { threadEndCodes } from './task-failure.ts'
import type { Host, HostFactory } from './task-host.ts'
import type { ReportedState, TargetState } from './worker-types.ts'
import { youngMegabytes } from './young-generation.ts'

export interface ConnectorHostOptions {
  readonly hosts: HostFactory
  readonly init: () => HostInit
  readonly handlers: Handlers<MainCalls>
  readonly clock: Clock
  readonly logger: Logger
  readonly gracefulTimeoutMs: number
  readonly listener: {
    onState(connector: string, state: ReportedState, trace: string | null, version: string | null): void
    onReconfigure(connector: string): void
  }
  /** Time between pings, and time that an answer may take. */
  readonly pings: { readonly intervalMs: number; readonly timeoutMs: number }
  /** Time without a call, in ms, after which a host that is of no further use is let go. */
  readonly linger: Linger
}

export interface Linger {
  /** After task configs, the last thing that is asked of a connector until its config changes. */
  readonly afterTaskConfigsMs: number
  /** After any other call, which others may follow. */
  readonly otherwiseMs: number
}

/** Where the object of a connector lives; what is reported of the connector does not depend on it. */
type Residence =
  | { readonly kind: 'host' }
  /** Nowhere: it had nothing to watch when its host was let go. */
  | { readonly kind: 'asleep' }
  /** It is started again, in the state in which it fell asleep, for a call that needs it. */
  | { readonly kind: 'waking'; readonly done: Promise<unknown> }

const resident: Residence = { kind: 'host' }
const asleep: Residence = { kind: 'asleep' }

interface Instance {
  readonly epoch: number
  readonly config: RawConfig
  target: TargetState
  version: string | null
  residence: Residence
}

/** Time for providers of the host to close, in ms, out of the time that a worker has to stop. */
const closeTimeoutMs = 1_000

export class ConnectorHost {
  readonly #options: ConnectorHostOptions
  readonly #instances = new Map<string, Instance>()
  readonly #closing = new AbortController()
  #host: Host | null = null
  /** A new value each time that the host has loaded what it needs; null while it loads: it is slow, but not blocked. */
  #ready: symbol | null = null
  #watch: Promise<void> | null = null
  /** Calls without an answer, pings aside. */
  #calls = 0
  /** Ends the wait of a host that lingers when a call comes. */
  #rest = new AbortController()
  /** Hosts that linger, and those that are being let go. */
  readonly #background = new Set<Promise<void>>()
  #lastCall: { readonly connector: string; readonly method: string } | null = null
  #nextEpoch = 1

  constructor(options: ConnectorHostOptions) {
    this.#options = options
  }

  /** The thread itself starts with the first connector or validation: a worker that only runs tasks needs none. */
  async start(): Promise<void> {
    this.#watch ??= this.#watchHost()
  }

  #open(): Host {
    this.#ready = null
    const host: Host = this.#options.hosts({
      name: 'connectors',
      init: this.#options.init(),
      youngMegabytes: youngMegabytes.connector,
      handlers: this.#options.handlers,
      onEvent: (event) => {
        if (this.#host === host) this.#onEvent(event)
      },
      onGone: (error) => {
        if (this.#host === host) void this.#replace(host, error)
      },
    })
    this.#host = host
    return host
  }

  connectors(): readonly string[] {
    return [...this.#instances.keys()]
  }

  /** Options of a connector that was started here, references resolved; null for any other. */
  configOf(connector: string): RawConfig | null {
    return this.#instances.get(connector)?.config ?? null
  }

  /** @throws ConnectError `CONNECT_HOST_GONE` when the host was replaced meanwhile */
  async call<M extends keyof HostCalls>(method: M, params: HostCalls[M]['params']): Promise<HostCalls[M]['result']> {
    if (this.#closing.signal.aborted) throw hostGone('The host of the connectors')
    this.#rest.abort()
    this.#calls++
    try {
      return await (this.#host ?? this.#open()).channel.call(method, params)
    } finally {
      this.#calls--
      if (this.#calls === 0 && !this.#closing.signal.aborted) {
        const { linger } = this.#options
        const lingerMs = method === 'connector.taskConfigs' ? linger.afterTaskConfigsMs : linger.otherwiseMs
        this.#begin(this.#letGoWhenIdle(lingerMs))
      }
    }
  }

  async startConnector(connector: string, config: RawConfig, target: TargetState): Promise<void> {
    const epoch = this.#nextEpoch++
    this.#instances.set(connector, { epoch, config, target, version: null, residence: resident })
    await this.call('connector.start', { connector, epoch, config, target })
  }

  async transitionConnector(connector: string, target: TargetState): Promise<void> {
    const instance = this.#instances.get(connector)
    if (instance !== undefined) {
      instance.target = target
      // Its own caller learns why it could not be started again.
      if (instance.residence.kind === 'waking') await instance.residence.done.catch(() => undefined)
      if (instance.residence.kind === 'asleep') return await this.#transitionAsleep(connector, instance, target)
    }
    await this.call('connector.transition', { connector, target })
  }

  /** `stop` was called when it fell asleep, so that there is nothing to do unless it is to run. */
  async #transitionAsleep(connector: string, instance: Instance, target: TargetState): Promise<void> {
    if (target !== 'STARTED') {
      this.#options.listener.onState(connector, target, null, instance.version)
      return
    }
    instance.residence = resident
    await this.call('connector.start', { connector, epoch: instance.epoch, config: instance.config, target })
  }

  /** @throws ConnectError when the connector is not running, or cannot be started again; then it is FAILED */
  async taskConfigs(connector: string, maxTasks: number): Promise<GeneratedTaskConfigs> {
    const instance = this.#instances.get(connector)
    if (instance?.residence.kind === 'asleep') this.#wake(connector, instance)
    if (instance?.residence.kind === 'waking') await instance.residence.done
    return await this.call('connector.taskConfigs', { connector, maxTasks })
  }

  #wake(connector: string, instance: Instance): void {
    const { epoch, config, target } = instance
    const done = this.call('connector.start', { connector, epoch, config, target }).finally(() => {
      if (instance.residence === waking) instance.residence = resident
    })
    const waking: Residence = { kind: 'waking', done }
    instance.residence = waking
  }

  #begin(work: Promise<void>): void {
    const settled = work.catch((error: unknown) => {
      this.#options.logger.debug({ error }, 'the host of the connectors was called, replaced or closed, not let go')
    })
    this.#background.add(settled)
    void settled.finally(() => this.#background.delete(settled))
  }

  /**
   * Marks what lives in the host as asleep before the host ends, in one step: a call that comes meanwhile gets the next
   * host.
   */
  async #letGoWhenIdle(lingerMs: number): Promise<void> {
    const { clock } = this.#options
    this.#rest.abort()
    this.#rest = new AbortController()
    const { signal } = this.#rest
    await clock.sleep(lingerMs, signal)
    const host = this.#host
    if (signal.aborted || host === null) return
    // A host that is blocked does not answer: whoever closes this one must not wait for it.
    const sleepers = await orAborted(host.channel.call('connectors.idle', null), signal)
    if (sleepers === null || signal.aborted || this.#host !== host) return
    this.#host = null
    this.#lastCall = null
    for (const connector of sleepers) {
      const instance = this.#instances.get(connector)
      if (instance !== undefined) instance.residence = asleep
    }
    await this.#endHost(host)
  }

  /** Stops what lives in it; whoever does not let go in time is ended with the thread. */
  async #endHost(host: Host): Promise<void> {
    const { gracefulTimeoutMs, logger } = this.#options
    try {
      using limit = deadline(gracefulTimeoutMs)
      await orAborted(host.channel.call('close', null), limit.signal)
    } catch (error) {
      logger.warn({ error }, 'a connector with nothing to watch did not stop in time; its thread is ended')
    }
    await host.terminate()
  }

  /** Within the graceful deadline, all together; one that is late is given up. Both end as UNASSIGNED. */
  async stopConnectors(connectors: readonly string[]): Promise<void> {
    const { logger, listener, gracefulTimeoutMs } = this.#options
    await Promise.all(
      connectors.map(async (connector) => {
        const instance = this.#instances.get(connector)
        if (instance === undefined) return
        try {
          using limit = deadline(gracefulTimeoutMs)
          const isAsleep = instance.residence.kind === 'asleep'
          if (!isAsleep) await orAborted(this.call('connector.stop', { connector }), limit.signal)
        } catch (error) {
          logger.error({ connector, error }, 'Graceful stop of the connector failed; it is given up')
        }
        if (this.#instances.get(connector) !== instance) return
        this.#instances.delete(connector)
        listener.onState(connector, 'UNASSIGNED', null, instance.version)
      }),
    )
  }

  #onEvent(event: HostEvent): void {
    switch (event.event) {
      case 'ready':
        this.#ready = Symbol('ready')
        return
      case 'loading':
        this.#ready = null
        return
      case 'connector.calling':
        this.#lastCall = event
        return
      case 'connector.state': {
        const instance = this.#instances.get(event.connector)
        // News of an instance that was given up, or replaced, is nobody's (I7).
        if (instance?.epoch !== event.epoch) return
        instance.version = event.version
        // It comes back into the state that was reported before it fell asleep.
        if (instance.residence.kind === 'waking' && event.state !== 'FAILED') return
        this.#options.listener.onState(event.connector, event.state, event.trace, event.version)
        return
      }
      case 'connector.reconfigure':
        if (this.#instances.get(event.connector)?.epoch === event.epoch) {
          this.#options.listener.onReconfigure(event.connector)
        }
        return
      default:
    }
  }

  async #watchHost(): Promise<void> {
    const { clock, pings } = this.#options
    const { signal } = this.#closing
    while (!signal.aborted) {
      await clock.sleep(pings.intervalMs, signal)
      const host = this.#host
      const ready = this.#ready
      if (signal.aborted || host === null || ready === null) continue
      try {
        using limit = deadline(pings.timeoutMs, signal)
        await orAborted(host.channel.call('ping', null), limit.signal)
      } catch (error) {
        if (!signal.aborted && this.#host === host && this.#ready === ready) await this.#replace(host, toError(error))
      }
    }
  }

  /** A new host for all but the connector that held the old one; that one is FAILED until somebody restarts it. */
  async #replace(host: Host, cause: Error): Promise<void> {
    const { logger, listener } = this.#options
    if (this.#closing.signal.aborted) return
    const culprit = this.#lastCall
    logger.error({ error: cause, ...culprit }, 'The host of the connectors does not answer and is replaced')
    this.#host = null
    this.#lastCall = null
    await host.terminate()
    if (this.#closing.signal.aborted) return
    // A call may have opened the next one already.
    if (this.#host === null) this.#open()
    for (const [connector, instance] of this.#instances) {
      if (instance.residence.kind === 'asleep') continue
      if (connector === culprit?.connector) {
        const error = hostFailure(connector, culprit.method, cause)
        listener.onState(connector, 'FAILED', traceOf(error), instance.version)
        continue
      }
      const { config, target } = instance
      this.startConnector(connector, config, target).catch((error: unknown) => {
        logger.error({ connector, error }, 'the connector could not be started in the new host')
      })
    }
  }

  /** Of what lives in the host; asking for them neither opens one nor keeps it. */
  async metrics(timeoutMs: number): Promise<readonly MetricSnapshot[]> {
    if (this.#host === null) return []
    try {
      using limit = deadline(timeoutMs)
      return await orAborted(this.#host.channel.call('metrics', null), limit.signal)
    } catch (error) {
      this.#options.logger.debug({ error }, 'no metrics from the host of the connectors')
      return []
    }
  }

  setLogLevel(namespace: string, level: string): void {
    // A host that starts later gets the levels with its first message.
    if (this.#host === null) return
    this.call('log.level', { namespace, level }).catch((error: unknown) => {
      this.#options.logger.debug({ error }, 'the host of the connectors was replaced before its log level changed')
    })
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#rest.abort()
    await this.#watch
    await Promise.all(this.#background)
    const host = this.#host
    this.#host = null
    if (host === null) return
    await this.#closeProviders(host)
    await host.terminate()
  }

  /** Those that validation has opened in the host; one that blocks is given up with its thread. */
  async #closeProviders({ channel }: Host): Promise<void> {
    const { init, logger } = this.#options
    if (this.#ready === null || (init().worker['config.providers'] ?? '') === '') return
    try {
      using limit = deadline(closeTimeoutMs)
      await orAborted(channel.call('close', null), limit.signal)
    } catch (error) {
      logger.warn({ error }, 'config providers of the host of the connectors could not be closed')
    }
  }
}

/** A thread that ended by itself says why; one that was given up did not answer. */
function hostFailure(connector: string, method: string, cause: Error): ConnectError {
  if (cause instanceof ConnectError && threadEndCodes.has(cause.code)) return cause
  const message = `Connector ${connector} blocked its thread in ${method}; correct it and restart it`
  return new ConnectError('fatal', 'CONNECT_CONNECTOR_BLOCKED', message, { cause })
}
