import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { startProcess } from '../processes.ts'
import type { Service } from '../service.ts'

/** The Redshift Data API emulator over this stack's PostgreSQL and S3 server. */
export const redshift: Service = {
  name: 'redshift',
  dependsOn: ['postgres', 's3'],
  needsJava: false,
  readyTimeoutMs: 60_000,
  ports: (settings) => [settings.ports.redshift],
  start(settings) {
    return startProcess(settings, {
      service: 'redshift',
      command: process.execPath,
      args: [join(settings.root, 'test', 'support', 'redshift', 'main.ts')],
      cwd: settings.root,
      env: {
        ...process.env,
        REDSHIFT_PORT: String(settings.ports.redshift),
        REDSHIFT_PG_URL: `postgres://postgres@127.0.0.1:${settings.ports.postgres}/postgres`,
        REDSHIFT_S3_ENDPOINT: `http://127.0.0.1:${settings.ports.s3}`,
        REDSHIFT_S3_ACCESS_KEY: settings.s3AccessKey,
        REDSHIFT_S3_SECRET_KEY: settings.s3SecretKey,
      },
      port: settings.ports.redshift,
      version: 'Redshift Data API emulator',
      stopSignal: 'SIGTERM',
    })
  },
  async probe(settings) {
    const url = `http://127.0.0.1:${settings.ports.redshift}/_admin/health`
    const response = await fetch(url, { signal: AbortSignal.timeout(2000) })
    await response.arrayBuffer()
    return response.ok
  },
  variables: (settings) => ({ TEST_REDSHIFT_ENDPOINT: `http://127.0.0.1:${settings.ports.redshift}` }),
  isOutdated(settings, record) {
    const folder = join(settings.root, 'test', 'support', 'redshift')
    const startedAt = Date.parse(record.startedAt)
    return readdirSync(folder).some((name) => statSync(join(folder, name)).mtimeMs > startedAt)
  },
  // Its rows live in the PostgreSQL server's data.
  dataFolders: () => [],
}
