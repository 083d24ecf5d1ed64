import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { findJava, requireJava } from '../../compose/stack/java.ts'
import { type ArtifactSet, fetchArtifacts } from '../../compose/stack/maven.ts'
import { loadSettings } from '../../compose/stack/state.ts'
import { freePort } from './free-port.ts'
import { type ClusterUnderTest, WorkerUnderTest } from './worker-process.ts'

/** Release of Apache Kafka Connect that tests and benches compare with. */
export const connectVersion = '4.3.0'
const debeziumVersion = '3.7.0.Final'
const javaVersion = 17

/** How to run a distributed worker; its properties file is one more argument. */
export interface WorkerCommand {
  readonly executable: string
  readonly args: readonly string[]
  /** Worker options that belong to it, such as where its plugins are. */
  readonly properties: Readonly<Record<string, string>>
}

export interface JavaConnectOptions {
  /** Existing folder for the logging configuration. */
  readonly folder: string
  /** Options of the JVM, such as its heap. */
  readonly jvm: readonly string[]
  /** Lowest level of what the worker writes to its standard output. */
  readonly logLevel: 'info' | 'warn'
  /** Connectors beside FileStream, which is on the classpath. */
  readonly plugins: readonly JavaPlugin[]
}

/** `mirror`: MirrorMaker 2, here for connector classes that Sluice lacks. */
export type JavaPlugin = 'debezium-postgres' | 'mirror'

/** Jars of each plugin, with what it depends on. */
export const pluginSets: Readonly<Record<JavaPlugin, ArtifactSet>> = {
  'debezium-postgres': {
    label: `debezium-postgres-${debeziumVersion}`,
    mode: 'copy',
    artifacts: [{ group: 'io.debezium', name: 'debezium-connector-postgres', version: debeziumVersion }],
  },
  mirror: {
    label: `connect-mirror-${connectVersion}`,
    mode: 'copy',
    artifacts: [{ group: 'org.apache.kafka', name: 'connect-mirror', version: connectVersion }],
  },
}

/** Kafka Connect with its own converters, transforms and FileStream, from Maven Central. */
export const connectArtifacts: ArtifactSet = {
  label: `kafka-connect-${connectVersion}`,
  mode: 'copy',
  artifacts: [
    ...['connect-runtime', 'connect-json', 'connect-transforms', 'connect-file'].map((artifact) => ({
      group: 'org.apache.kafka',
      name: artifact,
      version: connectVersion,
    })),
    { group: 'org.apache.logging.log4j', name: 'log4j-slf4j-impl', version: '2.24.3' },
    { group: 'org.apache.logging.log4j', name: 'log4j-core', version: '2.24.3' },
  ],
}

/** Kafka Connect with FileStream and the plugins asked for, fetched on first use. */
export async function javaConnectCommand(options: JavaConnectOptions): Promise<WorkerCommand> {
  const settings = loadSettings()
  const connect = await fetchArtifacts(settings, 'kafka', connectArtifacts)
  const plugins: string[] = []
  for (const name of options.plugins) plugins.push(await fetchArtifacts(settings, 'kafka', pluginSets[name]))
  const log4j = join(options.folder, 'log4j2.properties')
  writeFileSync(log4j, loggingProperties(options.logLevel))
  return {
    executable: requireJava(javaVersion).java,
    args: [
      ...options.jvm,
      `-Dlog4j2.configurationFile=${log4j}`,
      '-cp',
      join(connect, '*'),
      'org.apache.kafka.connect.cli.ConnectDistributed',
    ],
    // Connect refuses an empty path.
    properties:
      plugins.length === 0
        ? {}
        : { 'plugin.path': plugins.map((folder) => pluginPath(settings.home, folder)).join(',') },
  }
}

/** A plugin path holds one folder per plugin, and nothing else; Connect follows links. */
function pluginPath(home: string, plugin: string): string {
  const folder = join(home, 'java-plugins', basename(plugin))
  mkdirSync(folder, { recursive: true })
  try {
    symlinkSync(plugin, join(folder, 'plugin'))
  } catch (error) {
    // Another process, or an earlier run, made it.
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
  return folder
}

function loggingProperties(level: string): string {
  return [
    `rootLogger.level=${level}`,
    'rootLogger.appenderRef.out.ref=out',
    'appender.out.type=Console',
    'appender.out.name=out',
    'appender.out.layout.type=PatternLayout',
    'appender.out.layout.pattern=%d %p %c %m%n',
    '',
  ].join('\n')
}

/**
 * Declares that tests need a Java worker. Where Java or Maven is missing they are skipped by name; under
 * `TEST_REQUIRE_SERVICES=1` they run and fail with what to install.
 */
export function requireJavaConnect(env: NodeJS.ProcessEnv = process.env): { readonly skip: string | false } {
  if (env['TEST_REQUIRE_SERVICES'] === '1') return { skip: false }
  if (!findJava().some(({ version }) => version >= javaVersion)) {
    return { skip: `Kafka Connect: no Java ${javaVersion} or later; install a JDK or point JAVA_HOME at one` }
  }
  const hasMaven = spawnSync('mvn', ['--version'], { stdio: 'ignore' }).status === 0
  return { skip: hasMaven ? false : 'Kafka Connect: no Maven on the PATH; install it, e.g. `apt-get install maven`' }
}

/** Small and quick to start rather than fast: tests move few records. */
const testJvm = ['-Xms64m', '-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto']

/** Starts a Java worker beside or instead of the cluster's own ones; the cluster ends it with them. */
export async function startJavaWorker(
  cluster: ClusterUnderTest,
  plugins: readonly JavaPlugin[] = [],
  changes: Readonly<Record<string, string>> = {},
): Promise<WorkerUnderTest> {
  const { folder } = cluster
  const command = await javaConnectCommand({ folder, jvm: testJvm, logLevel: 'info', plugins })
  const port = await freePort()
  const file = join(folder, `java-${port}.properties`)
  const properties = Object.entries({
    ...cluster.workerOptions(port),
    ...command.properties,
    // Every plugin here has a manifest; scanning the classpath for others takes seconds.
    'plugin.discovery': 'service_load',
    ...changes,
  })
  writeFileSync(file, properties.map(([name, value]) => `${name}=${value}\n`).join(''))
  const child = spawn(command.executable, [...command.args, file], { stdio: ['ignore', 'pipe', 'pipe'] })
  const worker = new WorkerUnderTest(child, `http://127.0.0.1:${port}/`)
  cluster.workers.push(worker)
  return worker
}
