import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { kafka } from '../../compose/stack/services/kafka.ts'
import { type StackPorts, settingsFrom } from '../../compose/stack/settings.ts'
import { PrivateService, privatePorts } from './private-service.ts'

/** A Kafka broker of a test's own. */
export class PrivateBroker extends PrivateService {
  /** @param properties options of the broker over those of the stack's, given its ports */
  static async open(properties: (ports: StackPorts) => Readonly<Record<string, string>> = () => ({})) {
    return await PrivateBroker.#open(properties, async () => undefined)
  }

  /** A second broker of the first one's cluster, which keeps the controller. */
  static async join(first: PrivateBroker): Promise<PrivateBroker> {
    const controller = first.settings.ports.kafkaController
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
    return join(this.settings.home, 'data', 'kafka', 'logs', 'meta.properties')
  }

  static async #open(
    properties: (ports: StackPorts) => Readonly<Record<string, string>>,
    prepare: (broker: PrivateBroker) => Promise<void>,
  ): Promise<PrivateBroker> {
    const [home, ports] = [await mkdtemp(join(tmpdir(), 'sluice-broker-')), await privatePorts()]
    const settings = { ...settingsFrom(process.env), home, ports, kafkaProperties: properties(ports) }
    const broker = new PrivateBroker(kafka, settings)
    return await PrivateService.started(broker, () => prepare(broker))
  }

  get address(): string {
    return `127.0.0.1:${this.settings.ports.kafka}`
  }
}
