/** Fastify without the servers that it could make by itself: the listeners are ours (`server.ts`). */
import { createRequire, registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'

type Fastify = typeof import('fastify').fastify

const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
/** A path, which is what `require` resolves. */
const standIn = fileURLToPath(new URL(`./no-servers.${extension}`, import.meta.url))

let loaded: Fastify | null = null

/**
 * Fastify asks for `node:https` and `node:http2` as it is loaded, and so for TLS: 2.3 MB of memory and 1.2 MB of Node's
 * own code in a worker that listens and connects without. It uses them only where nobody gives it a server.
 * The hook is there for the time of one `require`, in which nothing else is resolved.
 */
export function loadFastify(): Fastify {
  if (loaded !== null) return loaded
  const hooks = registerHooks({
    resolve: (specifier, context, nextResolve) =>
      nextResolve(specifier === 'node:https' || specifier === 'node:http2' ? standIn : specifier, context),
  })
  try {
    const { fastify } = createRequire(import.meta.url)('fastify') as typeof import('fastify')
    loaded = fastify
    return fastify
  } finally {
    hooks.deregister()
  }
}
