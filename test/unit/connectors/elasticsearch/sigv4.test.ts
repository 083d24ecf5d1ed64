import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { authorization, type SignedRequest, signedHeaders } from '../../../../connectors/elasticsearch/sigv4.ts'

/** Keys, instant and scope of AWS's published test suite for Signature Version 4. */
const scope = {
  region: 'us-east-1',
  service: 'service',
  keys: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' },
  at: new Date('2015-08-30T12:36:00Z'),
}
const vanilla: SignedRequest = {
  method: 'GET',
  path: '/',
  query: '',
  headers: { host: 'example.amazonaws.com', 'x-amz-date': '20150830T123600Z' },
  body: new Uint8Array(),
}

describe('AWS Signature Version 4', () => {
  const vectors: readonly (readonly [name: string, request: SignedRequest, signature: string])[] = [
    ['get-vanilla', vanilla, '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31'],
    [
      'post-vanilla',
      { ...vanilla, method: 'POST' },
      '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b',
    ],
    [
      'get-vanilla-query-order-key-case',
      { ...vanilla, query: 'Param2=value2&Param1=value1' },
      'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500',
    ],
  ]
  for (const [name, request, signature] of vectors) {
    it(`signs ${name} as published`, () => {
      assert.equal(
        authorization(request, scope),
        `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=${signature}`,
      )
    })
  }

  it('signs the token of temporary keys and the body, and encodes a path once more', () => {
    const request = { method: 'PUT', path: '/a%20b', query: '', body: Buffer.from('{}') }
    const keys = { ...scope.keys, sessionToken: 'token' }
    const headers = signedHeaders(request, 'h', { ...scope, keys })
    assert.equal(headers['x-amz-security-token'], 'token')
    assert.match(headers.authorization, /SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,/)
    const other = signedHeaders({ ...request, path: '/a%2520b' }, 'h', { ...scope, keys })
    assert.notEqual(headers.authorization, other.authorization)
    assert.notEqual(
      signedHeaders({ ...request, body: Buffer.from('[]') }, 'h', { ...scope, keys }).authorization,
      headers.authorization,
    )
  })
})
