/** Connector instances of a host: one state machine each (Connect 4.3, `WorkerConnector`). */
import type {
  ConnectorContext,
  RawConfig,
  SinkConnector,
  SourceConnector,
  SourceConnectorContext,
} from '../api/connector.ts'
import type { Clock, Logger } from '../api/context.ts'
import { ConnectError, RequestError, toError } from '../api/errors.ts'
import type { ConnectorPlugin } from '../api/plugin.ts'
import { TopicPartitionMap } from '../api/topic-partition.ts'
import { parseConfig } from '../config/config-def.ts'
import type { MetricRegistry } from '../metrics/registry.ts'
import type { OfKind, PluginIndex, PluginName } from '../plugins/registry.ts'
import { traceOf } from '../util/error-codec.ts'
import type { GeneratedTaskConfigs, HostEvent, OffsetChange, SinkOffsetChange } from './host-protocol.ts'
import { HostOffsetReader, type MainServices } from './task-environment.ts'
import type { ReportedState, TargetState } from './worker-types.ts'

export interface InstanceEnvironment {
  readonly registry: PluginIndex
  readonly services: Pick<MainServices, 'readOffsets'>
  readonly clock: Clock
  readonly metrics: MetricRegistry
  logger(connector: string): Logger
  tell(event: HostEvent): void
}

type ConnectorName = OfKind<PluginName, 'connector'>

type Phase = 'init' | 'started' | 'paused' | 'stopped' | 'failed'

type AnyConnector = SourceConnector<unknown> | SinkConnector<unknown>

const reported: Readonly<Record<TargetState, { readonly phase: Phase; readonly state: ReportedState }>> = {
  STARTED: { phase: 'started', state: 'RUNNING' },
  PAUSED: { phase: 'paused', state: 'PAUSED' },
  STOPPED: { phase: 'stopped', state: 'STOPPED' },
}

class ConnectorInstance {
  readonly name: string
  readonly epoch: number
  readonly #plugin: ConnectorName
  readonly #config: RawConfig
  readonly #env: InstanceEnvironment
  /** Loaded by the first start. */
  #manifest: ConnectorPlugin | null = null
  #connector: AnyConnector | null = null
  #phase: Phase = 'init'
  #closed = false
  /** Transitions run one after the other; a newer request takes the place of one that has not begun. */
  #tail: Promise<void> = Promise.resolve()
  #waiting: { readonly target: TargetState; readonly preempt: (by: TargetState) => void } | null = null

  constructor(options: {
    readonly name: string
    readonly epoch: number
    readonly plugin: ConnectorName
    readonly config: RawConfig
    readonly env: InstanceEnvironment
  }) {
    this.name = options.name
    this.epoch = options.epoch
    this.#plugin = options.plugin
    this.#config = options.config
    this.#env = options.env
  }

