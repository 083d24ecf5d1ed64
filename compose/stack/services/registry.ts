import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { findJava, requireJava } from '../java.ts'
import { fetchArtifacts } from '../maven.ts'
import { startProcess } from '../processes.ts'
import type { Service } from '../service.ts'
import type { StackSettings } from '../settings.ts'

function workFolder(settings: StackSettings): string {
  return join(settings.home, 'data', 'registry')
}

/** Apicurio, a schema registry with Confluent's REST API; started on request only (`stack -- up registry`). */
export const registry: Service = {
  name: 'registry',
  dependsOn: [],
  needsJava: true,
  readyTimeoutMs: 120_000,
  ports: (settings) => [settings.ports.registry, settings.ports.registryManagement],
  async start(settings) {
    const java = findJava().find((candidate) => candidate.version >= 21) ?? requireJava(21)
    const version = '3.3.3'
    const folder = await fetchArtifacts(settings, 'registry', {
      label: `apicurio-${version}`,
      mode: 'unpack',
      artifacts: [{ group: 'io.apicurio', name: 'apicurio-registry-app', version, type: 'tar.gz', classifier: 'all' }],
    })
    mkdirSync(workFolder(settings), { recursive: true })
    return startProcess(settings, {
      service: 'registry',
      command: java.java,
      args: [
        '-Xmx256m',
        '-Dquarkus.http.host=127.0.0.1',
        `-Dquarkus.http.port=${settings.ports.registry}`,
        '-Dquarkus.management.host=127.0.0.1',
        `-Dquarkus.management.port=${settings.ports.registryManagement}`,
        '-Dapicurio.storage.kind=sql',
        '-Dapicurio.storage.sql.kind=h2',
        '-jar',
        join(folder, 'quarkus-run.jar'),
      ],
      cwd: workFolder(settings),
      env: process.env,
      port: settings.ports.registry,
      version: `Apicurio Registry ${version}`,
      stopSignal: 'SIGTERM',
    })
  },
  async probe(settings) {
    const url = `http://127.0.0.1:${settings.ports.registry}/apis/ccompat/v7/subjects`
    const response = await fetch(url, { signal: AbortSignal.timeout(2000) })
    await response.arrayBuffer()
    return response.ok
  },
  variables: (settings) => ({ TEST_REGISTRY_URL: `http://127.0.0.1:${settings.ports.registry}/apis/ccompat/v7` }),
  dataFolders: (settings) => [workFolder(settings)],
}
