/**
 * The parts of the client that the sink works with: its transport, the errors that it throws, and the base of its
 * connections. The whole package loads undici and a module for each API of the server besides; that is 6 MB for every
 * task before the first request, and undici takes more when it runs.
 */
import { createRequire } from 'node:module'
import type { BaseConnection, Serializer as ClientSerializer, errors, Transport } from '@elastic/elasticsearch'
import type { NodePool } from './node-pool.ts'

type TransportOptions = ConstructorParameters<typeof Transport>[0]
type ConnectionOptions = ConstructorParameters<typeof BaseConnection>[0]
export type ConnectionAuth = NonNullable<ConnectionOptions['auth']>

/** What the transport hands to a connection; a stream only where it was given one, which the sink never does. */
export type ConnectionRequest = Omit<Parameters<BaseConnection['request']>[0], 'body'> & {
  readonly body?: string | Buffer | null
}

/** What a connection hands back; a body that is compressed is left as it came. */
export interface ConnectionAnswer {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Buffer
}

/** Resolves as the client does, so that these are the parts of its very version. */
const load = createRequire(createRequire(import.meta.url).resolve('@elastic/elasticsearch'))

/** The client's own transport over nodes of our choice. */
export const { default: ClientTransport } = load('@elastic/transport/lib/Transport') as {
  readonly default: new (
    options: Omit<TransportOptions, 'connectionPool'> & { readonly connectionPool: NodePool<{ close(): void }> },
  ) => Pick<Transport, 'request'>
}

/** Holds a node's URL and the header of its credentials. */
export const { default: ConnectionBase } = load('@elastic/transport/lib/connection/BaseConnection') as {
  readonly default: new (options: Pick<ConnectionOptions, 'url' | 'auth'>) => Pick<BaseConnection, 'url' | 'headers'>
}

export const { default: Serializer } = load('@elastic/transport/lib/Serializer') as {
  readonly default: typeof ClientSerializer
}

/** By their names `classify` knows what became of a request. */
export const { ConnectionError, RequestAbortedError, TimeoutError } = load('@elastic/transport/lib/errors') as Pick<
  typeof errors,
  'ConnectionError' | 'RequestAbortedError' | 'TimeoutError'
>
