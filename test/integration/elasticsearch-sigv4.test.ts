/** Requests of the Elasticsearch sink as a domain on AWS sees them. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { it } from 'node:test'
import { authorization } from '../../connectors/elasticsearch/sigv4.ts'
import { ElasticsearchSinkTask } from '../../connectors/elasticsearch/task.ts'
import { validateConnection } from '../../connectors/elasticsearch/validate.ts'
import { elasticsearchConfig, offsets, sinkContext, sinkRecord } from '../unit/connectors/elasticsearch/support.ts'

const keys = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'hush-hush', sessionToken: 'temporary' }

/** As the service does it: from what came over the wire. */
async function isSigned(request: IncomingMessage, body: Buffer): Promise<boolean> {
  const header = String(request.headers.authorization)
  const names = /SignedHeaders=([^,]*),/.exec(header)?.[1]?.split(';') ?? []
  const headers = Object.fromEntries(names.map((name) => [name, String(request.headers[name])]))
  const [path = '', query = ''] = (request.url ?? '').split('?')
  const date = String(request.headers['x-amz-date'])
  const at = new Date(date.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z'))
  const scope = { region: 'eu-central-1', service: 'es', keys, at }
  const expected = authorization({ method: request.method ?? '', path, query, headers, body }, scope)
  return header === expected && Math.abs(Date.now() - at.getTime()) < 60_000 && names.includes('host')
}

it('signs every request of a task with auth.type=sigv4', async () => {
  const lines: string[] = []
  const unsigned: string[] = []
  const server = createServer((request, response) => {
    void buffer(request).then(async (body) => {
      const line = `${request.method} ${request.url}`
      lines.push(line)
      if (!(await isSigned(request, body))) unsigned.push(line)
      response.setHeader('content-type', 'application/json')
      const answer = line.includes('_bulk')
        ? '{"errors":false,"items":[{"index":{"status":201}}]}'
        : '{"version":{"number":"2.19.0","distribution":"opensearch"}}'
      response.statusCode = request.method === 'HEAD' ? 404 : 200
      response.end(request.method === 'HEAD' ? undefined : answer)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    const context = sinkContext()
    const config = elasticsearchConfig({
      'connection.url': `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      'auth.type': 'sigv4',
      'aws.region': 'eu-central-1',
      'aws.access.key.id': keys.accessKeyId,
      'aws.secret.access.key': keys.secretAccessKey,
      'aws.session.token': keys.sessionToken,
      'schema.ignore': 'true',
    })
    assert.deepEqual(await validateConnection(config), [])
    const task = new ElasticsearchSinkTask()
    await task.start(config, context)
    await task.put([sinkRecord(0, { topic: 'ä topic', key: 'ü', value: { n: 'ß' } })], AbortSignal.timeout(10_000))
    await task.close([])
    assert.equal((await task.preCommit(offsets({ 'ä topic-0': 1n }))).get('ä topic', 0), 1n)
    await task.stop()
    assert.deepEqual(unsigned, [])
    assert.deepEqual(
      lines.map((line) => line.split('?')[0]),
      ['GET /', 'HEAD /%C3%A4%20topic', 'PUT /%C3%A4%20topic', 'POST /_bulk'],
    )
    assert.ok(!context.logger.lines.join().includes('hush'), 'I8')
  } finally {
    server.closeAllConnections()
    server.close()
  }
})
