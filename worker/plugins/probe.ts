/**
 * Looks into a module of plugins in a thread of its own: a module that throws, never finishes loading, or ends the
 * process is reported, and costs the worker nothing.
 */
import { Worker as Thread } from 'node:worker_threads'
import type { PluginName } from './registry.ts'

export interface ProbeInput {
  readonly url: string
  /** Creates connectors and tasks, too, which loads their drivers. */
  readonly create: boolean
}

export interface ProbeOutput {
  readonly plugins: readonly PluginName[]
  /** What is wrong with the module or one of its plugins; empty when all can be used. */
  readonly problems: readonly string[]
}

/** For a module to load, in ms; it should import no driver before something starts. */
const loadTimeoutMs = 10_000

const entry = new URL(`./probe-thread${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)

/** Never rejects: what goes wrong is in the answer. */
export async function probeModule(input: ProbeInput, timeoutMs = loadTimeoutMs): Promise<ProbeOutput> {
  const thread = new Thread(entry, { workerData: input, stdout: true, stderr: true })
  const { promise, resolve } = Promise.withResolvers<ProbeOutput>()
  const fail = (problem: string): void => resolve({ plugins: [], problems: [problem] })
  const timer = setTimeout(() => fail(`did not finish loading within ${timeoutMs} ms`), timeoutMs)
  thread.once('message', (output: ProbeOutput) => resolve(output))
  thread.once('error', (error: Error) => fail(`ended its thread: ${error.message}`))
  thread.once('exit', (code) => fail(`ended the process while it was loaded, with code ${code}`))
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    await thread.terminate()
  }
}
