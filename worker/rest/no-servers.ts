/** What Fastify gets for `node:https` and `node:http2`; see `fastify.ts`. */

function noServer(): never {
  throw new Error('Servers of the REST API are made by its serverFactory, not by Fastify')
}

export const createServer = noServer
export const createSecureServer = noServer
