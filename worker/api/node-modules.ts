/**
 * Modules of Node that take megabytes in each thread that has them, loaded on the first call. An `import` would also
 * read every export of `node:http`, one of which loads the copy of undici that Node has in itself.
 */

/** 0.4 MB, where an import takes 4.7. */
export function nodeHttp(): typeof import('node:http') {
  return process.getBuiltinModule('node:http')
}

/** 2.5 MB, with TLS in it. */
export function nodeHttps(): typeof import('node:https') {
  return process.getBuiltinModule('node:https')
}

/** `request` of the module for a URL of this protocol (`http:`, else TLS). */
export function requestOf(protocol: string): typeof import('node:http').request {
  return protocol === 'http:' ? nodeHttp().request : nodeHttps().request
}

/** 2.3 MB. */
export function nodeTls(): typeof import('node:tls') {
  return process.getBuiltinModule('node:tls')
}
