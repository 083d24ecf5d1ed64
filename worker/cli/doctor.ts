/** `sluice doctor`: whether a worker and its connectors would start, before they do. Changes nothing anywhere. */
import { parseArgs } from 'node:util'
import { toError } from '../api/errors.ts'
import { type InternalTopic, policyProblem } from '../cluster/internal-topics.ts'
import { internalTopics, workerClientProperties } from '../cluster/wiring.ts'
import { readConnectorFile } from '../config/config-files.ts'
import type { ConfigProviders } from '../config/config-provider.ts'
import { misspeltOptions } from '../config/misspelt-options.ts'
import { validateConnector } from '../config/validate-connector.ts'
import { loadWorkerConfig, type WorkerConfig } from '../config/worker-config.ts'
import { createKafkaClientFactory } from '../kafka/client.ts'
import type { Admin } from '../kafka/types.ts'
import { loadRegistry, type PluginDiscovery, usablePlugins } from '../plugins/load.ts'
import type { PluginRegistry } from '../plugins/registry.ts'
import { subcommand } from './subcommand.ts'

const usage = `Usage: sluice doctor <worker.properties> [<connector.json> …] [--standalone] [--timeout MS]

Looks at what a worker would start with, and changes nothing: its options, the plugins of plugin.path, Kafka and the
internal topics; and at each connector's config as POST /connectors would, connections to databases and clusters included,
and whether the topics of sinks are there.

  --standalone  the file is that of a standalone worker
  --timeout MS  longest wait for Kafka, in ms (10000)
Exit codes: 0 nothing stands in the way (there may be warnings), 1 something does, 2 wrong usage.
`

type Verdict = 'ok' | 'note' | 'warning' | 'problem'
type Tell = (verdict: Verdict, subject: string, text: string) => void

/** What connector files are judged against. */
interface Bench {
  readonly worker: WorkerConfig
  readonly providers: ConfigProviders
  readonly plugins: PluginRegistry
  /** Of the Kafka cluster; null when it could not be asked. */
  readonly topics: ReadonlySet<string> | null
  readonly tell: Tell
}

/** @returns the exit code: 0, 1 for problems, 2 for wrong usage */
export async function run(args: readonly string[]): Promise<number> {
  return await subcommand(
    usage,
    () => readArguments(args),
    async ({ workerFile, connectorFiles, isStandalone, timeoutMs }) => {
      let problems = 0
      const tell: Tell = (verdict, subject, text) => {
        if (verdict === 'problem') problems++
        process.stdout.write(`${verdict.padEnd(8)} ${subject}: ${text.replaceAll('\n', `\n${' '.repeat(9)}`)}\n`)
      }
      await examine(workerFile, connectorFiles, { isStandalone, timeoutMs, tell })
      return problems === 0 ? 0 : 1
    },
  )
}

function readArguments(args: readonly string[]) {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      standalone: { type: 'boolean', default: false },
      timeout: { type: 'string', default: '10000' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) return null
  const [workerFile, ...connectorFiles] = positionals
  if (workerFile === undefined) throw new Error('sluice doctor takes the config of a worker')
  const timeoutMs = Number(values.timeout)
  if (!Number.isSafeInteger(timeoutMs) || timeoutMs < 1)
    throw new Error(`sluice doctor: --timeout ${values.timeout} is no time in ms`)
  return { workerFile, connectorFiles, isStandalone: values.standalone, timeoutMs }
}

async function examine(
  workerFile: string,
  connectorFiles: readonly string[],
  options: { readonly isStandalone: boolean; readonly timeoutMs: number; readonly tell: Tell },
): Promise<void> {
  const { isStandalone, timeoutMs, tell } = options
  let loaded: Awaited<ReturnType<typeof loadWorkerConfig>>
  try {
    loaded = await loadWorkerConfig(workerFile, isStandalone ? 'standalone' : 'distributed')
  } catch (error) {
    tell('problem', workerFile, toError(error).message)
    return
  }
  const { config: worker, providers } = loaded
  await using _close = providers
  tell('ok', workerFile, `the options of a ${worker.mode} worker`)
  for (const { option, meant } of misspeltOptions(Object.keys(worker.raw), Object.keys(worker.options)))
    tell('warning', workerFile, `no worker option is called ${option}; ${meant} is one`)
  const plugins = await checkPlugins(worker, tell)
  const topics = await checkKafka(worker, timeoutMs, tell)
  for (const file of connectorFiles) await checkConnector(file, { worker, providers, plugins, topics, tell })
}

