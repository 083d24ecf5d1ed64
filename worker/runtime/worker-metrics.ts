/** `connect-worker-metrics` and `connector-metrics`, and the worker options that hosts get as numbers. */
import type { Counter } from '../api/context.ts'
import type { ConnectorPlugin } from '../api/plugin.ts'
import { exactlyOnceSupport, type WorkerConfig } from '../config/worker-config.ts'
import type { MetricGroup, MetricRegistry } from '../metrics/registry.ts'
import type { RuntimeSettings } from './host-protocol.ts'
import type { ReportedState, TaskId } from './worker-types.ts'

export function runtimeSettings(config: WorkerConfig): RuntimeSettings {
  const { options } = config
  return {
    offsetFlushIntervalMs: options['offset.flush.interval.ms'],
    offsetFlushTimeoutMs: options['offset.flush.timeout.ms'],
    gracefulTimeoutMs: options['task.shutdown.graceful.timeout.ms'],
    topicCreationEnabled: options['topic.creation.enable'],
    topicTrackingEnabled: options['topic.tracking.enable'],
    metricsWindowMs: options['metrics.sample.window.ms'],
    metricsSamples: options['metrics.num.samples'],
    exactlyOnceSource: config.mode === 'distributed' && exactlyOnceSupport(config.options) === 'enabled',
    offsetTopic: config.mode === 'distributed' ? config.options['offset.storage.topic'] : null,
  }
}

interface Startups {
  readonly attempts: Counter
  readonly success: Counter
  readonly failure: Counter
  readonly outcomes: { record(ok: boolean): void }
}

const taskStates = ['running', 'paused', 'failed', 'unassigned', 'destroyed', 'restarting'] as const

export class WorkerMetrics {
  readonly #registry: MetricRegistry
  readonly #group: MetricGroup
  readonly #startups = new Map<string, Startups>()
  readonly #taskStates = new Map<string, Map<number, ReportedState>>()

  constructor(registry: MetricRegistry, counts: { readonly connectors: () => number; readonly tasks: () => number }) {
    this.#registry = registry
    this.#group = registry.group('connect-worker-metrics')
    this.#group.gaugeOf('connector-count', 'Connectors that run in this worker', counts.connectors)
    this.#group.gaugeOf('task-count', 'Tasks that run in this worker', counts.tasks)
    for (const kind of ['connector', 'task'] as const) this.#declare(kind)
  }

  #declare(kind: 'connector' | 'task'): void {
    const counter = (outcome: string, help: string): Counter =>
      this.#group.counter(`${kind}-startup-${outcome}-total`, help)
    const names = { success: `${kind}-startup-success-percentage`, failure: `${kind}-startup-failure-percentage` }
    this.#startups.set(kind, {
      attempts: counter('attempts', `Starts of a ${kind}`),
      success: counter('success', `Starts of a ${kind} that succeeded`),
      failure: counter('failure', `Starts of a ${kind} that failed`),
      outcomes: this.#group.outcomes(names, `Fraction of the starts of a ${kind} within the sample windows`),
    })
  }

  startup(kind: 'connector' | 'task', succeeded: boolean): void {
    const startups = this.#startups.get(kind)
    startups?.attempts.add(1)
    startups?.[succeeded ? 'success' : 'failure'].add(1)
    startups?.outcomes.record(succeeded)
  }

  /** Text attributes of a connector that starts here (KIP-891). */
  describeConnector(connector: string, plugin: Pick<ConnectorPlugin, 'name' | 'type' | 'version'>): void {
    const group = this.#registry.group('connector-metrics', { connector })
    group.text('connector-class', 'Class of the connector').set(plugin.name)
    group.text('connector-type', 'source or sink').set(plugin.type)
    group.text('connector-version', 'Version of the connector').set(plugin.version)
  }

  connectorState(connector: string, state: ReportedState): void {
    this.#registry
      .group('connector-metrics', { connector })
      .text('status', 'State of the connector')
      .set(state.toLowerCase())
  }

  taskState({ connector, task }: TaskId, state: ReportedState): void {
    let states = this.#taskStates.get(connector)
    if (states === undefined) {
      states = new Map()
      this.#taskStates.set(connector, states)
      this.#declareTaskCounts(connector, states)
    }
    states.set(task, state)
  }

  #declareTaskCounts(connector: string, states: ReadonlyMap<number, ReportedState>): void {
    const group = this.#registry.group('connect-worker-metrics', { connector })
    group.gaugeOf('connector-total-task-count', 'Tasks of the connector in this worker', () => states.size)
    for (const wanted of taskStates) {
      group.gaugeOf(`connector-${wanted}-task-count`, `Tasks of the connector in state ${wanted}`, () => {
        let count = 0
        for (const state of states.values()) if (state.toLowerCase() === wanted) count++
        return count
      })
    }
  }

  forgetTask({ connector, task }: TaskId): void {
    this.#taskStates.get(connector)?.delete(task)
  }

  /** Groups of a connector live until it stops. */
  forgetConnector(connector: string): void {
    this.#registry.remove({ connector })
    this.#taskStates.delete(connector)
  }
}
