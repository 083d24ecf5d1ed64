// Preloaded into every test process by test/run.ts: notes which real servers the process connected to, so that the
// run can say how many tests met each of them. Nothing is inferred from names: a TCP connection was made.
import { subscribe } from 'node:diagnostics_channel'
import { mkdirSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { threadId } from 'node:worker_threads'
import { serviceVariables, type TestService } from './services.ts'

/** What a test process leaves behind for the run: its file and the servers it talked to. */
export interface ServiceUse {
  readonly file: string
  readonly services: readonly TestService[]
}

/** Port of each configured server; a list of brokers has several. */
function portsByService(env: NodeJS.ProcessEnv): ReadonlyMap<number, TestService> {
  const ports = new Map<number, TestService>()
  for (const [name, [variable]] of Object.entries(serviceVariables) as [
    TestService,
    readonly [string, ...string[]],
  ][]) {
    for (const address of (env[variable] ?? '').split(',')) {
      const port = /:(\d+)(?:\/|$)/.exec(address)?.[1]
      if (port !== undefined) ports.set(Number(port), name)
    }
  }
  return ports
}

const folder = process.env['SLUICE_SERVICE_USE']
if (folder !== undefined) {
  const ports = portsByService(process.env)
  const used = new Set<TestService>()
  subscribe('net.client.socket', (message) => {
    const { socket } = message as { readonly socket: Socket }
    socket.once('connect', () => {
      const service = ports.get(socket.remotePort ?? -1)
      if (service !== undefined) used.add(service)
    })
  })
  process.on('exit', () => {
    if (used.size === 0) return
    const use: ServiceUse = { file: process.argv[1] ?? '', services: [...used] }
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, `${process.pid}-${threadId}.json`), JSON.stringify(use))
  })
}
