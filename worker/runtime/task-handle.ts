/** The main thread's view of one task: its host, what it reported, and whether anyone still listens to it. */
import type { Clock, Logger } from '../api/context.ts'
import { ConnectError, toError } from '../api/errors.ts'
import type { MetricSnapshot } from '../metrics/snapshot.ts'
import { traceOf } from '../util/error-codec.ts'
import type { Handlers, HostEvent, HostInit, MainCalls, TaskSpec } from './host-protocol.ts'
import { deadline, orAborted } from './run-state.ts'
import { failureOf, type TaskFailure } from './task-failure.ts'
import type { Host, HostFactory } from './task-host.ts'
import type { ReportedState, TargetState, TaskId } from './worker-types.ts'
import { youngMegabytes } from './young-generation.ts'

/** Time that a task gets to close its sockets after the hard signal, before its thread is ended. */
const hardStopMs = 1000

/** How soon a host is known to be blocked: time between pings, and until an answer is given up, in ms. */
export interface Pings {
  readonly intervalMs: number
  readonly timeoutMs: number
}

/** After a first missed answer: a process that was frozen as a whole finds its timers due before its messages. */
const secondPingMs = 1000

export interface TaskHandleListener {
  onState(state: ReportedState, trace: string | null, version: string | null, failure: TaskFailure | null): void
  onTopic(topic: string): void
}

export interface TaskHandleOptions {
  readonly id: TaskId
  readonly hosts: HostFactory
  readonly init: HostInit
  /** `source` also for a connector class that this worker does not know: such a task only fails. */
  readonly type: 'source' | 'sink'
  readonly handlers: Handlers<MainCalls>
  readonly clock: Clock
  readonly logger: Logger
  readonly pings: Pings
  readonly listener: TaskHandleListener
  /** Releases what the main thread holds for the task; called when its host has ended, never rejects. */
  readonly onEnded: () => Promise<void>
}

/** `disowned`: it did not stop in time; whatever it says or commits from now on counts for nothing (I7). */
type Phase = 'open' | 'failed' | 'ended' | 'disowned'

export class TaskHandle {
  readonly id: TaskId
  readonly #options: TaskHandleOptions
  readonly #host: Host
  readonly #started = Promise.withResolvers<void>()
  readonly #watch = new AbortController()
  #phase: Phase = 'open'
  #version: string | null = null
  #lastMetrics: readonly MetricSnapshot[] = []

