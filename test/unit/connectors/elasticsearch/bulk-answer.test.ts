import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { createServer } from 'node:http'
import { describe, it } from 'node:test'
import { BulkSuccess, bulkQuery } from '../../../../connectors/elasticsearch/bulk-answer.ts'
import { BulkRequests } from '../../../../connectors/elasticsearch/bulk-requests.ts'
import { openConnection } from '../../../../connectors/elasticsearch/client.ts'
import { Delivery } from '../../../../connectors/elasticsearch/delivery.ts'
import { elasticsearchConfig, sinkContext } from './support.ts'

const item = (status: number, error = '') => `{"index":{"status":${status}${error}}}`
const answer = (errors: boolean, ...items: readonly string[]) => `{"errors":${errors},"items":[${items.join()}]}`
const refused = item(400, ',"error":{"type":"document_parsing_exception","reason":"\\"status\\":"}')

/** Sends a bulk request to a server that answers `body`. */
async function outcomeOf(body: string, actions: number) {
  const paths: (string | undefined)[] = []
  const server = createServer((request, response) => {
    paths.push(request.url)
    request.resume().on('end', () => response.setHeader('content-type', 'application/json').end(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  ok(typeof address === 'object' && address !== null)
  const config = elasticsearchConfig({ 'connection.url': `http://127.0.0.1:${address.port}` })
  const connection = await openConnection(config)
  const { clock, logger, metrics, report } = sinkContext()
  try {
    const delivery = new Delivery({ config, connection, clock, logger, metrics, report, recreate: async () => {} })
    ok(delivery.requests instanceof BulkRequests)
    return await delivery.requests.bulk(Buffer.from('{}\n'), actions, 1)
  } finally {
    await connection.close()
    server.close()
    deepEqual(paths, [`/_bulk?${bulkQuery}`])
  }
}

describe('the answer to a bulk request', () => {
  it('is only counted when nothing failed', async () => {
    equal(BulkSuccess.of(answer(false))?.items, 0)
    const body = answer(false, item(201), '{"delete":{"status":404}}', item(200))
    equal(BulkSuccess.of(body)?.items, 3)
    deepEqual(await outcomeOf(body, 3), { kind: 'answered', errors: false, items: [] })
  })

  it('is read when something failed, or when it looks otherwise', async () => {
    const items = [{ status: 201 }, JSON.parse(refused).index]
    deepEqual(await outcomeOf(answer(true, item(201), refused), 2), { kind: 'answered', errors: true, items })
    const spaced = '{"items": [{"index": {"status": 201}}], "errors": false}'
    deepEqual(await outcomeOf(spaced, 1), { kind: 'answered', errors: false, items: [] })
    for (const text of [answer(true, refused), spaced, answer(false, item(201)).slice(0, -1), '{"docs":[]}', '']) {
      equal(BulkSuccess.of(text), null)
    }
  })

  it('fails the task when it does not have one item per action (I1)', async () => {
    for (const body of [answer(false, item(201)), answer(true, item(201)), '{"errors":false}']) {
      await rejects(outcomeOf(body, 2), { code: 'CONNECT_ES_REQUEST', message: /one item per action/ })
    }
  })
})
