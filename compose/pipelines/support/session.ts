import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ConnectClient } from './connect-client.ts'
import { type Pipeline, type PipelineRun, servicesFrom, workerEnvironment } from './pipeline.ts'
import { printReport } from './report.ts'
import { WorkerCluster } from './workers.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const stackMain = join(root, 'compose/stack/main.ts')

export interface SessionOptions {
  readonly pipelines: readonly Pipeline[]
  readonly kill: boolean
  readonly scale: number
  /** REST port of the first worker; the second takes the next one. */
  readonly port: number
}

/** Starts the local stack unless a stack is named by the environment. @returns its `TEST_…` variables */
export async function stackEnvironment(): Promise<Record<string, string | undefined>> {
  if (process.env['TEST_KAFKA_BROKERS']) return process.env
  const up = spawn(process.execPath, [stackMain, 'up', '--free-ports'], { cwd: root, stdio: 'inherit' })
  const [code] = (await once(up, 'exit')) as [number | null]
  if (code !== 0) throw new Error('the local stack did not start; see the lines above')
  const text = execFileSync(process.execPath, [stackMain, 'env'], { cwd: root, encoding: 'utf8' })
  const lines = text.split('\n').filter((line) => line.includes('='))
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]))
}

export interface SessionResult {
  readonly differences: number
  readonly workers: WorkerCluster
}

/** @throws what an execution throws, or the trace of a connector that FAILED meanwhile, whichever comes first */
async function untilFailure(connect: ConnectClient, executions: readonly Promise<void>[]): Promise<void> {
  const watching = new AbortController()
  try {
    await Promise.race([Promise.all(executions), connect.watch(watching.signal)])
  } finally {
    watching.abort()
  }
}

/**
 * Runs pipelines side by side on two workers and prints their tables. The workers keep running.
 * @throws Error after which the workers are stopped, but waits of the pipelines may still hold the process
 */
export async function runPipelines(options: SessionOptions): Promise<SessionResult> {
  const started = Date.now()
  const step = (text: string) => console.log(`[${((Date.now() - started) / 1000).toFixed(1).padStart(6)} s] ${text}`)
  const services = servicesFrom(await stackEnvironment())
  const plugins = options.pipelines.flatMap((pipeline) => pipeline.plugins ?? []).map((url) => fileURLToPath(url))
  const workers = new WorkerCluster({
    group: `pipelines-${options.port}`,
    bootstrapServers: services.kafkaBrokers,
    ports: [options.port, options.port + 1],
    folder: join(root, '.stack/pipelines'),
    env: workerEnvironment(services),
    ...(plugins.length > 0 && { properties: { 'plugin.path': plugins.join() } }),
  })
  const connect = new ConnectClient(() => workers.urls)
  const run: PipelineRun = { services, connect, workers, kill: options.kill, scale: options.scale, step }
  let differences = 0
  try {
    step('starts two Sluice workers')
    await workers.startAll()
    for (const pipeline of options.pipelines) {
      step(`prepares ${pipeline.name}: both ends empty`)
      await pipeline.prepare(run)
    }
    await untilFailure(
      connect,
      options.pipelines.map((pipeline) =>
        pipeline.execute({ ...run, step: (text) => step(`${pipeline.name.padEnd(9)} ${text}`) }),
      ),
    )
    step('compares both ends')
    for (const pipeline of options.pipelines) {
      const report = await pipeline.check(run)
      printReport(report, console.log)
      differences += report.differences.length
    }
    return { differences, workers }
  } catch (error) {
    console.error(`\nThe workers' logs are in ${join(root, '.stack/pipelines')}`)
    await workers.stopAll()
    throw error
  } finally {
    await Promise.allSettled(options.pipelines.map((pipeline) => pipeline.close()))
  }
}
