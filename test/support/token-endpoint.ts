import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttpsServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'

/** What the endpoint was asked. */
export interface TokenRequest {
  readonly authorization: string
  readonly form: Readonly<Record<string, string>>
}

interface TokenAnswer {
  readonly status: number
  readonly body: unknown
}

/** An unsigned JSON web token: what a broker's default validator of OAUTHBEARER takes. */
export function unsignedToken(subject: string, lifeSeconds: number): string {
  const now = Date.now() / 1000
  const part = (value: object) => Buffer.from(JSON.stringify(value), 'utf8').toString('base64url')
  return `${part({ alg: 'none' })}.${part({ sub: subject, iat: now, exp: now + lifeSeconds })}.`
}

/** The token endpoint of an OAuth server. */
export class TokenEndpoint implements AsyncDisposable {
  readonly requests: TokenRequest[] = []
  answer: (request: TokenRequest) => TokenAnswer
  readonly url: string
  readonly #server: ReturnType<typeof createHttpServer>

  private constructor(server: ReturnType<typeof createHttpServer>, scheme: string, answer: TokenEndpoint['answer']) {
    this.answer = answer
    this.#server = server
    this.url = `${scheme}://localhost:${(server.address() as AddressInfo).port}/token`
  }

  /** @param tls serves HTTPS with it */
  static async open(answer: TokenEndpoint['answer'], tls: ServerOptions | null = null): Promise<TokenEndpoint> {
    const server = tls === null ? createHttpServer() : createHttpsServer(tls)
    server.listen(0, 'localhost')
    await once(server, 'listening')
    const endpoint = new TokenEndpoint(server, tls === null ? 'http' : 'https', answer)
    server.on('request', (request, response) => {
      let text = ''
      request.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      request.on('end', () => {
        const form = Object.fromEntries(new URLSearchParams(text))
        const asked = { authorization: request.headers.authorization ?? '', form }
        endpoint.requests.push(asked)
        const { status, body } = endpoint.answer(asked)
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
      })
    })
    return endpoint
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}
