/** Entry of a thread that loads one module of plugins, so that what goes wrong goes wrong here. */
import { parentPort, workerData } from 'node:worker_threads'
import { toError } from '../api/errors.ts'
import type { Plugin } from '../api/plugin.ts'
import { exportedPlugins, manifestProblems } from './manifest.ts'
import type { ProbeInput, ProbeOutput } from './probe.ts'

const { url, create } = workerData as ProbeInput

/** Loads the code behind the manifest, with the drivers that it imports. */
async function createOne(plugin: Plugin): Promise<string | null> {
  try {
    if (plugin.type === 'source' || plugin.type === 'sink') {
      await plugin.createConnector()
      await plugin.createTask()
    } else await plugin.create()
    return null
  } catch (error) {
    return `cannot be created: ${toError(error).message}`
  }
}

async function probe(): Promise<ProbeOutput> {
  try {
    const plugins = exportedPlugins(url, (await import(url)) as object)
    const problems: string[] = []
    for (const plugin of plugins) {
      const found = [...manifestProblems(plugin)]
      const failed = create && found.length === 0 ? await createOne(plugin) : null
      if (failed !== null) found.push(failed)
      problems.push(...found.map((problem) => `${String(plugin.name)}: ${problem}`))
    }
    const names = plugins.map(({ type, name, aliases, version }) => ({
      type,
      name: String(name),
      aliases: Array.isArray(aliases) ? aliases.map(String) : [],
      version: String(version),
    }))
    return { plugins: names, problems }
  } catch (error) {
    return { plugins: [], problems: [toError(error).message] }
  }
}

parentPort?.postMessage(await probe())
