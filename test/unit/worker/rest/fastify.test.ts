import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { nodeHttps } from '../../../../worker/api/node-modules.ts'
import { loadFastify } from '../../../../worker/rest/fastify.ts'

test('Fastify is loaded without TLS', () => {
  const url = new URL('../../../../worker/rest/fastify.ts', import.meta.url).href
  const script = `
    const { loadFastify } = await import(${JSON.stringify(url)})
    const app = loadFastify()({ serverFactory: (serve) => process.getBuiltinModule('node:http').createServer(serve) })
    app.get('/', async () => 'here')
    await app.listen({ port: 0, host: '127.0.0.1' })
    const text = await new Promise((resolve) => {
      process.getBuiltinModule('node:http').get(app.listeningOrigin, (answer) => answer.setEncoding('utf8').on('data', resolve))
    })
    console.log(JSON.stringify({ text, tls: process.moduleLoadList.filter((name) => /^NativeModule (tls|http2)$/.test(name)) }))
    process.exit(0)
  `
  const out = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', env: {} })
  assert.deepEqual(JSON.parse(out), { text: 'here', tls: [] })
})

test('a server that Fastify would have to make is refused, and nobody else gets the stand-in', () => {
  assert.throws(() => loadFastify()({ https: {} }), /made by its serverFactory/)
  assert.throws(() => loadFastify()({ http2: true }), /made by its serverFactory/)
  const server = nodeHttps().createServer()
  assert.equal(typeof server.listen, 'function')
  assert.equal(loadFastify(), loadFastify())
})
