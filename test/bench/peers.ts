import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ConnectClient } from '../../compose/pipelines/support/connect-client.ts'
import { waitFor } from '../../compose/pipelines/support/wait.ts'
import { javaConnectCommand, type WorkerCommand } from '../support/java-connect.ts'
import { projectRoot } from '../support/project-root.ts'

export type PeerName = 'sluice' | 'java'

/** One worker process under test: ours, or Apache Kafka Connect on the JVM. Same properties, same REST API. */
export interface Peer extends AsyncDisposable {
  readonly name: PeerName
  readonly pid: number
  readonly connect: ConnectClient
  /** Process start → REST answers, ms. */
  readonly startMs: number
}

/** Starts a distributed worker with a group and internal topics of its own. */
export async function startPeer(
  name: PeerName,
  kafkaBrokers: string,
  port: number,
  properties: Readonly<Record<string, string>> = {},
): Promise<Peer> {
  const folder = join(projectRoot, '.stack/bench')
  mkdirSync(folder, { recursive: true })
  const group = `bench-${name}-${Date.now()}`
  const file = join(folder, `${group}.properties`)
  const command = name === 'java' ? await javaCommand(folder) : sluiceCommand()
  writeFileSync(file, workerProperties(group, kafkaBrokers, port, { ...command.properties, ...properties }))
  const log = openSync(join(folder, `${group}.log`), 'a')
  const began = performance.now()
  const child = spawn(command.executable, [...command.args, file], {
    stdio: ['ignore', log, log],
    cwd: projectRoot,
    // As the image sets it, for either peer.
    env: { ...process.env, MALLOC_ARENA_MAX: '2' },
  })
  const url = `http://127.0.0.1:${port}`
  await waitFor(
    `${name} to answer (log: ${folder}/${group}.log)`,
    120_000,
    async () => {
      if (child.exitCode !== null) throw new Error(`${name} exited with code ${child.exitCode}`)
      return (await fetch(`${url}/connectors`)).ok ? true : null
    },
    20,
  )
  return {
    name,
    pid: child.pid ?? -1,
    connect: new ConnectClient(() => [url]),
    startMs: performance.now() - began,
    [Symbol.asyncDispose]: () => stop(child),
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 20_000)
  await exited
  clearTimeout(timer)
}

let built = false
let profileFolder: string | null = null

/**
 * From now on our workers run their tasks on the main thread, with a task thread's young generation, and write a CPU
 * profile into `folder` as they stop: flags of the process do not reach its threads.
 */
export function profileInto(folder: string): void {
  profileFolder = folder
}

/** The compiled worker, as images and packages run it; built once per run of the bench. */
function sluiceCommand(): WorkerCommand {
  if (!built)
    execFileSync(process.execPath, [join(projectRoot, 'test/build.ts')], { cwd: projectRoot, stdio: 'inherit' })
  built = true
  return {
    executable: process.execPath,
    args: [
      ...(profileFolder === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`, '--max-semi-space-size=1']),
      join(projectRoot, 'dist/worker/main.js'),
      'distributed',
    ],
    properties: profileFolder === null ? {} : { 'task.isolation': 'none' },
  }
}

/** Kafka Connect with Debezium; 2 GB of heap, as its users give it. */
function javaCommand(folder: string): Promise<WorkerCommand> {
  return javaConnectCommand({ folder, jvm: ['-Xms256m', '-Xmx2g'], logLevel: 'warn', plugins: ['debezium-postgres'] })
}

function workerProperties(
  group: string,
  kafkaBrokers: string,
  port: number,
  extra: Readonly<Record<string, string>>,
): string {
  const properties: Record<string, string> = {
    'bootstrap.servers': kafkaBrokers,
    'group.id': group,
    listeners: `http://127.0.0.1:${port}`,
    'rest.advertised.host.name': '127.0.0.1',
    'config.storage.topic': `${group}-configs`,
    'offset.storage.topic': `${group}-offsets`,
    'status.storage.topic': `${group}-status`,
    'config.storage.replication.factor': '1',
    'offset.storage.replication.factor': '1',
    'status.storage.replication.factor': '1',
    'offset.storage.partitions': '1',
    'status.storage.partitions': '1',
    'offset.flush.interval.ms': '5000',
    'scheduled.rebalance.max.delay.ms': '0',
    'connector.client.config.override.policy': 'All',
    'key.converter': 'org.apache.kafka.connect.json.JsonConverter',
    'key.converter.schemas.enable': 'false',
    'value.converter': 'org.apache.kafka.connect.json.JsonConverter',
    'value.converter.schemas.enable': 'false',
    ...extra,
  }
  return `${Object.entries(properties)
    .map(([key, value]) => `${key}=${value}`)
    .join('\n')}\n`
}
