import { rm } from 'node:fs/promises'
import { logTail, type RunRecord, stopProcess } from '../../compose/stack/processes.ts'
import type { Service } from '../../compose/stack/service.ts'
import { portSpan, portsFor, type StackPorts, type StackSettings } from '../../compose/stack/settings.ts'
import { freePort } from './free-port.ts'

const probeEveryMs = 50

/** Ports of a service of a test's own: as many, and in the same order, as those of the stack. */
export async function privatePorts(): Promise<StackPorts> {
  return portsFor(await freePort(portSpan), {})
}

/**
 * A server of a test's own, made of the programs that the stack has fetched, for what must not happen to the stack's:
 * it is stopped, killed and restarted. Its folder, `settings.home`, goes with it.
 */
export class PrivateService implements AsyncDisposable {
  protected readonly settings: StackSettings
  readonly #service: Pick<Service, 'name' | 'start' | 'probe' | 'readyTimeoutMs'>
  #running: RunRecord | null = null

  protected constructor(
    service: Pick<Service, 'name' | 'start' | 'probe' | 'readyTimeoutMs'>,
    settings: StackSettings,
  ) {
    this.#service = service
    this.settings = settings
  }

  /** A service that does not become ready leaves nothing behind. */
  protected static async started<S extends PrivateService>(service: S, prepare?: () => Promise<void>): Promise<S> {
    try {
      await prepare?.()
      await service.start()
      return service
    } catch (error) {
      await service[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Starts it on the data that it had, and waits until it answers. */
  async start(): Promise<void> {
    const { name, readyTimeoutMs } = this.#service
    this.#running = await this.#service.start(this.settings)
    const deadline = performance.now() + readyTimeoutMs
    while (!(await this.#service.probe(this.settings).catch(() => false))) {
      if (performance.now() > deadline) throw new Error(`${name} is not ready:\n${logTail(this.settings, name)}`)
      await new Promise((resolve) => setTimeout(resolve, probeEveryMs))
    }
  }

  /** By SIGTERM, on which it flushes and says goodbye, or by SIGKILL, which cuts it off wherever it is. */
  async stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const record = this.#running
    this.#running = null
    if (record !== null) await stopProcess(this.settings, { ...record, stopSignal: signal })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGKILL')
    await rm(this.settings.home, { recursive: true, force: true })
  }
}
