import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { requireJava } from '../../compose/stack/java.ts'
import { type ArtifactSet, fetchArtifacts } from '../../compose/stack/maven.ts'
import { loadSettings } from '../../compose/stack/state.ts'
import { freePort } from './free-port.ts'

/** The oldest release that Connect 4.x works with. */
const version = '2.1.1'

const artifacts: ArtifactSet = {
  label: `kafka-${version}`,
  mode: 'copy',
  artifacts: [
    { group: 'org.apache.kafka', name: 'kafka_2.12', version },
    // Its own one cannot resolve addresses on Java 14 and later (ZOOKEEPER-3779).
    { group: 'org.apache.zookeeper', name: 'zookeeper', version: '3.5.10' },
  ],
}

/** A broker of Kafka 2.1 with its ZooKeeper, from Maven Central. */
export class OldBroker implements AsyncDisposable {
  readonly address: string
  readonly #folder: string
  readonly #processes: ChildProcess[] = []
  #output = ''

  private constructor(folder: string, port: number) {
    this.#folder = folder
    this.address = `127.0.0.1:${port}`
  }

  static async open(): Promise<OldBroker> {
    const libs = await fetchArtifacts(loadSettings(), 'kafka', artifacts)
    const [port, zookeeperPort] = [await freePort(), await freePort()]
    const broker = new OldBroker(await mkdtemp(join(tmpdir(), 'sluice-old-')), port)
    try {
      await broker.#start(libs, { port, zookeeperPort })
    } catch (error) {
      await broker[Symbol.asyncDispose]()
      throw error
    }
    return broker
  }

  async #start(libs: string, ports: { readonly port: number; readonly zookeeperPort: number }): Promise<void> {
    const path = (name: string): string => join(this.#folder, name)
    for (const name of ['zookeeper', 'logs']) await mkdir(path(name))
    await writeFile(
      path('zookeeper.properties'),
      [
        `dataDir=${path('zookeeper')}`,
        'clientPortAddress=127.0.0.1',
        `clientPort=${ports.zookeeperPort}`,
        'admin.enableServer=false',
        'tickTime=500',
      ].join('\n'),
    )
    await writeFile(
      path('server.properties'),
      [
        'broker.id=1',
        `zookeeper.connect=127.0.0.1:${ports.zookeeperPort}`,
        `listeners=PLAINTEXT://127.0.0.1:${ports.port}`,
        `log.dirs=${path('logs')}`,
        'offsets.topic.replication.factor=1',
        'offsets.topic.num.partitions=4',
        'transaction.state.log.replication.factor=1',
        'transaction.state.log.min.isr=1',
        'transaction.state.log.num.partitions=4',
        'group.initial.rebalance.delay.ms=0',
      ].join('\n'),
    )
    this.#run(libs, 'org.apache.zookeeper.server.quorum.QuorumPeerMain', path('zookeeper.properties'))
    await this.#reachable(ports.zookeeperPort)
    this.#run(libs, 'kafka.Kafka', path('server.properties'))
    await this.#reachable(ports.port)
  }

  #run(libs: string, main: string, properties: string): void {
    const { java } = requireJava(17)
    const args = ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', join(libs, '*'), main, properties]
    const child = spawn(java, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-4000)
      })
    }
    this.#processes.push(child)
  }

  async #reachable(port: number): Promise<void> {
    const deadline = performance.now() + 60_000
    while (!(await accepts(port))) {
      const ended = this.#processes.some(({ exitCode }) => exitCode !== null)
      if (ended || performance.now() > deadline) throw new Error(`Kafka ${version} does not start:\n${this.#output}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#processes.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    await rm(this.#folder, { recursive: true, force: true })
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
