import { mkdtempSync } from 'node:fs'
import { chmod, mkdir, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { logTail, type RunRecord, stopProcess } from '../../compose/stack/processes.ts'
import { elasticsearch } from '../../compose/stack/services/elasticsearch.ts'
import { portSpan, portsFor, type StackSettings, settingsFrom } from '../../compose/stack/settings.ts'
import { freePort } from './free-port.ts'

/** An Elasticsearch node of a test's own, for what must not happen to the stack's: it is stopped, killed, restarted. */
export class PrivateElasticsearch implements AsyncDisposable {
  readonly #settings: StackSettings
  #running: RunRecord | null = null

  private constructor(settings: StackSettings) {
    this.#settings = settings
  }

  /** Uses the distribution that the stack has fetched; ports, data and logs are its own. Takes about ten seconds. */
  static async open(): Promise<PrivateElasticsearch> {
    const ports = portsFor(await freePort(portSpan), {})
    const shared = settingsFrom(process.env)
    // Below /var/tmp, as the server may run as another user, who cannot enter every temporary folder.
    const home = mkdtempSync('/var/tmp/sluice-elasticsearch-')
    await chmod(home, 0o755)
    await mkdir(join(shared.dataHome, 'lib'), { recursive: true })
    await symlink(join(shared.dataHome, 'lib'), join(home, 'lib'))
    const node = new PrivateElasticsearch({ ...shared, home, dataHome: home, ports })
    try {
      await node.start()
    } catch (error) {
      await node[Symbol.asyncDispose]()
      throw error
    }
    return node
  }

  get url(): string {
    return `http://127.0.0.1:${this.#settings.ports.elasticsearch}`
  }

  /** Starts it on the data that it had, and waits until it answers. */
  async start(): Promise<void> {
    this.#running = await elasticsearch.start(this.#settings)
    const deadline = performance.now() + elasticsearch.readyTimeoutMs
    while (!(await elasticsearch.probe(this.#settings).catch(() => false))) {
      if (performance.now() > deadline) {
        throw new Error(`Elasticsearch is not ready:\n${logTail(this.#settings, 'elasticsearch')}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }

  /** By SIGTERM, on which it closes its shards, or by SIGKILL. */
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