  /** @throws ConnectError when it failed, or when a later request came first */
  transition(target: TargetState): Promise<void> {
    this.#waiting?.preempt(target)
    const preempted = Promise.withResolvers<void>()
    let begun = false
    const request = {
      target,
      preempt: (by: TargetState): void => {
        if (!begun) preempted.reject(preemption(target, by))
      },
    }
    this.#waiting = request
    const run = this.#tail.then(async () => {
      if (this.#waiting !== request) return
      begun = true
      this.#waiting = null
      await this.#enter(target)
    })
    this.#tail = run.catch(() => undefined)
    preempted.promise.catch(() => undefined)
    return Promise.race([run, preempted.promise])
  }

  async #enter(target: TargetState): Promise<void> {
    const { phase, state } = reported[target]
    if (this.#phase === 'failed' && target !== 'STOPPED') {
      throw new ConnectError(
        'fatal',
        'CONNECT_CONNECTOR_FAILED',
        `${this.name} Cannot transition connector to ${target} since it has failed`,
      )
    }
    if (this.#phase === phase) {
      this.#report(state, null)
      return
    }
    try {
      if (target === 'STARTED') await this.#start()
      else if (this.#phase === 'started') await this.#stopPlugin(target)
      this.#phase = phase
      this.#report(state, null)
    } catch (error) {
      this.#fail(toError(error))
      throw error
    }
  }

  async #start(): Promise<void> {
    this.#calling('start')
    const manifest = (this.#manifest ??= await this.#env.registry.loadConnector(this.#config))
    this.#connector ??= (await manifest.createConnector()) as AnyConnector
    await this.#connector.start(parseConfig(manifest.config, this.#config), this.#context())
  }

  /** What `stop` throws keeps a connector from being paused, not from being stopped (statement 42). */
  async #stopPlugin(target: TargetState): Promise<void> {
    try {
      this.#calling('stop')
      await this.#connector?.stop()
    } catch (error) {
      if (target !== 'STOPPED') throw error
      this.#env.logger(this.name).warn({ error: toError(error) }, 'the connector threw from stop; it counts as stopped')
    }
  }

  #fail(error: Error): void {
    this.#phase = 'failed'
    this.#env.logger(this.name).error({ error }, 'the connector failed')
    this.#report('FAILED', traceOf(error))
  }

  #report(state: ReportedState, trace: string | null): void {
    if (this.#closed) return
    this.#env.tell({
      event: 'connector.state',
      connector: this.name,
      epoch: this.epoch,
      state,
      trace,
      version: this.#plugin.version,
    })
  }

  #calling(method: string): void {
    this.#env.tell({ event: 'connector.calling', connector: this.name, method })
  }

  #context(): SourceConnectorContext {
    const { name } = this
    const context: ConnectorContext = {
      connector: name,
      rawConfig: this.#config,
      logger: this.#env.logger(name),
      metrics: this.#env.metrics.group('plugins', { connector: name }),
      clock: this.#env.clock,
      requestTaskReconfiguration: () => {
        if (!this.#closed) this.#env.tell({ event: 'connector.reconfigure', connector: name, epoch: this.epoch })
      },
      raiseError: (error) => {
        if (!this.#closed) this.#fail(error)
      },
    }
    return { ...context, offsets: new HostOffsetReader(name, this.#env.services) }
  }

  async taskConfigs(maxTasks: number): Promise<GeneratedTaskConfigs> {
    const connector = this.#connector
    const manifest = this.#manifest
    if (connector === null || manifest === null || this.#phase !== 'started') {
      throw new ConnectError('fatal', 'CONNECT_CONNECTOR_NOT_RUNNING', `Connector ${this.name} is not running`)
    }
    this.#calling('taskConfigs')
    const configs = await connector.taskConfigs(maxTasks)
    return { type: manifest.type, taskClass: manifest.taskName, configs }
  }

  /**
   * Whether the object may go while the connector stays in its state: there is none yet, or it says that it watches
   * nothing. A connector that failed is kept as it is until somebody restarts it.
   */
  get isIdle(): boolean {
    const isSettled = this.#phase === 'started' || this.#phase === 'paused' || this.#phase === 'stopped'
    return isSettled && (this.#connector === null || this.#connector.watches === false)
  }

  /** Ends the instance; nothing is told about it afterwards. */
  async close(): Promise<void> {
    this.#waiting?.preempt('STOPPED')
    this.#waiting = null
    await this.#tail
    this.#closed = true
    if (this.#phase === 'started') await this.#stopPlugin('STOPPED')
    this.#phase = 'stopped'
  }
}

function preemption(target: TargetState, by: TargetState): ConnectError {
  return new ConnectError(
    'fatal',
    'CONNECT_TRANSITION_PREEMPTED',
    `Could not begin changing connector state to ${target} before another request to change state was made; the new ` +
      `request (which is to change the state to ${by}) has pre-empted this one`,
  )
}

/** All instances of one host. */
export class ConnectorInstances {
  readonly #env: InstanceEnvironment
  readonly #instances = new Map<string, ConnectorInstance>()

  constructor(env: InstanceEnvironment) {
    this.#env = env
  }

  /** Rejects after FAILED has been reported, also for an unknown class. */
  async start(name: string, epoch: number, config: RawConfig, target: TargetState): Promise<void> {
    let plugin: ConnectorName
    try {
      plugin = this.#env.registry.getConnector(config)
    } catch (error) {
      const event = { event: 'connector.state', connector: name, epoch, state: 'FAILED', version: null } as const
      this.#env.tell({ ...event, trace: traceOf(error) })
      throw error
    }
    const instance = new ConnectorInstance({ name, epoch, plugin, config, env: this.#env })
    this.#instances.set(name, instance)
    await instance.transition(target)
  }

  async transition(name: string, target: TargetState): Promise<void> {
    await this.#get(name).transition(target)
  }

  async taskConfigs(name: string, maxTasks: number): Promise<GeneratedTaskConfigs> {
    return await this.#get(name).taskConfigs(maxTasks)
  }

  async stop(name: string): Promise<void> {
    const instance = this.#instances.get(name)
    this.#instances.delete(name)
    await instance?.close()
    this.#env.metrics.remove({ connector: name })
  }

  /** Their names when all of them are idle; null when one has to stay. */
  idle(): readonly string[] | null {
    const all = [...this.#instances.values()]
    return all.every(({ isIdle }) => isIdle) ? all.map(({ name }) => name) : null
  }

  /** Ends all of them. */
  async close(): Promise<void> {
    await Promise.all(Array.from(this.#instances.keys(), (name) => this.stop(name)))
  }

  /**
   * Asks a new object of the class, as Connect does, whether offsets may become these. @returns its answer, with
   * Connect's defaults: false for sources, true for sinks
   */
  async alterSourceOffsets(connector: string, config: RawConfig, offsets: readonly OffsetChange[]): Promise<boolean> {
    const plugin = await this.#env.registry.loadConnector(config)
    if (plugin.type !== 'source') throw notOfType(connector, 'source')
    const object = (await plugin.createConnector()) as SourceConnector<unknown>
    if (object.alterOffsets === undefined) return false
    this.#env.tell({ event: 'connector.calling', connector, method: 'alterOffsets' })
    const pairs = offsets.map(({ partition, offset }) => [partition, offset] as const)
    return await object.alterOffsets(parseConfig(plugin.config, config), pairs)
  }

  async alterSinkOffsets(connector: string, config: RawConfig, offsets: readonly SinkOffsetChange[]): Promise<boolean> {
    const plugin = await this.#env.registry.loadConnector(config)
    if (plugin.type !== 'sink') throw notOfType(connector, 'sink')
    const object = (await plugin.createConnector()) as SinkConnector<unknown>
    if (object.alterOffsets === undefined) return true
    this.#env.tell({ event: 'connector.calling', connector, method: 'alterOffsets' })
    const map = TopicPartitionMap.from(
      offsets.map(({ topic, partition, offset }) => [{ topic, partition }, offset] as const),
    )
    return await object.alterOffsets(parseConfig(plugin.config, config), map)
  }

  #get(name: string): ConnectorInstance {
    const instance = this.#instances.get(name)
    if (instance !== undefined) return instance
    throw new ConnectError('fatal', 'CONNECT_CONNECTOR_NOT_RUNNING', `Connector ${name} is not running on this worker`)
  }
}

function notOfType(connector: string, type: 'source' | 'sink'): RequestError {
  return new RequestError(500, 'CONNECT_CONNECTOR_TYPE', `Connector ${connector} is not a ${type} connector`)
}
