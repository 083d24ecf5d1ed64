/** The main thread's side of a host: a thread of its own, or, with `task.isolation=none`, this very thread. */
import { setFlagsFromString } from 'node:v8'
import { MessageChannel, Worker as Thread } from 'node:worker_threads'
import { ConnectError, toError } from '../api/errors.ts'
import { HostChannel, hostGone, type Port } from './host-channel.ts'
import type { Handlers, HostCalls, HostEvent, HostInit, MainCalls } from './host-protocol.ts'
import type { HostRuntime } from './host-session.ts'
import { HostSession } from './host-session.ts'

export type MainSideChannel = HostChannel<HostCalls, MainCalls, HostEvent>

export interface Host {
  readonly channel: MainSideChannel
  /** Ends the host at once, whatever its code is doing; pending calls reject. Idempotent. */
  terminate(): Promise<void>
}

export interface HostStart {
  /** For thread names and messages, e.g. `task orders-0`. */
  readonly name: string
  readonly init: HostInit
  /** Room for short-lived objects; see `youngMegabytes`. */
  readonly youngMegabytes: number
  readonly handlers: Handlers<MainCalls>
  readonly onEvent: (event: HostEvent) => void
  /** The host ended without `terminate`: its code threw outside of any call, ran out of memory, or exited. */
  readonly onGone: (error: Error) => void
}

export type HostFactory = (start: HostStart) => Host

/** Options that a host thread reads from its `workerData`. */
export interface ThreadData {
  readonly init: HostInit
}

/** Compiled code runs from `.js`, sources from `.ts`; `new URL` is not rewritten by the compiler. */
const threadEntry = new URL(`./host-thread${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)

/**
 * In MiB. It also sets how much garbage V8 lets gather before it collects the old generation: a smaller limit keeps it
 * closer to what lives; at V8's own default of 4096 it is four times that. A task that needs more loses its thread and
 * FAILS, and nothing else; buffers do not count.
 */
const maxOldGenerationSizeMb = 768

/** Why a thread ended by itself; each with what helps. */
function threadEnded(name: string, cause: Error | null, exitCode: number): ConnectError {
  if (cause === null) {
    const message = `The thread of ${name} was ended by process.exit(${exitCode}): a plugin must throw instead`
    return new ConnectError('fatal', 'CONNECT_HOST_EXITED', message)
  }
  if ('code' in cause && cause.code === 'ERR_WORKER_OUT_OF_MEMORY') {
    const message =
      `The thread of ${name} needed more than ${maxOldGenerationSizeMb} MiB and was ended; let it hold less at a time ` +
      '(`consumer.override.max.poll.records`, the batch sizes of the connector), or correct the plugin, and restart it'
    return new ConnectError('fatal', 'CONNECT_HOST_MEMORY', message, { cause })
  }
  const message =
    `The thread of ${name} was ended by an error outside of any call (in a timer, an event, or a promise that nobody ` +
    'awaited); correct the plugin so that the error reaches its caller, and restart it'
  return new ConnectError('fatal', 'CONNECT_HOST_UNCAUGHT', message, { cause })
}

/** One thread per host: a plugin that blocks or dies takes only its own thread with it. */
export const threadHosts: HostFactory = ({ name, init, youngMegabytes, handlers, onEvent, onGone }) => {
  // V8 would allocate what survived a few collections in the old generation from then on. Records live for one batch,
  // and with a small young generation a collection often falls into it: their parts were taken for long-lived, and all
  // that garbage waited for collections of the whole heap, four a second at full speed, a sixth of the CPU time. The
  // flag is the process's, and holds for threads that begin after it.
  setFlagsFromString('--no-allocation-site-pretenuring')
  // A young generation of a few MiB is collected in less than a millisecond, several hundred times a second: helpers
  // that have to be woken for that took a fifth of the CPU time, and made it last longer.
  setFlagsFromString('--no-parallel-scavenge')
  const data: ThreadData = { init }
  // No flags of the process: those of a test runner or an inspector are not allowed in a thread.
  const resourceLimits = { maxYoungGenerationSizeMb: youngMegabytes, maxOldGenerationSizeMb }
  const thread = new Thread(threadEntry, { name, workerData: data, execArgv: [], resourceLimits })
  const channel: MainSideChannel = new HostChannel(thread, handlers, onEvent)
  let terminated = false
  let cause: Error | null = null
  thread.on('error', (error) => {
    cause = toError(error)
  })
  const ended = new Promise<void>((resolve) => {
    thread.on('exit', (code) => {
      const gone = threadEnded(name, cause, code)
      channel.abandon(gone)
      resolve()
      if (!terminated) onGone(gone)
    })
  })
  return {
    channel,
    terminate: async () => {
      terminated = true
      channel.abandon(hostGone(`The thread of ${name}`))
      await thread.terminate()
      await ended
    },
  }
}

/**
 * `task.isolation=none`: the same protocol over a real `MessageChannel`, so that messages are cloned as between
 * threads. Code that blocks cannot be ended; it is only not listened to any more.
 */
export function inProcessHosts(runtime: HostRuntime): HostFactory {
  return ({ name, init, handlers, onEvent }) => {
    const { port1, port2 } = new MessageChannel()
    const channel: MainSideChannel = new HostChannel(port1 as Port, handlers, onEvent)
    const session = new HostSession(port2 as Port, init, runtime)
    session.announce()
    return {
      channel,
      terminate: async () => {
        channel.abandon(hostGone(name))
        session.abandon()
        port1.close()
        port2.close()
      },
    }
  }
}
