import { createHash, createHmac } from 'node:crypto'
import type { Agent } from 'node:http'
import { ConnectError, defineErrorCodes, RetriableError, toError } from '../../worker/api/errors.ts'
import { requestOf } from '../../worker/api/node-modules.ts'
import { isTransientName, isTransientStatus } from './aws-errors.ts'

/** Credentials in the form of the SDK. */
export interface SdkIdentity {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  readonly expiration?: Date
}

export interface AssumeRoleOptions {
  readonly roleArn: string
  readonly sessionName: string
  readonly externalId: string
  readonly region: string
  /** Null: the service's own of the region. */
  readonly endpoint: string | null
  /** The principal that assumes the role. */
  readonly source: () => Promise<SdkIdentity>
  /** Through which connections go, e.g. to a proxy; null is Node's own. */
  readonly agent: Agent | null
}

export const assumeRoleErrorCodes = defineErrorCodes({
  CONNECT_AWS_ASSUME_ROLE: {
    meaning: 'STS refuses to assume the role, or does not answer.',
    remedy: 'Check role ARN, external id and the trust policy of the role; the text names the answer of STS.',
  },
})

/** Longest wait for an answer of STS in ms. */
const timeoutMs = 10_000

/**
 * Temporary credentials of a role (STS AssumeRole, API version 2011-06-15). The SDK calls it again shortly before they
 * expire. Written by hand, as the package of the STS client would be the largest dependency for a single call.
 * @throws RetriableError when STS does not answer; ConnectError CONNECT_AWS_ASSUME_ROLE when it refuses
 */
export function assumeRole(options: AssumeRoleOptions): () => Promise<SdkIdentity> {
  return async () => {
    const body = new URLSearchParams({
      Action: 'AssumeRole',
      Version: '2011-06-15',
      RoleArn: options.roleArn,
      RoleSessionName: options.sessionName,
      ...(options.externalId === '' ? {} : { ExternalId: options.externalId }),
    }).toString()
    const url = new URL(options.endpoint ?? `https://sts.${options.region}.amazonaws.com/`)
    const headers = signed(url, body, { region: options.region, identity: await options.source(), now: new Date() })
    let answer: Answer
    try {
      answer = await post(url, { body, headers, agent: options.agent })
    } catch (cause) {
      throw failure(`STS does not answer: ${toError(cause).message}`, true, cause)
    }
    if (answer.status === 200) return parseIdentity(answer.text)
    const name = tag(answer.text, 'Code') ?? 'unknown'
    const retriable = isTransientName(name) || isTransientStatus(answer.status) || name === 'Throttling'
    throw failure(`STS answered ${answer.status} ${name}: ${tag(answer.text, 'Message') ?? ''}`, retriable, null)
  }
}

function failure(message: string, retriable: boolean, cause: unknown): ConnectError {
  const options = cause === null ? {} : { cause }
  return retriable
    ? new RetriableError('CONNECT_AWS_ASSUME_ROLE', message, options)
    : new ConnectError('fatal', 'CONNECT_AWS_ASSUME_ROLE', message, options)
}

function parseIdentity(xml: string): SdkIdentity {
  const accessKeyId = tag(xml, 'AccessKeyId')
  const secretAccessKey = tag(xml, 'SecretAccessKey')
  const sessionToken = tag(xml, 'SessionToken')
  const expiration = tag(xml, 'Expiration')
  if (accessKeyId === null || secretAccessKey === null || sessionToken === null) {
    throw failure('the answer of STS has no credentials', false, null)
  }
  return {
    accessKeyId,
    secretAccessKey,
    sessionToken,
    ...(expiration === null ? {} : { expiration: new Date(expiration) }),
  }
}

/** Text of the first element of a name; STS answers with flat XML whose values need no unescaping beyond `&amp;`. */
function tag(xml: string, name: string): string | null {
  const match = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)
  return match === null ? null : (match[1] ?? '').replaceAll('&amp;', '&')
}

interface Answer {
  readonly status: number
  readonly text: string
}

interface Post {
  readonly body: string
  readonly headers: Readonly<Record<string, string>>
  readonly agent: Agent | null
}

async function post(url: URL, { body, headers, agent }: Post): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const options = {
      method: 'POST',
      headers,
      signal: AbortSignal.timeout(timeoutMs),
      ...(agent === null ? {} : { agent }),
    }
    const request = requestOf(url.protocol)(url, options, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
      )
    })
    request.on('error', reject)
    request.end(body)
  })
}

interface Signing {
  readonly region: string
  readonly identity: SdkIdentity
  readonly now: Date
}

const sha256 = (text: string) => createHash('sha256').update(text, 'utf8').digest('hex')
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text, 'utf8').digest()

/** Headers of a POST with AWS Signature Version 4. */
export function signed(url: URL, body: string, { region, identity, now }: Signing): Readonly<Record<string, string>> {
  const time = now.toISOString().replace(/[-:]|\.\d{3}/g, '')
  const day = time.slice(0, 8)
  const headers: Record<string, string> = {
    'content-type': 'application/x-www-form-urlencoded; charset=utf-8',
    host: url.host,
    'x-amz-date': time,
    ...(identity.sessionToken === undefined ? {} : { 'x-amz-security-token': identity.sessionToken }),
  }
  const names = Object.keys(headers).sort()
  const canonicalHeaders = names.map((name) => `${name}:${headers[name]}\n`).join('')
  const canonical = ['POST', url.pathname, '', canonicalHeaders, names.join(';'), sha256(body)].join('\n')
  const scope = `${day}/${region}/sts/aws4_request`
  const toSign = ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n')
  const key = hmac(hmac(hmac(hmac(`AWS4${identity.secretAccessKey}`, day), region), 'sts'), 'aws4_request')
  const signature = hmac(key, toSign).toString('hex')
  const authorization = `AWS4-HMAC-SHA256 Credential=${identity.accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`
  return { ...headers, authorization }
}
