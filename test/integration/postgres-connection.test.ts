import assert from 'node:assert/strict'
import { createPrivateKey } from 'node:crypto'
import { chownSync } from 'node:fs'
import { chmod, copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { CdcTask, PostgresFixture, rowOf } from '../support/postgres-fixture.ts'
import { PrivatePostgres } from '../support/private-postgres.ts'
import { requireService } from '../support/services.ts'
import { type Rewriter, TcpProxy } from '../support/tcp-proxy.ts'

/** Where the stack has a server, this host has its programs. */
const postgres = requireService('postgres')
const tls = (file: string) => fileURLToPath(new URL(`../support/tls/${file}`, import.meta.url))
const table = 'CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)'

/** Reads the snapshot's row and a streamed one: both kinds of connection work. */
async function captures(fixture: PostgresFixture, options: Readonly<Record<string, string>>): Promise<void> {
  await fixture.sql('TRUNCATE t; INSERT INTO t VALUES (1)')
  const task: CdcTask = await fixture.task(null, { ...options, 'slot.drop.on.stop': 'true' })
  await task.take(1)
  await fixture.sql('INSERT INTO t VALUES (2)')
  assert.equal(rowOf((await task.take(1))[0] ?? assert.fail())?.['id'], 2)
  await task.stop()
}

/** Who may connect how; the test's own sessions come by the unix socket. */
const hba = `
local all all trust
hostnossl all plain_only all trust
hostnossl replication plain_only all trust
hostssl all postgres all cert
hostssl all tls_only all trust
host all secret all scram-sha-256
`

suite('connections of the Postgres source', { skip: postgres.skip }, () => {
  let server: PrivatePostgres
  let fixture: PostgresFixture
  let folder: string

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-tls-'))
    server = await PrivatePostgres.open({
      settings: { ssl: 'on', ssl_ca_file: 'root.crt' },
      prepare: async ({ data, user }) => {
        for (const file of ['server.crt', 'server.key', 'root.crt']) {
          await copyFile(tls(file), join(data, file))
          await chmod(join(data, file), 0o600)
          if (user !== undefined) chownSync(join(data, file), user.uid, user.gid)
        }
        await writeFile(join(data, 'pg_hba.conf'), hba)
      },
    })
    fixture = await PostgresFixture.open(server.socketUrl, table)
    for (const role of ['plain_only', 'tls_only', 'secret']) {
      await fixture.sql(`CREATE ROLE ${role} LOGIN SUPERUSER REPLICATION PASSWORD 'pä:ss'`)
    }
  })
  after(async () => {
    await fixture?.[Symbol.asyncDispose]()
    await server?.[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  const by = (user: string, options: Readonly<Record<string, string>> = {}) => ({
    'database.hostname': 'localhost',
    'database.port': String(server.port),
    'database.user': user,
    ...options,
  })

  test('TLS as demanded, and as preferred or allowed where the server wants it', async () => {
    for (const mode of ['require', 'prefer', 'allow'])
      await captures(fixture, by('tls_only', { 'database.sslmode': mode }))
    await assert.rejects(fixture.task(null, by('tls_only', { 'database.sslmode': 'disable' })), {
      code: 'CONNECT_POSTGRES_AUTHENTICATION',
    })
  })

  test('no TLS where the server refuses it, unless it is demanded', async () => {
    for (const mode of ['disable', 'prefer', 'allow'])
      await captures(fixture, by('plain_only', { 'database.sslmode': mode }))
    await assert.rejects(fixture.task(null, by('plain_only', { 'database.sslmode': 'require' })), {
      code: 'CONNECT_POSTGRES_AUTHENTICATION',
    })
  })

  test('verify-ca checks who has signed, verify-full also the name', async () => {
    const verify = (mode: string, root: string, host = 'localhost') =>
      by('tls_only', { 'database.sslmode': mode, 'database.sslrootcert': tls(root), 'database.hostname': host })
    await captures(fixture, verify('verify-full', 'root.crt'))
    await captures(fixture, verify('verify-ca', 'root.crt', '127.0.0.1'))
    const refused = (said: RegExp) => ({ code: 'CONNECT_POSTGRES_CONNECTION', kind: 'fatal', message: said })
    await assert.rejects(
      fixture.task(null, verify('verify-full', 'root.crt', '127.0.0.1')),
      refused(/127\.0\.0\.1.*database\.hostname/s),
    )
    await assert.rejects(
      fixture.task(null, verify('verify-ca', 'other-root.crt')),
      refused(/certificate.*database\.sslrootcert/s),
    )
    await assert.rejects(fixture.task(null, verify('verify-ca', 'no-such.crt')), {
      code: 'CONNECT_CONFIG_INVALID',
      message: /^database\.sslrootcert: .*no-such\.crt/,
    })
  })

  test('a client certificate, its key as PEM, encrypted PEM or PKCS #8 in DER', async () => {
    const key = createPrivateKey(await readFile(tls('client.key')))
    const [der, encrypted] = [join(folder, 'client.pk8'), join(folder, 'client.pem')]
    await writeFile(der, key.export({ type: 'pkcs8', format: 'der' }))
    await writeFile(encrypted, key.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'open' }))
    const certified = { 'database.sslmode': 'require', 'database.sslcert': tls('client.crt') }
    await captures(fixture, by('postgres', { ...certified, 'database.sslkey': tls('client.key') }))
    await captures(fixture, by('postgres', { ...certified, 'database.sslkey': der }))
    await captures(
      fixture,
      by('postgres', { ...certified, 'database.sslkey': encrypted, 'database.sslpassword': 'open' }),
    )
    await assert.rejects(fixture.task(null, by('postgres', { 'database.sslmode': 'require' })), {
      code: 'CONNECT_POSTGRES_AUTHENTICATION',
    })
  })

  test('SCRAM: the right password, a wrong one, and one from the file that libpq reads', async () => {
    await captures(fixture, by('secret', { 'database.password': 'pä:ss' }))
    await assert.rejects(fixture.task(null, by('secret', { 'database.password': 'wrong' })), {
      code: 'CONNECT_POSTGRES_AUTHENTICATION',
      kind: 'fatal',
    })
    const file = join(folder, 'pgpass')
    await writeFile(file, 'localhost:*:*:secret:p\u00e4\\:ss\n', { mode: 0o600 })
    process.env['PGPASSFILE'] = file
    try {
      await captures(fixture, by('secret', { 'database.password': '' }))
    } finally {
      delete process.env['PGPASSFILE']
    }
  })

  test('IPv6 and the folder of a unix socket are hosts', async () => {
    for (const host of ['::1', '[::1]']) await captures(fixture, by('tls_only', { 'database.hostname': host }))
    await captures(fixture, by('postgres', { 'database.hostname': server.socketFolder, 'database.sslmode': 'disable' }))
  })

  test('settings of the driver hold in every session, but for those that the text of values depends on', async () => {
    const options = (name: string) =>
      by('plain_only', { [name]: '-c work_mem=5MB -c datestyle=German', 'database.sslmode': 'disable' })
    const statements = `DO $$ BEGIN ASSERT current_setting('work_mem') = '5MB' AND current_setting('datestyle') LIKE 'ISO%'; END $$`
    for (const name of ['driver.options', 'database.options']) {
      await captures(fixture, { ...options(name), 'database.initial.statements': statements.replaceAll(';', ';;') })
    }
    // Without them the assertion does not hold: it has been seen to run.
    const without = {
      ...options('driver.options'),
      'driver.options': '',
      'database.initial.statements': statements.replaceAll(';', ';;'),
    }
    await assert.rejects(fixture.task(null, without), /database\.initial\.statements/)
  })

  test('a pooler is refused by name', async () => {
    await using proxy = await TcpProxy.open({ host: '127.0.0.1', port: server.port }, () => new OtherProcessId())
    const options = by('plain_only', {
      'database.port': String(proxy.port),
      'database.hostname': '127.0.0.1',
      'database.sslmode': 'disable',
    })
    await assert.rejects(fixture.task(null, options), { code: 'CONNECT_POSTGRES_POOLER', kind: 'fatal' })
  })
})

/** Tells another process id than the server's, as poolers do. */
class OtherProcessId implements Rewriter {
  push(chunk: Buffer): Buffer {
    const at = chunk.indexOf(Buffer.from([0x4b, 0, 0, 0, 12]))
    if (at >= 0) chunk.writeInt32BE(chunk.readInt32BE(at + 5) + 1, at + 5)
    return chunk
  }
}
