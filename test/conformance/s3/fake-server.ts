import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface SeenRequest {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: Readonly<NodeJS.Dict<string | string[]>>
  readonly body: Buffer
}

/** What the server does instead of its work, or after it (`applied`: the answer is lost). */
export interface ServerFault {
  /** On `METHOD path?query`. */
  readonly match: RegExp
  /** A status with its S3 error code, or a connection that breaks. */
  readonly answer: { readonly status: number; readonly code: string; readonly body?: string } | 'reset'
  readonly times?: number
  readonly after?: number
  readonly applied?: boolean
}

interface Upload {
  readonly key: string
  readonly parts: Map<number, Buffer>
}

const md5 = (body: Uint8Array) => createHash('md5').update(body).digest('hex')
const errorBody = (code: string) => `<?xml version="1.0"?><Error><Code>${code}</Code><Message>planned</Message></Error>`

/**
 * An S3 server over HTTP as far as the sink needs one: objects, uploads, conditions, tags; every request is kept, so
 * that tests see headers which small servers drop, and faults strike requests by their text.
 */
export class FakeS3Server implements AsyncDisposable {
  readonly objects = new Map<string, Buffer>()
  readonly tags = new Map<string, string>()
  readonly uploads = new Map<string, Upload>()
  readonly requests: SeenRequest[] = []
  readonly #faults: (ServerFault & { passed: number; fired: number })[] = []
  readonly #server: Server
  #nextUpload = 1

  private constructor(server: Server) {
    this.#server = server
  }

  static async open(): Promise<FakeS3Server> {
    const server = createServer()
    const fake = new FakeS3Server(server)
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      fake.#serve(request, response).catch((error: unknown) => response.destroy(error as Error))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return fake
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}`
  }

  plan(fault: ServerFault): void {
    this.#faults.push({ ...fault, passed: 0, fired: 0 })
  }

  /** Planned faults that have not struck as often as planned. */
  get pendingFaults(): number {
    return this.#faults.filter(({ fired, times = 1 }) => fired < times).length
  }

  /** Requests of a method, optionally with a query parameter. */
  seen(method: string, parameter: string | null = null): readonly SeenRequest[] {
    return this.requests.filter((r) => r.method === method && (parameter === null || r.query.has(parameter)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.headers.expect === '100-continue') response.writeContinue()
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    // A proxied request names the whole URL.
    const url = new URL(request.url ?? '/', this.endpoint)
    const { method = '', headers } = request
    const seen = {
      method,
      path: decodeURIComponent(url.pathname),
      query: url.searchParams,
      headers,
      body: Buffer.concat(chunks),
    }
    this.requests.push(seen)
    const fault = this.#faultOf(`${method} ${seen.path}${url.search}`)
    if (fault?.applied === true) this.#carryOut(seen)
    if (fault?.answer === 'reset') return void request.socket.destroy()
    const answer =
      fault === null
        ? this.#carryOut(seen)
        : {
            status: fault.answer.status,
            body: method === 'HEAD' ? '' : (fault.answer.body ?? errorBody(fault.answer.code)),
            headers: {},
          }
    response.writeHead(answer.status, { 'content-type': 'application/xml', ...answer.headers }).end(answer.body)
  }

  #faultOf(text: string) {
    for (const fault of this.#faults) {
      if (!fault.match.test(text) || fault.fired >= (fault.times ?? 1)) continue
      if (fault.passed++ < (fault.after ?? 0)) continue
      fault.fired++
      return fault
    }
    return null
  }

  #carryOut(request: SeenRequest): Answer {
    const [, bucket = '', ...rest] = request.path.split('/')
    const key = rest.join('/')
    if (key === '') return { status: bucket === 'lake' ? 200 : 404, body: '', headers: {} }
    switch (request.method) {
      case 'PUT':
        if (request.query.has('tagging')) return this.#tag(key, request)
        return request.query.has('uploadId') ? this.#part(request) : this.#put(key, request)
      case 'POST':
        return request.query.has('uploads') ? this.#begin(key) : this.#complete(key, request)
      case 'DELETE':
        if (request.query.has('uploadId')) this.uploads.delete(request.query.get('uploadId') ?? '')
        else this.objects.delete(key)
        return { status: 204, body: '', headers: {} }
      default:
        return this.#get(key)
    }
  }

  #put(key: string, { headers, body }: SeenRequest): Answer {
    const existing = this.objects.get(key)
    const ifMatch = headers['if-match']
    const isMet = ifMatch === undefined || (existing !== undefined && `"${md5(existing)}"` === ifMatch)
    if (!isMet || (headers['if-none-match'] === '*' && existing !== undefined)) return refused
    this.objects.set(key, body)
    return { status: 200, body: '', headers: { etag: `"${md5(body)}"` } }
  }

  #tag(key: string, { body }: SeenRequest): Answer {
    this.tags.set(key, body.toString())
    return { status: 200, body: '', headers: {} }
  }

  #begin(key: string): Answer {
    const id = `upload-${this.#nextUpload++}`
    this.uploads.set(id, { key, parts: new Map() })
    const body = `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`
    return { status: 200, body, headers: {} }
  }

  #part({ query, body }: SeenRequest): Answer {
    const upload = this.uploads.get(query.get('uploadId') ?? '')
    if (upload === undefined) return { status: 404, body: errorBody('NoSuchUpload'), headers: {} }
    upload.parts.set(Number(query.get('partNumber')), body)
    return { status: 200, body: '', headers: { etag: `"${md5(body)}"` } }
  }

  #complete(key: string, { query, headers }: SeenRequest): Answer {
    const id = query.get('uploadId') ?? ''
    const upload = this.uploads.get(id)
    if (upload === undefined) return { status: 404, body: errorBody('NoSuchUpload'), headers: {} }
    if (headers['if-none-match'] === '*' && this.objects.has(key)) return refused
    const parts = [...upload.parts].sort(([a], [b]) => a - b).map(([, part]) => part)
    this.objects.set(key, Buffer.concat(parts))
    this.uploads.delete(id)
    const body = `<CompleteMultipartUploadResult><ETag>"${etagOf(parts)}"</ETag></CompleteMultipartUploadResult>`
    return { status: 200, body, headers: {} }
  }

  #get(key: string): Answer {
    const body = this.objects.get(key)
    if (body === undefined) return { status: 404, body: errorBody('NoSuchKey'), headers: {} }
    const headers = { etag: `"${md5(body)}"`, 'content-length': String(body.length) }
    return { status: 200, body, headers }
  }
}

interface Answer {
  readonly status: number
  readonly body: string | Buffer
  readonly headers: Readonly<Record<string, string>>
}

const refused: Answer = { status: 412, body: errorBody('PreconditionFailed'), headers: {} }

function etagOf(parts: readonly Buffer[]): string {
  const sums = createHash('md5')
  for (const part of parts) sums.update(Buffer.from(md5(part), 'hex'))
  return `${sums.digest('hex')}-${parts.length}`
}
