import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'

interface StoredSchema {
  readonly schema: string
  readonly schemaType: string
  readonly references: readonly unknown[]
}

/** A request as the registry saw it. */
export interface SeenRequest {
  readonly method: string
  readonly path: string
  readonly authorization: string | null
  readonly headers: IncomingMessage['headers']
}

/** What a test has the registry answer instead; null lets it answer as it would. */
export type Intercept = (request: SeenRequest) => { readonly status: number; readonly body: unknown } | null

/** A schema registry in memory with the routes that converters use; it accepts every schema. */
export class FakeRegistry implements AsyncDisposable {
  readonly requests: SeenRequest[] = []
  intercept: Intercept = () => null
  readonly #schemas: StoredSchema[] = []
  readonly #subjects = new Map<string, number[]>()
  readonly #server: ReturnType<typeof createServer>
  readonly #origin: string

  private constructor(tls: ServerOptions | null) {
    this.#server = tls === null ? createServer() : createHttpsServer(tls)
    // The certificate of the tests is that of localhost.
    this.#origin = tls === null ? 'http://127.0.0.1' : 'https://localhost'
    this.#server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      this.#answer(request, response).catch((error: unknown) => {
        response.writeHead(500).end(String(error))
      })
    })
  }

  /** @param tls serves HTTPS with it */
  static async open(tls: ServerOptions | null = null): Promise<FakeRegistry> {
    const registry = new FakeRegistry(tls)
    await new Promise<void>((resolve) => registry.#server.listen(0, tls === null ? '127.0.0.1' : 'localhost', resolve))
    return registry
  }

  get url(): string {
    return `${this.#origin}:${(this.#server.address() as AddressInfo).port}`
  }

  /** Registers a schema without a request. @returns its id */
  add(subject: string, schema: string, schemaType = 'AVRO', references: readonly unknown[] = []): number {
    const known = this.#schemas.findIndex((s) => s.schema === schema && s.schemaType === schemaType)
    const index = known >= 0 ? known : this.#schemas.push({ schema, schemaType, references }) - 1
    const versions = this.#subjects.get(subject) ?? []
    if (!versions.includes(index + 1)) versions.push(index + 1)
    this.#subjects.set(subject, versions)
    return index + 1
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    const url = new URL(request.url ?? '/', this.url)
    const seen = {
      method: request.method ?? '',
      path: url.pathname,
      authorization: request.headers.authorization ?? null,
      headers: request.headers,
    }
    this.requests.push(seen)
    const body = chunks.length === 0 ? {} : (JSON.parse(Buffer.concat(chunks).toString()) as Partial<StoredSchema>)
    const { status, body: answer } = this.intercept(seen) ?? this.#route(seen, body)
    response.writeHead(status, { 'content-type': 'application/vnd.schemaregistry.v1+json' }).end(JSON.stringify(answer))
  }

  #route({ method, path }: SeenRequest, body: Partial<StoredSchema>): { status: number; body: unknown } {
    const [, kind, name = '', third, fourth] = path.split('/').map(decodeURIComponent)
    if (kind === 'subjects' && method === 'POST') {
      const { schema = '', schemaType = 'AVRO', references = [] } = body
      if (third === 'versions') return { status: 200, body: { id: this.add(name, schema, schemaType, references) } }
      const id = this.#schemas.findIndex((s) => s.schema === schema) + 1
      const isThere = (this.#subjects.get(name) ?? []).includes(id)
      return isThere ? { status: 200, body: { subject: name, id } } : notFound(40403, 'Schema not found')
    }
    if (kind === 'subjects' && third === 'versions' && fourth !== undefined) {
      const versions = this.#subjects.get(name) ?? []
      const version = fourth === 'latest' ? versions.length : Number(fourth)
      const id = versions[version - 1]
      if (id === undefined) return notFound(40401, `Subject '${name}' not found.`)
      return { status: 200, body: { subject: name, id, version, ...this.#schemas[id - 1] } }
    }
    const id = Number(third)
    const stored = this.#schemas[id - 1]
    if (kind !== 'schemas' || stored === undefined) return notFound(40403, `Schema ${id} not found`)
    if (fourth !== 'versions') return { status: 200, body: stored }
    const versions = [...this.#subjects].flatMap(([subject, ids]) =>
      ids.includes(id) ? [{ subject, version: ids.indexOf(id) + 1 }] : [],
    )
    return { status: 200, body: versions }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

function notFound(errorCode: number, message: string): { status: number; body: unknown } {
  return { status: 404, body: { error_code: errorCode, message } }
}
