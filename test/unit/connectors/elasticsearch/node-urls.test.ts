import assert from 'node:assert/strict'
import { it } from 'node:test'
import { nodeUrl } from '../../../../connectors/elasticsearch/node-urls.ts'

const cloudId = (text: string) => `my-deployment:${Buffer.from(text).toString('base64')}`

it('reads URLs and Cloud IDs, and nothing else, as nodes', () => {
  const nodes: Readonly<Record<string, string | null>> = {
    'http://a:9200//': 'http://a:9200',
    'https://a/prefix/': 'https://a/prefix',
    [cloudId('us-east-1.aws.found.io$cec6f261a74bf24c$c6c2ca6d')]: 'https://cec6f261a74bf24c.us-east-1.aws.found.io',
    [cloudId('eu.example.io:9243$abc$')]: 'https://abc.eu.example.io:9243',
    [cloudId('eu.example.io:443$abc')]: 'https://abc.eu.example.io',
    // As the reference takes them: http when no scheme is given.
    'localhost:9200': 'http://localhost:9200',
    'es-1.example.io:9201/': null,
    elasticsearch: 'http://elasticsearch',
    '127.0.0.1:9200': null,
    'my_host:9200': null,
    // Neither a cluster, nor a domain, nor a port; and what would lead somewhere else.
    [cloudId('eu.example.io')]: null,
    [cloudId('localhost$abc')]: null,
    [cloudId('eu.example.io:port$abc')]: null,
    [cloudId('eu.example.io$abc/d@evil.example')]: null,
    'my-deployment:not base64': null,
    'ftp://host:1': null,
    'not a url': null,
  }
  assert.deepEqual(Object.fromEntries(Object.keys(nodes).map((text) => [text, nodeUrl(text)])), nodes)
})
