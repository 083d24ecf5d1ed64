import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { parseProperties } from '../../../worker/config/properties.ts'
import { findHelmTools, kubernetesVersion } from '../../support/helm-tools.ts'

const run = promisify(execFile)
const chart = resolve(import.meta.dirname, '../../../helm/sluice')
const tools = await findHelmTools()
const skip = 'missing' in tools ? tools.missing : false
const { helm, validate } = 'missing' in tools ? { helm: '', validate: '' } : tools

const values = `
worker:
  producer.buffer.memory: 33554432
  rest.extension.note: 'a\\.b'
connectors:
  search-source:
    connector.class: io.debezium.connector.postgresql.PostgresConnector
    max.batch.size: 20000000
    tombstones.on.delete: true
    database.password: \${env:PGPASSWORD}
  files.v1:
    connector.class: S3
extraEnv:
  - name: PGPASSWORD
    valueFrom: { secretKeyRef: { name: pg, key: password } }
secretMounts:
  - { name: pg, secretName: pg, mountPath: /etc/sluice/secrets/pg }
`

describe('Helm chart', { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-helm-'))
  const valuesFile = join(folder, 'values.yaml')
  writeFileSync(valuesFile, values)
  after(() => rmSync(folder, { recursive: true, force: true }))

  const template = async (...args: string[]): Promise<string> => {
    const { stdout } = await run(helm, ['template', 'r', chart, '--kube-version', `${kubernetesVersion}.0`, ...args])
    return stdout
  }

  /** The indented block under `key: |` in rendered text. */
  const block = (text: string, key: string): string => {
    const lines = text.split('\n')
    const start = lines.findIndex((line) => line.trim() === `${key}: |`)
    assert.notEqual(start, -1, `${key} is rendered`)
    const end = lines.findIndex((line, index) => index > start && line.trim() !== '' && !line.startsWith('    '))
    return lines.slice(start + 1, end === -1 ? undefined : end).join('\n')
  }

  test('lints without warnings', async () => {
    const { stdout } = await run(helm, ['lint', chart, '--strict'])
    assert.match(stdout, /1 chart\(s\) linted, 0 chart\(s\) failed/)
  })

  for (const [name, args] of [
    ['default values', []],
    ['connectors, secrets and variables', ['-f', valuesFile]],
  ] as const) {
    test(`rendered manifests fit the Kubernetes schemas: ${name}`, async () => {
      const file = join(folder, `${args.length}.yaml`)
      writeFileSync(file, await template(...args))
      const { stdout, stderr } = await run(validate, ['-k', kubernetesVersion, '--strict', file])
      assert.match(stdout + stderr, /statefulset\/r-sluice/)
    })
  }

  test('worker options reach worker.properties unchanged', async () => {
    const properties = parseProperties(
      block(await template('-f', valuesFile), 'worker.properties').replaceAll(/^ {4}/gm, ''),
    )
    assert.equal(properties['producer.buffer.memory'], '33554432', 'no exponent')
    assert.equal(properties['rest.extension.note'], 'a\\.b')
    assert.equal(properties['scheduled.rebalance.max.delay.ms'], '0')
    assert.equal(properties['bootstrap.servers'], 'kafka:9092')
  })

  test('connectors become JSON files that are passed on the command line', async () => {
    const text = await template('-f', valuesFile)
    assert.deepEqual(JSON.parse(block(text, 'search-source.json')), {
      name: 'search-source',
      config: {
        'connector.class': 'io.debezium.connector.postgresql.PostgresConnector',
        'max.batch.size': '20000000',
        'tombstones.on.delete': 'true',
        'database.password': '${env:PGPASSWORD}',
      },
    })
    assert.match(
      text,
      /- distributed\n\s+- \/etc\/sluice\/worker\.properties\n\s+- \/etc\/sluice\/connectors\/files\.v1\.json\n/,
    )
  })

  test('a grace period shorter than the tasks need is refused, as are unknown values (I9)', async () => {
    await assert.rejects(
      template('--set', 'terminationGracePeriodSeconds=20'),
      /must be longer than task\.shutdown\.graceful\.timeout\.ms/,
    )
    await assert.rejects(template('--set', 'replicas=3'), /replicas/)
    await assert.rejects(template('--set', 'worker.bootstrap\\.servers='), /bootstrap\.servers/)
  })
})
