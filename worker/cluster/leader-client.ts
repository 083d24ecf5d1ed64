import type { RawConfig } from '../api/connector.ts'
import { RequestError, RetriableError } from '../api/errors.ts'
import type { SignedHeaders } from './session-keys.ts'

/** The two requests that workers send each other on their own account (KIP-507, KIP-618). */
export interface LeaderClient {
  /** @param body exactly the bytes that were signed */
  putTaskConfigs(leaderUrl: string, connector: string, body: Uint8Array, headers: SignedHeaders | null): Promise<void>
  fenceZombies(leaderUrl: string, connector: string, headers: SignedHeaders | null): Promise<void>
}

export function encodeTaskConfigs(configs: readonly RawConfig[]): Uint8Array {
  return Buffer.from(JSON.stringify(configs))
}

/** Plain HTTP(S) requests. @param timeoutMs of one request, in ms */
export function httpLeaderClient(timeoutMs: number): LeaderClient {
  const send = async (
    method: 'POST' | 'PUT',
    url: URL,
    body: Uint8Array | null,
    headers: SignedHeaders | null,
  ): Promise<void> => {
    const signed: Record<string, string> =
      headers === null
        ? {}
        : {
            'X-Connect-Authorization': headers.signature,
            'X-Connect-Request-Signature-Algorithm': headers.algorithm,
          }
    let response: Response
    try {
      response = await fetch(url, {
        method,
        redirect: 'manual',
        signal: AbortSignal.timeout(timeoutMs),
        headers: { ...signed, ...(body === null ? {} : { 'Content-Type': 'application/json' }) },
        ...(body === null ? {} : { body: Buffer.from(body) }),
      })
    } catch (cause) {
      const text = `IO Error trying to forward REST request: ${method} ${url.origin}${url.pathname}`
      throw new RetriableError('CONNECT_LEADER_UNREACHABLE', text, { cause })
    }
    const text = await response.text()
    if (response.ok) return
    throw new RequestError(response.status, 'CONNECT_LEADER_REFUSED', messageOf(text) ?? `HTTP ${response.status}`)
  }
  const path = (leaderUrl: string, connector: string, what: string): URL =>
    new URL(
      `connectors/${encodeURIComponent(connector)}/${what}`,
      leaderUrl.endsWith('/') ? leaderUrl : `${leaderUrl}/`,
    )
  return {
    putTaskConfigs: (leaderUrl, connector, body, headers) =>
      send('POST', path(leaderUrl, connector, 'tasks'), body, headers),
    fenceZombies: (leaderUrl, connector, headers) => send('PUT', path(leaderUrl, connector, 'fence'), null, headers),
  }
}

function messageOf(body: string): string | null {
  try {
    const parsed: unknown = JSON.parse(body)
    if (parsed === null || typeof parsed !== 'object' || !('message' in parsed)) return null
    return typeof parsed.message === 'string' ? parsed.message : null
  } catch {
    // Not our error body (a proxy answered, for instance): the status says what there is to say.
    return null
  }
}
