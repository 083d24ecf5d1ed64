/**
 * Basic authentication as Connect's `BasicAuthSecurityRestExtension` with its `PropertyFileLoginModule`: a JAAS file
 * names a properties file of `user=password` lines.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { ConfigError, toError } from '../api/errors.ts'
import { decodeProperties, parseProperties } from '../config/properties.ts'

export const basicAuthExtension = 'org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension'

/** What a refused client is told; without a `WWW-Authenticate` header, as in Connect. */
export const refusalText = 'User cannot access the resource.'

export interface Credentials {
  /** Whether this `Authorization` header lets the request pass. */
  allows(authorization: string | undefined): boolean
}

/**
 * The internal requests between workers are signed instead; Connect exempts exactly these two.
 * @param path without query
 */
export function isExempt(method: string, path: string): boolean {
  return (
    (method === 'POST' && /^\/connectors\/[^/]+\/tasks\/?$/u.test(path)) ||
    (method === 'PUT' && /^\/connectors\/[^/]+\/fence\/?$/u.test(path))
  )
}

/** An empty file of credentials lets everybody in, as in Connect. */
export function credentialsOf(users: Readonly<Record<string, string>>): Credentials {
  const open = Object.keys(users).length === 0
  return {
    allows: (authorization) => {
      if (open) return true
      const encoded = /^Basic\s+(\S+)$/iu.exec(authorization ?? '')?.[1]
      if (encoded === undefined) return false
      const [, user = '', password = ''] =
        /^([^:]*):([^]*)$/u.exec(Buffer.from(encoded, 'base64').toString('utf8')) ?? []
      const expected = Object.hasOwn(users, user) ? users[user] : undefined
      return expected !== undefined && sameText(password, expected)
    },
  }
}

/** In constant time: digests have one length. */
function sameText(a: string, b: string): boolean {
  const [x, y] = [a, b].map((text) => createHash('sha256').update(text).digest())
  return x !== undefined && y !== undefined && timingSafeEqual(x, y)
}

/**
 * Reads the section `KafkaConnect` of a JAAS file and the credentials that it names.
 * @throws ConfigError on `java.security.auth.login.config`
 */
export async function loadCredentials(jaasPath: string | null): Promise<Credentials> {
  const option = 'java.security.auth.login.config'
  if (jaasPath === null) {
    const message = `${basicAuthExtension} needs a JAAS file with a section KafkaConnect; name it in ${option}`
    throw new ConfigError([{ option, message }])
  }
  try {
    const file = credentialFileOf(decodeProperties(await readFile(jaasPath)))
    return credentialsOf(parseProperties(decodeProperties(await readFile(file))))
  } catch (error) {
    throw new ConfigError([{ option, message: `${jaasPath}: ${toError(error).message}` }], { cause: error })
  }
}

/** The `file` option of the login module in section `KafkaConnect`. */
export function credentialFileOf(jaas: string): string {
  const withoutComments = jaas.replaceAll(/\/\*[^]*?\*\//gu, '').replaceAll(/^\s*(?:\/\/|#).*$/gmu, '')
  const section = /\bKafkaConnect\s*\{([^}]*)\}/u.exec(withoutComments)?.[1]
  if (section === undefined) throw new Error('there is no section KafkaConnect { … };')
  if (!/\bPropertyFileLoginModule\b/u.test(section)) {
    throw new Error('section KafkaConnect names a login module other than PropertyFileLoginModule, the only one here')
  }
  const file = /\bfile\s*=\s*(?:"([^"]*)"|([^\s;]+))/u.exec(section)
  const path = file?.[1] ?? file?.[2] ?? ''
  if (path === '') throw new Error('the login module has no option file="…"')
  return path
}

/** `java.security.auth.login.config` from the worker config, else from `-D…` in `KAFKA_OPTS`; null when in neither. */
export function jaasPathOf(option: string | null, kafkaOpts: string | undefined): string | null {
  return option ?? /-Djava\.security\.auth\.login\.config=(\S+)/u.exec(kafkaOpts ?? '')?.[1] ?? null
}