async function checkPlugins({ options }: WorkerConfig, tell: Tell): Promise<PluginRegistry> {
  const discovery = options['plugin.discovery'].toLowerCase() as PluginDiscovery
  const { modules, problems, undeclared } = await usablePlugins(options['plugin.path'] ?? [], { discovery })
  for (const { origin, message } of problems) tell('warning', origin, `left out: ${message}`)
  if (discovery === 'hybrid_fail' && undeclared.length > 0)
    tell(
      'problem',
      'plugin.path',
      `no package.json declares ${undeclared.join(', ')}, as plugin.discovery=hybrid_fail demands`,
    )
  return await loadRegistry(modules.map(({ url }) => url))
}

/** @returns the topics that there are; null when Kafka cannot be asked, which is a problem */
async function checkKafka(worker: WorkerConfig, timeoutMs: number, tell: Tell): Promise<ReadonlySet<string> | null> {
  const subject = worker.options['bootstrap.servers'].join(',')
  // A broker that takes the connection and says nothing is given up, too.
  const signal = AbortSignal.timeout(timeoutMs + 1_000)
  try {
    const properties = { ...workerClientProperties(worker), 'default.api.timeout.ms': String(timeoutMs) }
    await using admin = createKafkaClientFactory().admin(properties)
    const clusterId = await admin.clusterId(signal)
    const topics = new Set(await admin.listTopics(signal))
    tell('ok', subject, `Kafka cluster ${clusterId}, ${topics.size} topics that this user may see`)
    if (worker.mode === 'distributed') {
      for (const topic of internalTopics(worker)) await checkInternalTopic(topic, { topics, admin, signal, tell })
    }
    return topics
  } catch (error) {
    tell('problem', subject, toError(error).message)
    return null
  }
}

async function checkInternalTopic(
  topic: InternalTopic,
  at: {
    readonly topics: ReadonlySet<string>
    readonly admin: Admin
    readonly signal: AbortSignal
    readonly tell: Tell
  },
): Promise<void> {
  if (!at.topics.has(topic.topic)) {
    const count = topic.replicationFactor < 0 ? "the broker's number of" : topic.replicationFactor
    at.tell('note', topic.option, `${topic.topic} is not there; the first worker creates it with ${count} replicas`)
    return
  }
  const policy = (await at.admin.topicConfigs(topic.topic, at.signal)).get('cleanup.policy')
  const problem = policyProblem(topic, policy)
  if (problem === null) at.tell('ok', topic.option, `${topic.topic} is there`)
  else at.tell('problem', topic.option, problem)
}

async function checkConnector(path: string, bench: Bench): Promise<void> {
  const { worker, providers, plugins, topics, tell } = bench
  try {
    const { name, config } = await readConnectorFile(path)
    const infos = await validateConnector({ raw: config, plugins, worker, providers })
    for (const { value } of infos.configs)
      for (const error of value.errors) tell('problem', path, `${value.name}: ${error}`)
    const known = infos.configs.map(({ value }) => value.name)
    for (const { option, meant } of misspeltOptions(Object.keys(config), known))
      tell('warning', path, `${option} has no effect, no part of the connector knows it; ${meant} is an option`)
    for (const topic of (config['topics'] ?? '').split(',').map((text) => text.trim()))
      if (topic !== '' && topics?.has(topic) === false) tell('warning', path, `the topic ${topic} is not there`)
    if (infos.error_count === 0) tell('ok', path, `${name}, ${infos.name}`)
  } catch (error) {
    tell('problem', path, toError(error).message)
  }
}
