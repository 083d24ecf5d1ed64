/** Keys and signatures of requests between workers (KIP-507). */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { RequestError } from '../api/errors.ts'
import type { SessionKey } from './cluster-state.ts'
import type { RequestSignature } from './herder.ts'

/** HMAC algorithms by their Java names: name for node:crypto, default key size in bits (that of Java's KeyGenerator). */
const algorithms: ReadonlyMap<string, { readonly hash: string; readonly keyBits: number }> = new Map([
  ['HMACMD5', { hash: 'md5', keyBits: 512 }],
  ['HMACSHA1', { hash: 'sha1', keyBits: 512 }],
  ['HMACSHA224', { hash: 'sha224', keyBits: 224 }],
  ['HMACSHA256', { hash: 'sha256', keyBits: 256 }],
  ['HMACSHA384', { hash: 'sha384', keyBits: 384 }],
  ['HMACSHA512', { hash: 'sha512', keyBits: 512 }],
])

export interface SessionKeySettings {
  /** `inter.worker.key.generation.algorithm` */
  readonly generationAlgorithm: string
  /** `inter.worker.key.size` in bits; null takes the algorithm's default. */
  readonly keyBits: number | null
  /** `inter.worker.key.ttl.ms`; 0 keeps a key for ever. */
  readonly ttlMs: number
  readonly signatureAlgorithm: string
  readonly verificationAlgorithms: readonly string[]
}

function algorithm(name: string): { readonly hash: string; readonly keyBits: number } {
  const known = algorithms.get(name.toUpperCase())
  if (known !== undefined) return known
  throw new RequestError(400, 'CONNECT_SIGNATURE_ALGORITHM', `Algorithm ${name} not available`)
}

function keyBitsOf(settings: SessionKeySettings): number {
  return settings.keyBits ?? algorithm(settings.generationAlgorithm).keyBits
}

export function generateSessionKey(settings: SessionKeySettings, nowMs: number): SessionKey {
  const key = randomBytes(Math.ceil(keyBitsOf(settings) / 8))
  return { key, algorithm: settings.generationAlgorithm, createdMs: nowMs }
}

/** Whether the leader has to write a new key: none, expired, or made with other settings. */
export function needsNewKey(key: SessionKey | null, settings: SessionKeySettings, nowMs: number): boolean {
  if (key === null) return true
  if (settings.ttlMs > 0 && key.createdMs + settings.ttlMs <= nowMs) return true
  return key.algorithm !== settings.generationAlgorithm || key.key.length * 8 !== Math.ceil(keyBitsOf(settings) / 8) * 8
}

export interface SignedHeaders {
  /** Base64. */
  readonly signature: string
  readonly algorithm: string
}

export function signRequest(body: Uint8Array, key: SessionKey, settings: SessionKeySettings): SignedHeaders {
  const name = settings.signatureAlgorithm
  return { signature: createHmac(algorithm(name).hash, key.key).update(body).digest('base64'), algorithm: name }
}

/**
 * Checks the proof of an internal request, in constant time where it matters.
 * @throws RequestError with Connect's status and text (4.15)
 */
export function verifyRequest(
  signature: RequestSignature | null,
  key: SessionKey | null,
  settings: SessionKeySettings,
): void {
  if (signature === null) {
    throw new RequestError(400, 'CONNECT_SIGNATURE_MISSING', 'Internal request missing required signature')
  }
  const { hash } = algorithm(signature.algorithm)
  const isAccepted = settings.verificationAlgorithms.some(
    (name) => name.toUpperCase() === signature.algorithm.toUpperCase(),
  )
  if (!isAccepted) {
    throw new RequestError(
      400,
      'CONNECT_SIGNATURE_ALGORITHM',
      `This worker does not support the '${signature.algorithm}' key signing algorithm used by other workers. ` +
        `This worker is currently configured to use: [${settings.verificationAlgorithms.join(', ')}]. ` +
        `Check that all workers' configuration files permit the same set of signature algorithms, and correct any ` +
        `misconfigured worker and restart it.`,
    )
  }
  if (key === null) {
    throw new RequestError(
      503,
      'CONNECT_SIGNATURE_NO_KEY',
      'This worker is still starting up and has not been able to read a session key from the config topic yet',
    )
  }
  const expected = createHmac(hash, key.key).update(signature.body).digest()
  const given = signature.signature
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    throw new RequestError(403, 'CONNECT_SIGNATURE_INVALID', 'Internal request contained invalid signature.')
  }
}
