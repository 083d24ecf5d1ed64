import { createHash, createHmac } from 'node:crypto'

/** Keys of an AWS principal. */
export interface SigningKeys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
}

/** A request to be signed: as it is sent, byte for byte. */
export interface SignedRequest {
  readonly method: string
  /** Path with its percent-encoding. */
  readonly path: string
  /** Without the question mark; percent-encoded. */
  readonly query: string
  /** Names in lower case; at least `host`. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

export interface SigningScope {
  readonly region: string
  /** `es` for domains, `aoss` for serverless collections. */
  readonly service: string
  readonly keys: SigningKeys
  readonly at: Date
}

/**
 * The value of `Authorization` by AWS Signature Version 4. Paths are encoded once more, as all services but S3 want it.
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
export function authorization(request: SignedRequest, scope: SigningScope): string {
  const names = Object.keys(request.headers).sort()
  const canonical = [
    request.method,
    request.path.split('/').map(encode).join('/'),
    canonicalQuery(request.query),
    ...names.map((name) => `${name}:${(request.headers[name] ?? '').trim().replaceAll(/ +/g, ' ')}`),
    '',
    names.join(';'),
    sha256(request.body),
  ].join('\n')
  const day = amzDate(scope.at).slice(0, 8)
  const credential = [day, scope.region, scope.service, 'aws4_request']
  const text = ['AWS4-HMAC-SHA256', amzDate(scope.at), credential.join('/'), sha256(canonical)].join('\n')
  const first: Uint8Array = Buffer.from(`AWS4${scope.keys.secretAccessKey}`)
  const key = credential.reduce((secret, part) => hmac(secret, part), first)
  const signature = Buffer.from(hmac(key, text)).toString('hex')
  const principal = `${scope.keys.accessKeyId}/${credential.join('/')}`
  return `AWS4-HMAC-SHA256 Credential=${principal}, SignedHeaders=${names.join(';')}, Signature=${signature}`
}

/** All headers that a signed request carries, `authorization` among them; `host` is the client's to send. */
export function signedHeaders(request: Omit<SignedRequest, 'headers'>, host: string, scope: SigningScope) {
  const { sessionToken } = scope.keys
  const own = {
    'x-amz-date': amzDate(scope.at),
    'x-amz-content-sha256': sha256(request.body),
    ...(sessionToken !== undefined && { 'x-amz-security-token': sessionToken }),
  }
  return { ...own, authorization: authorization({ ...request, headers: { ...own, host } }, scope) }
}

/** `20150830T123600Z`. */
function amzDate(at: Date): string {
  return at.toISOString().replaceAll(/[-:]|\.\d+/g, '')
}

/** Parameters in the order of their names, then of their values. */
function canonicalQuery(query: string): string {
  if (query === '') return ''
  const pairs = query.split('&').map((pair) => {
    const [name = '', value = ''] = pair.split(/=(.*)/s)
    return [encode(decodeURIComponent(name)), encode(decodeURIComponent(value))] as const
  })
  const order = ([a, x]: readonly [string, string], [b, y]: readonly [string, string]) =>
    a === b ? (x < y ? -1 : 1) : a < b ? -1 : 1
  return pairs
    .sort(order)
    .map((pair) => pair.join('='))
    .join('&')
}

/** RFC 3986: everything but letters, digits and `-._~`. */
function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}

function sha256(content: Uint8Array | string): string {
  return createHash('sha256').update(content).digest('hex')
}

function hmac(key: Uint8Array, text: string): Uint8Array {
  return createHmac('sha256', key).update(text).digest()
}
