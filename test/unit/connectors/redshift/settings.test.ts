import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { openObjectStore } from '../../../../connectors/common/s3-client.ts'
import { redshiftSinkConfig } from '../../../../connectors/redshift/config.ts'
import { copyStatement } from '../../../../connectors/redshift/copy-statement.ts'
import { manifestAddress, manifestBody } from '../../../../connectors/redshift/manifest.ts'
import { apiOptions, loaderOptions, storeOptions } from '../../../../connectors/redshift/settings.ts'
import { parseConfig } from '../../../../worker/config/config-def.ts'
import { fileMessage } from './file-message.ts'

const messages = [fileMessage(0, 9)]
const manifest = manifestAddress('', { table: 'ad_click', batch: 'b', messages })
const load = {
  target: { schema: 'public', table: 'ad_click' },
  ledger: { schema: 'public', table: 'kc_ledger_ad_click' },
  messages,
  manifest,
  batch: 'b',
  connector: 'warehouse',
}
const plain = {
  contentType: 'application/json',
  cannedAcl: null,
  encryption: null,
  kmsKeyId: null,
  customerKey: null,
  contentMd5: false,
  onlyIfAbsent: false,
}

/** An S3 server of one answer; `scope` resolves with the region and service that the request is signed for. */
async function openS3() {
  const { promise: scope, resolve } = Promise.withResolvers<string>()
  const server = createServer((request, response) => {
    resolve(/Credential=[^/]*\/\d{8}\/([^,]*)/.exec(request.headers.authorization ?? '')?.[1] ?? '')
    request.resume().once('end', () => response.setHeader('etag', '"abc"').end())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { endpoint, scope, [Symbol.asyncDispose]: async () => server.close().closeAllConnections() }
}

for (const { option, region, clause } of [
  { option: 'eu-west-1', region: 'eu-west-1', clause: ` REGION 'eu-west-1'` },
  { option: '', region: 'us-east-1', clause: '' },
]) {
  test(`copy.region=${option}: COPY and the manifest that it reads are of region ${region}, the Data API is not moved`, async () => {
    await using s3 = await openS3()
    const config = parseConfig(redshiftSinkConfig, {
      'aws.region': 'us-east-1',
      'redshift.workgroup.name': 'w',
      'redshift.database': 'dev',
      'aws.access.key.id': 'id',
      'aws.secret.access.key': 'secret',
      's3.endpoint': s3.endpoint,
      'copy.region': option,
    })
    assert.equal(apiOptions(config).region, 'us-east-1')
    const statement = copyStatement('t', load, loaderOptions(config, 'warehouse').copy)
    assert.equal(/ REGION '[^']*'/.exec(statement)?.[0] ?? '', clause)
    assert.ok(statement.includes(`'s3://${manifest.bucket}/${manifest.key}'`), statement)
    const store = await openObjectStore(storeOptions(config))
    await store.put(manifest, manifestBody(messages), plain)
    assert.equal(await s3.scope, `${region}/s3/aws4_request`)
    await store.close()
  })
}
