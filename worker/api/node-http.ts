/**
 * Node's HTTP modules without the copy of undici that Node has in itself: an `import` reads every export of
 * `node:http`, and one of them loads it, for 5 MB in each thread. Loaded on the first call: HTTP with TLS takes 2.5 MB.
 */

export function nodeHttp(): typeof import('node:http') {
  return process.getBuiltinModule('node:http')
}

export function nodeHttps(): typeof import('node:https') {
  return process.getBuiltinModule('node:https')
}
