/** `connect-worker-metrics` and `connector-metrics`, and the worker options that hosts get as numbers. */
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

const taskStates = ['running', 'paused', 'failed', 'unassigned', 'destroyed', 'restarting'] as const

export class WorkerMetrics {
  readonly #registry: MetricRegistry
  readonly #group: MetricGroup
  readonly #startups = new Map<string, number>()
  readonly #taskStates = new Map<string, Map<number, ReportedState>>()

  constructor(registry: MetricRegistry, counts: { readonly connectors: () => number; readonly tasks: () => number }) {
    this.#registry = registry
    this.#group = registry.group('connect-worker-metrics')
    this.#group.gaugeOf('connector-count', 'Connectors that run in this worker', counts.connectors)
    this.#group.gaugeOf('task-count', 'Tasks that run in this worker', counts.tasks)
    for (const kind of ['connector', 'task'] as const) this.#declare(kind)
  }

  #declare(kind: 'connector' | 'task'): void {
    const count = (outcome: string) => (): number => this.#startups.get(`${kind} ${outcome}`) ?? 0
    const attempts = (): number => count('success')() + count('failure')()
    const fraction = (outcome: string) => (): number => (attempts() === 0 ? 0 : count(outcome)() / attempts())
    this.#group.gaugeOf(`${kind}-startup-attempts-total`, `Starts of a ${kind}`, attempts)
    for (const outcome of ['success', 'failure']) {
      this.#group.gaugeOf(`${kind}-startup-${outcome}-total`, `Starts of a ${kind} with ${outcome}`, count(outcome))
      this.#group.gaugeOf(`${kind}-startup-${outcome}-percentage`, `Fraction with ${outcome}`, fraction(outcome))
    }
  }

  startup(kind: 'connector' | 'task', succeeded: boolean): void {
    const key = `${kind} ${succeeded ? 'success' : 'failure'}`
    this.#startups.set(key, (this.#startups.get(key) ?? 0) + 1)
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
