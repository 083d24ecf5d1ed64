import { HttpConnection } from '@elastic/elasticsearch'

type Options = ConstructorParameters<typeof HttpConnection>[0]
type BuildRequest = HttpConnection['buildRequestObject']

/**
 * A connection class for nodes behind an HTTP proxy. A plain request goes to the proxy with the whole URL in its first
 * line (RFC 9112, 3.2.2): proxies usually allow CONNECT, which is the driver's only way, to the ports of TLS alone.
 * For https the driver's way is right.
 */
export function proxiedConnection(proxy: URL): typeof HttpConnection {
  const { username, password } = proxy
  const credentials = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')
  const authorization = username === '' ? {} : { 'proxy-authorization': `Basic ${credentials}` }
  return class extends HttpConnection {
    constructor(options: Options) {
      const { proxy: _proxy, ...direct } = options
      super(options.url.protocol === 'http:' ? direct : options)
    }

    override buildRequestObject(...given: Parameters<BuildRequest>): ReturnType<BuildRequest> {
      const request = super.buildRequestObject(...given)
      if (this.url.protocol !== 'http:') return request
      const { host } = this.url
      return {
        ...request,
        hostname: proxy.hostname,
        port: proxy.port,
        path: `http://${host}${request.path}`,
        headers: { ...(request.headers as Readonly<Record<string, string>>), host, ...authorization },
      }
    }
  }
}
