import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type ClientCredentials,
  type OAuthToken,
  requestToken,
  TokenSource,
} from '../../../../worker/util/oauth-token.ts'
import { TokenEndpoint, unsignedToken } from '../../../support/token-endpoint.ts'

const clock = { now: () => 1_000_000 }
const client = (url: string, more: Partial<ClientCredentials> = {}): ClientCredentials => ({
  tokenUrl: new URL(url),
  clientId: 'us er',
  clientSecret: 'hunter2:é',
  scope: null,
  isHeaderEncoded: false,
  tls: null,
  timeoutMs: 5_000,
  ...more,
})
const basic = (text: string) => `Basic ${Buffer.from(text, 'utf8').toString('base64')}`

test('asks with the credentials in the header and the grant in the form', async () => {
  await using endpoint = await TokenEndpoint.open(() => ({ status: 200, body: { access_token: 't', expires_in: 60 } }))
  assert.deepEqual(await requestToken(client(endpoint.url), clock), { value: 't', expiresAt: 1_060_000 })
  await requestToken(client(endpoint.url, { scope: 'a b', isHeaderEncoded: true }), clock)
  assert.deepEqual(endpoint.requests, [
    { authorization: basic('us er:hunter2:é'), form: { grant_type: 'client_credentials' } },
    {
      authorization: basic('us%20er:hunter2%3A%C3%A9'),
      form: { grant_type: 'client_credentials', scope: 'a b' },
    },
  ])
})

test('reads the end of a token from itself when the answer does not say it', async () => {
  const value = unsignedToken('s', 30)
  await using endpoint = await TokenEndpoint.open(() => ({ status: 200, body: { access_token: value } }))
  const { expiresAt } = await requestToken(client(endpoint.url), { now: Date.now })
  assert.ok(Math.abs(expiresAt - Date.now() - 30_000) < 10_000)
})

const failures: readonly [answer: { status: number; body: unknown }, code: string, kind: string, message: RegExp][] = [
  [{ status: 503, body: {} }, 'CONNECT_OAUTH_UNAVAILABLE', 'retriable', /answered 503/],
  [{ status: 429, body: {} }, 'CONNECT_OAUTH_UNAVAILABLE', 'retriable', /answered 429/],
  [
    { status: 401, body: { error: 'invalid_client', error_description: 'who?' } },
    'CONNECT_OAUTH_REFUSED',
    'fatal',
    /answered 401: invalid_client: who\?/,
  ],
  [{ status: 200, body: ['x'] }, 'CONNECT_OAUTH_REFUSED', 'fatal', /no access_token/],
  [{ status: 200, body: { access_token: 'opaque' } }, 'CONNECT_OAUTH_REFUSED', 'fatal', /does not say how long/],
]
for (const [answer, code, kind, message] of failures) {
  test(`${answer.status} ${JSON.stringify(answer.body)} is ${code}, without a secret (I8)`, async () => {
    await using endpoint = await TokenEndpoint.open(() => answer)
    await assert.rejects(
      requestToken(client(endpoint.url), clock),
      (error: Error & { code?: string; kind?: string }) => {
        assert.deepEqual([error.code, error.kind], [code, kind])
        assert.match(error.message, message)
        assert.doesNotMatch(error.message, /hunter2/)
        return true
      },
    )
  })
}

test('an endpoint that is not there is unavailable', async () => {
  await assert.rejects(requestToken(client('http://127.0.0.1:1/token'), clock), {
    code: 'CONNECT_OAUTH_UNAVAILABLE',
    kind: 'retriable',
  })
})

test('one token serves until four fifths of its life are over, and the old one while the server is away', async () => {
  let now = 0
  let count = 0
  let answer: () => Promise<OAuthToken> = () => Promise.resolve({ value: `t${++count}`, expiresAt: now + 1000 })
  const tokens = new TokenSource(() => answer(), { now: () => now })
  const value = async () => (await tokens.token()).value
  assert.deepEqual(await Promise.all([value(), value()]), ['t1', 't1'])
  now = 799
  assert.equal(await value(), 't1')
  now = 800
  assert.deepEqual(await Promise.all([value(), value()]), ['t2', 't2'])
  const away = await requestToken(client('http://127.0.0.1:1/token'), clock).catch((error: Error) => error)
  answer = () => Promise.reject(away as Error)
  now = 1700
  assert.equal(await value(), 't2')
  now = 1800
  await assert.rejects(value(), { code: 'CONNECT_OAUTH_UNAVAILABLE' })
})
