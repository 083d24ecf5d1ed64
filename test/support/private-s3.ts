import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { logTail, type RunRecord, stopProcess } from '../../compose/stack/processes.ts'
import { s3 } from '../../compose/stack/services/s3.ts'
import { portSpan, portsFor, type StackSettings, settingsFrom } from '../../compose/stack/settings.ts'
import { freePort } from './free-port.ts'

/** An S3 server of a test's own, for what must not happen to the stack's: it is stopped, killed and restarted. */
export class PrivateS3 implements AsyncDisposable {
  readonly #settings: StackSettings
  #running: RunRecord | null = null

  private constructor(settings: StackSettings) {
    this.#settings = settings
  }

  /** Uses the programs that the stack has fetched; port, data and logs are its own. Takes about two seconds. */
  static async open(keys: { readonly s3AccessKey: string; readonly s3SecretKey: string }): Promise<PrivateS3> {
    const ports = portsFor(await freePort(portSpan), {})
    const home = await mkdtemp(join(tmpdir(), 'sluice-s3-'))
    const { s3AccessKey, s3SecretKey } = keys
    const server = new PrivateS3({ ...settingsFrom(process.env), home, ports, s3AccessKey, s3SecretKey })
    try {
      await server.start()
    } catch (error) {
      await server[Symbol.asyncDispose]()
      throw error
    }
    return server
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#settings.ports.s3}`
  }

  /** Starts it on the objects that it had, and waits until it answers. */
  async start(): Promise<void> {
    this.#running = await s3.start(this.#settings)
    const deadline = performance.now() + s3.readyTimeoutMs
    while (!(await s3.probe(this.#settings).catch(() => false))) {
      if (performance.now() > deadline) throw new Error(`S3 is not ready:\n${logTail(this.#settings, 's3')}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  /** SIGKILL cuts it off wherever it is. */
  async stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const record = this.#running
    this.#running = null
    if (record !== null) await stopProcess(this.#settings, { ...record, stopSignal: signal })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGKILL')
    await rm(this.#settings.home, { recursive: true, force: true })
  }
}
