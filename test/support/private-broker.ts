import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { logTail, type RunRecord, stopProcess } from '../../compose/stack/processes.ts'
import { kafka } from '../../compose/stack/services/kafka.ts'
import { portSpan, portsFor, type StackPorts, type StackSettings, settingsFrom } from '../../compose/stack/settings.ts'
import { freePort } from './free-port.ts'

/** A Kafka broker of a test's own, for what must not happen to the stack's: it is stopped, killed and restarted. */
export class PrivateBroker implements AsyncDisposable {
  readonly #settings: StackSettings
  #running: RunRecord | null = null

  private constructor(settings: StackSettings) {
    this.#settings = settings
  }

  /**
   * Uses the programs that the stack has fetched; ports, data and logs are its own.
   * @param properties options of the broker over those of the stack's, given its ports
   */
  static async open(properties: (ports: StackPorts) => Readonly<Record<string, string>> = () => ({})) {
    return await PrivateBroker.#open(properties, async () => undefined)
  }

  /** A second broker of the first one's cluster, which keeps the controller. */
  static async join(first: PrivateBroker): Promise<PrivateBroker> {
    const controller = first.#settings.ports.kafkaController
    const identity = await readFile(first.#identity, 'utf8')
    const clusterId = /^cluster\.id=(.+)$/m.exec(identity)?.[1] ?? ''
    return await PrivateBroker.#open(
      ({ kafka: port }) => ({
        'process.roles': 'broker',
        'node.id': '2',
        'controller.quorum.voters': `1@127.0.0.1:${controller}`,
        listeners: `PLAINTEXT://127.0.0.1:${port}`,
      }),
      async (broker) => {
        await mkdir(dirname(broker.#identity), { recursive: true })
        await writeFile(broker.#identity, `version=1\ncluster.id=${clusterId}\nnode.id=2\n`)
      },
    )
  }

  /** What a broker is formatted with. */
  get #identity(): string {
    return join(this.#settings.home, 'data', 'kafka', 'logs', 'meta.properties')
  }

  static async #open(
    properties: (ports: StackPorts) => Readonly<Record<string, string>>,
    prepare: (broker: PrivateBroker) => Promise<void>,
  ): Promise<PrivateBroker> {
    const ports = portsFor(await freePort(portSpan), {})
    const home = await mkdtemp(join(tmpdir(), 'sluice-broker-'))
    const broker = new PrivateBroker({
      ...settingsFrom(process.env),
      home,
      ports,
      kafkaProperties: properties(ports),
    })
    try {
      await prepare(broker)
      await broker.start()
    } catch (error) {
      await broker[Symbol.asyncDispose]()
      throw error
    }
    return broker
  }

  get address(): string {
    return `127.0.0.1:${this.#settings.ports.kafka}`
  }

  /** Starts it on the data that it had, and waits until it answers. */
  async start(): Promise<void> {
    this.#running = await kafka.start(this.#settings)
    const deadline = performance.now() + kafka.readyTimeoutMs
    while (!(await kafka.probe(this.#settings).catch(() => false))) {
      if (performance.now() > deadline) throw new Error(`the broker is not ready:\n${logTail(this.#settings, 'kafka')}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  /** By its own signal, which lets it flush and say goodbye, or by SIGKILL. */
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