  constructor(options: TaskHandleOptions) {
    this.id = options.id
    this.#options = options
    this.#host = options.hosts({
      name: `task ${options.id.connector}-${options.id.task}`,
      init: options.init,
      youngMegabytes: youngMegabytes[options.type],
      handlers: this.#guarded(options.handlers),
      onEvent: (event) => this.#onEvent(event),
      onGone: (error) => this.failed(error),
    })
  }

  /** A disowned task may neither write offsets through this thread nor pass its preflight (I7). */
  #guarded(handlers: Handlers<MainCalls>): Handlers<MainCalls> {
    const owned = async <T>(call: () => Promise<T>): Promise<T> => {
      if (this.#phase === 'disowned') throw new Error('this task is no longer owned by this worker')
      return await call()
    }
    return {
      'offsets.read': (params) => owned(() => handlers['offsets.read'](params)),
      'offsets.write': (params) => owned(() => handlers['offsets.write'](params)),
      'preflight.fence': (params) => owned(() => handlers['preflight.fence'](params)),
      'preflight.verify': (params) => owned(() => handlers['preflight.verify'](params)),
    }
  }

  get hasFailed(): boolean {
    return this.#phase === 'failed'
  }

  /**
   * Resolves when the start was reported. Never rejects. The report counts, not the answer to the request: a task
   * that blocks its thread right after its start never sends the answer.
   */
  async start(spec: TaskSpec): Promise<void> {
    this.#host.channel.call('task.start', spec).then(
      () => this.#started.resolve(),
      (error: unknown) => this.failed(toError(error)),
    )
    void this.#watchThread()
    await this.#started.promise
  }

  /**
   * A plugin that never gives its thread back can neither be stopped nor asked anything: its task is FAILED, and its
   * thread ended, like that of one that threw. Never rejects.
   */
  async #watchThread(): Promise<void> {
    const { clock, pings } = this.#options
    const { signal } = this.#watch
    while (!signal.aborted) {
      await clock.sleep(pings.intervalMs, signal)
      if (signal.aborted || (await this.#answers(pings.timeoutMs)) || (await this.#answers(secondPingMs))) continue
      if (!this.#isOpen()) return
      const message =
        `The task has not given its thread back for ${pings.timeoutMs} ms: some code in it computes or waits without ` +
        'an await; correct the plugin, or let it do less at a time, and restart the task'
      this.failed(new ConnectError('fatal', 'CONNECT_TASK_BLOCKED', message))
      await this.#host.terminate().then(this.#options.onEnded)
    }
  }

  async #answers(withinMs: number): Promise<boolean> {
    try {
      using limit = deadline(withinMs, this.#watch.signal)
      await orAborted(this.#host.channel.call('ping', null), limit.signal)
      return true
    } catch {
      // A host that is gone is told by itself; what counts here is only whether somebody listens.
      return this.#watch.signal.aborted
    }
  }

  #onEvent(event: HostEvent): void {
    if (this.#phase === 'disowned' || this.#phase === 'ended') return
    switch (event.event) {
      case 'task.state':
        if (event.state === 'FAILED') {
          this.#phase = 'failed'
          this.#watch.abort()
        }
        this.#version = event.version
        this.#options.listener.onState(event.state, event.trace, event.version, event.failure)
        this.#started.resolve()
        return
      case 'task.topic':
        this.#options.listener.onTopic(event.topic)
        return
      case 'task.ended':
        this.#lastMetrics = event.metrics
        // A failed task needs no thread any more; its last metrics stay until it is removed.
        if (this.#phase === 'failed') void this.#host.terminate().then(this.#options.onEnded)
        return
      default:
    }
  }

  /** Reports FAILED once, also for a host that is gone. */
  failed(error: Error): void {
    // Also for a start that was overtaken by a stop: nobody is to wait for it.
    this.#started.resolve()
    if (this.#phase !== 'open') return
    this.#phase = 'failed'
    this.#watch.abort()
    this.#options.logger.error({ ...this.id, error }, 'A task failed')
    this.#options.listener.onState('FAILED', traceOf(error), this.#version, failureOf(error))
  }

  transition(target: TargetState): void {
    if (this.#phase !== 'open') return
    this.#host.channel.call('task.transition', { target }).catch((error: unknown) => {
      this.#options.logger.debug({ ...this.id, error }, 'the task ended before it could change its state')
    })
  }

  forgetTopic(topic: string): void {
    if (this.#phase !== 'open') return
    this.#host.channel.call('task.topicForgotten', { topic }).catch((error: unknown) => {
      this.#options.logger.debug({ ...this.id, error }, 'the task ended before it could forget a topic')
    })
  }

  /** Soft stop within `timeoutMs`; UNASSIGNED is reported when it ended in time, nothing when it did not. */
  async stop(timeoutMs: number): Promise<void> {
    this.#watch.abort()
    if (this.#phase === 'failed') {
      this.#phase = 'ended'
      this.#options.listener.onState('UNASSIGNED', null, this.#version, null)
      return
    }
    if (this.#phase !== 'open') return
    try {
      using limit = deadline(timeoutMs)
      await orAborted(this.#host.channel.call('task.stop', { hard: false }), limit.signal)
    } catch (error) {
      if (this.#isOpen()) this.#disown(timeoutMs, error)
      return
    }
    const stillOpen = this.#isOpen()
    this.#phase = 'ended'
    if (stillOpen) this.#options.listener.onState('UNASSIGNED', null, this.#version, null)
  }

  #isOpen(): boolean {
    return this.#phase === 'open'
  }

  #disown(timeoutMs: number, error: unknown): void {
    this.#phase = 'disowned'
    this.#options.logger.error(
      { ...this.id, timeoutMs, error },
      'Graceful stop of the task failed; it is disowned and its thread is ended',
    )
  }

  /** Ends the host: with the hard signal first when the task is still at work. */
  async end(): Promise<void> {
    if (this.#phase === 'disowned') {
      try {
        using limit = deadline(hardStopMs)
        await orAborted(this.#host.channel.call('task.stop', { hard: true }), limit.signal)
      } catch (error) {
        this.#options.logger.warn({ ...this.id, error }, 'the task did not end by itself')
      }
    }
    await this.#host.terminate()
    await this.#options.onEnded()
  }

  /** Those of the last answer when the task does not answer in time, or has failed. */
  async metrics(timeoutMs: number): Promise<readonly MetricSnapshot[]> {
    if (this.#phase !== 'open') return this.#lastMetrics
    try {
      using limit = deadline(timeoutMs)
      this.#lastMetrics = await orAborted(this.#host.channel.call('metrics', null), limit.signal)
    } catch (error) {
      this.#options.logger.debug({ ...this.id, error }, 'no metrics from the task')
    }
    return this.#lastMetrics
  }

  setLogLevel(namespace: string, level: string): void {
    this.#host.channel.call('log.level', { namespace, level }).catch((error: unknown) => {
      this.#options.logger.debug({ ...this.id, error }, 'the task ended before its log level changed')
    })
  }
}
