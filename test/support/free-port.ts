import { once } from 'node:events'
import { createServer, type Server } from 'node:net'

async function listen(port: number): Promise<Server | null> {
  const server = createServer()
  server.listen(port, '127.0.0.1')
  try {
    await once(server, 'listening')
    return server
  } catch {
    return null
  }
}

/** First of `count` consecutive ports that nobody listens on at the moment. */
export async function freePort(count = 1): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000)
    const servers: (Server | null)[] = []
    for (let i = 0; i < count; i++) servers.push(await listen(port + i))
    await Promise.all(servers.map(async (server) => await server?.[Symbol.asyncDispose]()))
    if (servers.every((server) => server !== null)) return port
  }
}
