import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { exec } from '../exec.ts'
import { requireJava } from '../java.ts'
import { fetchArtifacts } from '../maven.ts'
import { startProcess } from '../processes.ts'
import type { Service } from '../service.ts'
import type { StackSettings } from '../settings.ts'

const version = '4.3.0'
const log4jVersion = '2.24.3'

function dataFolder(settings: StackSettings): string {
  return join(settings.home, 'data', 'kafka')
}

function serverProperties(settings: StackSettings): string {
  const { kafka, kafkaController } = settings.ports
  return [
    'process.roles=broker,controller',
    'node.id=1',
    `controller.quorum.voters=1@127.0.0.1:${kafkaController}`,
    `listeners=PLAINTEXT://127.0.0.1:${kafka},CONTROLLER://127.0.0.1:${kafkaController}`,
    `advertised.listeners=PLAINTEXT://127.0.0.1:${kafka}`,
    'controller.listener.names=CONTROLLER',
    'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    `log.dirs=${join(dataFolder(settings), 'logs')}`,
    'offsets.topic.replication.factor=1',
    'offsets.topic.num.partitions=10',
    'transaction.state.log.replication.factor=1',
    'transaction.state.log.min.isr=1',
    'transaction.state.log.num.partitions=10',
    'group.initial.rebalance.delay.ms=0',
    'log.segment.bytes=134217728',
    // Of a name that stands twice the last value counts.
    ...Object.entries(settings.kafkaProperties ?? {}).map(([name, value]) => `${name}=${value}`),
    '',
  ].join('\n')
}

const log4j = `Configuration:
  Appenders:
    Console:
      name: STDOUT
      PatternLayout:
        pattern: "[%d] %p %m (%c)%n"
  Loggers:
    Root:
      level: WARN
      AppenderRef:
        - ref: STDOUT
    Logger:
      - name: kafka.server.KafkaRaftServer
        level: INFO
      - name: org.apache.kafka.common.config
        level: ERROR
`

// The YAML configuration of log4j needs Jackson's YAML module, which the broker brings along.
function writeConfiguration(settings: StackSettings): { readonly properties: string; readonly log4j: string } {
  const folder = join(settings.home, 'conf', 'kafka')
  mkdirSync(folder, { recursive: true })
  const files = { properties: join(folder, 'server.properties'), log4j: join(folder, 'log4j2.yaml') }
  writeFileSync(files.properties, serverProperties(settings))
  writeFileSync(files.log4j, log4j)
  return files
}

/** Metadata request, version 1, for no topic: a broker that answers with itself in the list takes requests. */
function metadataRequest(): Buffer {
  const body = Buffer.alloc(22)
  body.writeInt32BE(18, 0) // size of what follows
  body.writeInt16BE(3, 4) // Metadata
  body.writeInt16BE(1, 6) // version
  body.writeInt32BE(1, 8) // correlation id
  body.writeInt16BE(4, 12) // client id
  body.write('sluq', 14, 'latin1')
  body.writeInt32BE(0, 18) // no topics
  return body
}

function brokerCount(port: number): Promise<number> {
  return new Promise((done, failed) => {
    const socket = connect({ host: '127.0.0.1', port, timeout: 2000 })
    let received = Buffer.alloc(0)
    socket.once('connect', () => socket.write(metadataRequest()))
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      if (received.length < 12) return
      socket.destroy()
      done(received.readInt32BE(8)) // behind size and correlation id
    })
    socket.once('timeout', () => socket.destroy(new Error('no answer')))
    socket.once('error', failed)
    socket.once('close', () => failed(new Error('connection closed')))
  })
}

/** Apache Kafka, one KRaft node that is broker and controller. */
export const kafka: Service = {
  name: 'kafka',
  dependsOn: [],
  needsJava: true,
  // After an unclean end it first recovers every log, which takes minutes with thousands of them; who gives up earlier and
  // stops it makes the next start as long.
  readyTimeoutMs: 600_000,
  ports: (settings) => [settings.ports.kafka, settings.ports.kafkaController],
  async start(settings) {
    const libs = await fetchArtifacts(settings, 'kafka', {
      label: `kafka-${version}`,
      mode: 'copy',
      artifacts: [
        { group: 'org.apache.kafka', name: 'kafka_2.13', version },
        { group: 'org.apache.kafka', name: 'kafka-tools', version },
        { group: 'org.apache.logging.log4j', name: 'log4j-slf4j-impl', version: log4jVersion },
        { group: 'org.apache.logging.log4j', name: 'log4j-core', version: log4jVersion },
      ],
    })
    const { java } = requireJava(17)
    const files = writeConfiguration(settings)
    const classPath = join(libs, '*')
    const formatted = join(dataFolder(settings), 'logs', 'meta.properties')
    if (!existsSync(formatted)) {
      mkdirSync(dataFolder(settings), { recursive: true })
      const id = randomBytes(16).toString('base64url')
      // In one argument with its name: one id in 64 begins with a hyphen and would be taken for an option.
      const options = [`--cluster-id=${id}`, `--config=${files.properties}`]
      await exec(java, ['-cp', classPath, 'kafka.tools.StorageTool', 'format', ...options])
    }
    return startProcess(settings, {
      service: 'kafka',
      command: java,
      args: [
        '-Xms128m',
        '-Xmx512m',
        `-Dlog4j2.configurationFile=${files.log4j}`,
        '-cp',
        classPath,
        'kafka.Kafka',
        files.properties,
      ],
      cwd: dataFolder(settings),
      env: process.env,
      port: settings.ports.kafka,
      version: `Apache Kafka ${version}`,
      stopSignal: 'SIGTERM',
    })
  },
  async probe(settings) {
    return (await brokerCount(settings.ports.kafka)) > 0
  },
  variables: (settings) => ({ TEST_KAFKA_BROKERS: `127.0.0.1:${settings.ports.kafka}` }),
  dataFolders: (settings) => [dataFolder(settings)],
}
