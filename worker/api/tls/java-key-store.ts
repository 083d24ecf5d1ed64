import { createHash, timingSafeEqual } from 'node:crypto'
import { ConfigError } from '../errors.ts'
import { DerValue, pem } from './der.ts'

/** What a JKS file holds, as PEM. */
export interface JavaKeyStore {
  /** Trusted certificates, and the chains of keys. */
  readonly certificates: readonly string[]
  /** The first private key with its chain; null when there is none, or no password for keys was given. */
  readonly key: { readonly privateKey: string; readonly chain: string } | null
}

const magic = 0xfeedfeed
const entryOfKey = 1

/** Whether a file is in Java's own format; a store of the type JKS may as well be PKCS12, as Java reads both. */
export function isJavaKeyStore(file: Uint8Array): boolean {
  return file.length >= 12 && asBuffer(file).readUInt32BE(0) === magic
}

/**
 * Reads Java's key store format (JKS, versions 1 and 2).
 * @param options.option named in errors
 * @throws ConfigError when a password is wrong or the file is damaged
 */
export function readJavaKeyStore(
  file: Uint8Array,
  options: { readonly password: string | null; readonly keyPassword: string | null; readonly option: string },
): JavaKeyStore {
  const { password, option } = options
  if (password !== null) verify(file, password, option)
  const reader = new Reader(file, option)
  reader.uint32()
  const version = reader.uint32()
  const certificates: string[] = []
  let key: JavaKeyStore['key'] = null
  for (let left = reader.uint32(); left > 0; left--) {
    const tag = reader.uint32()
    reader.text()
    reader.bytes(8)
    if (tag !== entryOfKey) {
      certificates.push(certificate(reader, version))
      continue
    }
    const sealed = reader.bytes(reader.uint32())
    const chain = Array.from({ length: reader.uint32() }, () => certificate(reader, version))
    certificates.push(...chain)
    const secret = options.keyPassword ?? password
    if (key === null && secret !== null) {
      key = { privateKey: pem('PRIVATE KEY', unseal(sealed, secret, option)), chain: chain.join('') }
    }
  }
  return { certificates, key }
}

function certificate(reader: Reader, version: number): string {
  if (version > 1) reader.text()
  return pem('CERTIFICATE', reader.bytes(reader.uint32()))
}

/** The file ends with a digest of the password, a constant and all that stands before it. */
function verify(file: Uint8Array, password: string, option: string): void {
  const end = file.length - 20
  const hash = createHash('sha1').update(utf16(password)).update('Mighty Aphrodite').update(file.subarray(0, end))
  if (timingSafeEqual(hash.digest(), file.subarray(end))) return
  throw new ConfigError([{ option, message: 'The password of the store is wrong, or the file is damaged' }])
}

/**
 * Takes Java's own protection off a key: a stream of SHA-1 digests, each of the password and the one before, the first
 * of a salt; behind the key a digest of the password and the key.
 */
function unseal(sealed: Uint8Array, password: string, option: string): Uint8Array {
  const secret = utf16(password)
  // An algorithm, and the protected key as an octet string.
  const { content } = derOf(sealed, option).child(1)
  const bytes = Buffer.from(content.subarray(20, content.length - 20))
  let digest: Uint8Array = content.subarray(0, 20)
  for (let i = 0; i < bytes.length; i++) {
    if (i % 20 === 0) digest = createHash('sha1').update(secret).update(digest).digest()
    bytes[i] = (bytes[i] ?? 0) ^ (digest[i % 20] ?? 0)
  }
  const check = createHash('sha1').update(secret).update(bytes).digest()
  if (timingSafeEqual(check, content.subarray(content.length - 20))) return bytes
  throw new ConfigError([{ option, message: 'The password of the key in the store is wrong' }])
}

function derOf(bytes: Uint8Array, option: string): DerValue {
  try {
    const value = DerValue.read(bytes)
    if (value.child(1).content.length > 40) return value
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
  }
  throw new ConfigError([{ option, message: 'The key in the store is damaged' }])
}

/** Big-endian, as Java's passwords go into digests. */
function utf16(text: string): Uint8Array {
  return Buffer.from(text, 'utf16le').swap16()
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

class Reader {
  readonly #file: Buffer
  readonly #option: string
  #at = 0

  constructor(file: Uint8Array, option: string) {
    this.#file = asBuffer(file)
    this.#option = option
  }

  bytes(count: number): Uint8Array {
    const start = this.#at
    if (start + count > this.#file.length) {
      throw new ConfigError([{ option: this.#option, message: 'The store is cut off' }])
    }
    this.#at += count
    return this.#file.subarray(start, this.#at)
  }

  uint32(): number {
    return asBuffer(this.bytes(4)).readUInt32BE(0)
  }

  text(): string {
    const length = asBuffer(this.bytes(2)).readUInt16BE(0)
    return asBuffer(this.bytes(length)).toString('utf8')
  }
}
