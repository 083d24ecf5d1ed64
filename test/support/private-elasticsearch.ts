import { pbkdf2Sync, randomBytes } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { chmod, mkdir, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { logTail, type RunRecord, stopProcess } from '../../compose/stack/processes.ts'
import { elasticsearch, type NodeExtras, startElasticsearch } from '../../compose/stack/services/elasticsearch.ts'
import { portSpan, portsFor, type StackSettings, settingsFrom } from '../../compose/stack/settings.ts'
import { freePort } from './free-port.ts'

/** Users of a node with security, by name: a password, and what the user may do in Elasticsearch's own words. */
export type NodeUsers = Readonly<Record<string, { readonly password: string; readonly role: object }>>

/** An Elasticsearch node of a test's own, for what must not happen to the stack's: it is stopped, killed, restarted. */
export class PrivateElasticsearch implements AsyncDisposable {
  readonly #settings: StackSettings
  readonly #users: NodeUsers | null
  #running: RunRecord | null = null

  private constructor(settings: StackSettings, users: NodeUsers | null) {
    this.#settings = settings
    this.#users = users
  }

  /** Uses the distribution that the stack has fetched; ports, data and logs are its own. Takes about ten seconds. */
  static async open(users: NodeUsers | null = null): Promise<PrivateElasticsearch> {
    const ports = portsFor(await freePort(portSpan), {})
    const shared = settingsFrom(process.env)
    // Below /var/tmp, as the server may run as another user, who cannot enter every temporary folder.
    const home = mkdtempSync('/var/tmp/sluice-elasticsearch-')
    await chmod(home, 0o755)
    await mkdir(join(shared.dataHome, 'lib'), { recursive: true })
    await symlink(join(shared.dataHome, 'lib'), join(home, 'lib'))
    const node = new PrivateElasticsearch({ ...shared, home, dataHome: home, ports }, users)
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
    const users = this.#users
    this.#running = await startElasticsearch(this.#settings, users === null ? undefined : secured(users))
    const deadline = performance.now() + elasticsearch.readyTimeoutMs
    while (!(await this.#answers().catch(() => false))) {
      if (performance.now() > deadline) {
        throw new Error(`Elasticsearch is not ready:\n${logTail(this.#settings, 'elasticsearch')}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }

  async #answers(): Promise<boolean> {
    if (this.#users === null) return await elasticsearch.probe(this.#settings)
    // To be told who one is not is an answer, too.
    return (await fetch(this.url, { signal: AbortSignal.timeout(2000) })).status === 401
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

/** Users and roles in files, which need no set-up over the network. */
function secured(users: NodeUsers): NodeExtras {
  const entries = Object.entries(users)
  const lines = (line: (entry: (typeof entries)[number]) => string) => `${entries.map(line).join('\n')}\n`
  return {
    yaml: ['xpack.security.enabled: true', 'xpack.security.autoconfiguration.enabled: false'],
    files: {
      users: lines(([name, { password }]) => `${name}:${passwordHash(password)}`),
      users_roles: lines(([name]) => `role_${name}:${name}`),
      // JSON is YAML.
      'roles.yml': lines(([name, { role }]) => `role_${name}: ${JSON.stringify(role)}`),
    },
  }
}

/** In the form of Elasticsearch's hash `pbkdf2`. */
function passwordHash(password: string): string {
  const [iterations, salt] = [1000, randomBytes(32)]
  const hash = pbkdf2Sync(password, salt, iterations, 32, 'sha512')
  return `{PBKDF2}${iterations}$${salt.toString('base64')}$${hash.toString('base64')}`
}
