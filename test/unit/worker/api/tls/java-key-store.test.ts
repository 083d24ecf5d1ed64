import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isJavaKeyStore, readJavaKeyStore } from '../../../../../worker/api/tls/java-key-store.ts'

/** Made by keytool of Java 17: an EC key of its own password, its certificate alone, and that as PKCS12. */
const file = (name: string) => readFileSync(new URL(`stores/${name}`, import.meta.url))
const option = 'elastic.https.ssl.keystore.location'

describe('Java key stores', () => {
  it('give their certificates and keys, unprotected', () => {
    const { certificates, key } = readJavaKeyStore(file('key.jks'), {
      password: 'store-pass',
      keyPassword: 'key-pass',
      option,
    })
    const [own = ''] = certificates
    const certificate = new X509Certificate(own)
    assert.equal(certificate.subject, 'CN=localhost')
    assert.equal(key?.chain, own)
    assert.ok(certificate.checkPrivateKey(createPrivateKey(key?.privateKey ?? '')))
    const trust = readJavaKeyStore(file('trust.jks'), { password: 'store-pass', keyPassword: null, option })
    assert.deepEqual(trust, { certificates: [own], key: null })
  })

  it('are told from PKCS12', () => {
    assert.deepEqual(
      ['key.jks', 'trust.jks', 'trust.p12'].map((name) => isJavaKeyStore(file(name))),
      [true, true, false],
    )
  })

  it('refuse a wrong password by the name of the option, without saying it (I8)', () => {
    for (const [password, keyPassword] of [
      ['wrong-secret', 'key-pass'],
      ['store-pass', 'wrong-secret'],
    ] as const) {
      assert.throws(
        () => readJavaKeyStore(file('key.jks'), { password, keyPassword, option }),
        (error: Error) => error.message.startsWith(`${option}: The password`) && !error.message.includes('secret'),
      )
    }
  })

  it('that are damaged are an error, never a crash or a hang', () => {
    const whole = file('key.jks')
    const damage = fc.record({ at: fc.nat(whole.length - 1), byte: fc.nat(255), cut: fc.nat(whole.length) })
    fc.assert(
      fc.property(damage, ({ at, byte, cut }) => {
        const bytes = Buffer.from(whole.subarray(0, Math.max(cut, 12)))
        if (at < bytes.length) bytes[at] = byte
        try {
          readJavaKeyStore(bytes, { password: null, keyPassword: 'key-pass', option })
        } catch (error) {
          assert.equal((error as { kind?: string }).kind, 'config', String(error))
        }
      }),
    )
  })
})
