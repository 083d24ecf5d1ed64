import { createDecipheriv, pbkdf2Sync } from 'node:crypto'
import { ConfigError, ConnectError, toError } from '../errors.ts'
import { DerValue, pem } from './der.ts'

/** Object identifiers, as their DER content in hexadecimal. */
const oid = {
  data: '2a864886f70d010701',
  encryptedData: '2a864886f70d010706',
  certBag: '2a864886f70d010c0a0103',
  pbes2: '2a864886f70d01050d',
} as const

const digests: ReadonlyMap<string, string> = new Map([
  ['2a864886f70d0207', 'sha1'],
  ['2a864886f70d0209', 'sha256'],
  ['2a864886f70d020a', 'sha384'],
  ['2a864886f70d020b', 'sha512'],
])

const ciphers: ReadonlyMap<string, readonly [name: string, keyBytes: number]> = new Map([
  ['60864801650304012a', ['aes-256-cbc', 32]],
  ['608648016503040116', ['aes-192-cbc', 24]],
  ['608648016503040102', ['aes-128-cbc', 16]],
])

/**
 * Certificates of a PKCS12 file, as PEM. A trust store holds no key, and Node's TLS refuses a file without one.
 * @param option named in errors
 * @throws ConfigError for a wrong password, an encryption that is out of use (RC2, Triple DES), or a damaged file
 */
export function pkcs12Certificates(file: Uint8Array, password: string | null, option: string): readonly string[] {
  try {
    // PFX: version, then the authenticated safe as an octet string in a content.
    const safe = DerValue.read(DerValue.read(file).child(1, 1, 0).content)
    return safe.children.flatMap((content) => certificatesIn(contentBytes(content, password ?? '')))
  } catch (error) {
    if (error instanceof ConnectError) throw error
    const { name } = toError(error)
    const message = `The store cannot be read (${name}): its password is wrong, it is damaged, or an older tool encrypted it; convert it with keytool -importkeystore -deststoretype PKCS12, or to PEM`
    throw new ConfigError([{ option, message }])
  }
}

function contentBytes(content: DerValue, password: string): Uint8Array {
  const kind = content.child(0).hex
  if (kind === oid.data) return content.child(1, 0).content
  if (kind !== oid.encryptedData) throw new RangeError('unknown content')
  const encrypted = content.child(1, 0, 1)
  return decrypt(encrypted.child(1), encrypted.child(2).content, password)
}

/** PBES2: a key by PBKDF2, and AES. */
function decrypt(algorithm: DerValue, bytes: Uint8Array, password: string): Uint8Array {
  if (algorithm.child(0).hex !== oid.pbes2) throw new RangeError('unknown encryption')
  const derivation = algorithm.child(1, 0, 1)
  const salt = derivation.child(0).content
  const iterations = Number.parseInt(derivation.child(1).hex, 16)
  const prf = derivation.children.find(({ tag }) => tag === 0x30)
  const digest = prf === undefined ? 'sha1' : digests.get(prf.child(0).hex)
  const cipher = ciphers.get(algorithm.child(1, 1, 0).hex)
  if (digest === undefined || cipher === undefined) throw new RangeError('unknown encryption')
  const key = pbkdf2Sync(password, salt, iterations, cipher[1], digest)
  const decipher = createDecipheriv(cipher[0], key, algorithm.child(1, 1, 1).content)
  return Buffer.concat([decipher.update(bytes), decipher.final()])
}

function certificatesIn(safeContents: Uint8Array): readonly string[] {
  return DerValue.read(safeContents)
    .children.filter((bag) => bag.child(0).hex === oid.certBag)
    .map((bag) => pem('CERTIFICATE', bag.child(1, 0, 1, 0).content))
}
