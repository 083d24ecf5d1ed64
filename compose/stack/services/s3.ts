import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { requireJava } from '../java.ts'
import { fetchArtifacts } from '../maven.ts'
import { startProcess } from '../processes.ts'
import type { Service } from '../service.ts'
import type { StackSettings } from '../settings.ts'

const version = '4.1.0'

// Back ends of other clouds; the file system is all that is used. Saves half of the jars.
const excludedGroups = [
  'com.azure',
  'com.google.cloud',
  'com.github.openstack4j.core',
  'com.github.openstack4j.core.connectors',
  'org.apache.sshd',
  'io.opentelemetry',
]

function dataFolder(settings: StackSettings): string {
  return join(settings.home, 'data', 's3')
}

function writeConfiguration(settings: StackSettings): { readonly properties: string; readonly logback: string } {
  const folder = join(settings.home, 'conf', 's3')
  mkdirSync(folder, { recursive: true })
  const files = { properties: join(folder, 's3.conf'), logback: join(folder, 'logback.xml') }
  const properties = [
    `s3proxy.endpoint=http://127.0.0.1:${settings.ports.s3}`,
    's3proxy.authorization=aws-v2-or-v4',
    `s3proxy.identity=${settings.s3AccessKey}`,
    `s3proxy.credential=${settings.s3SecretKey}`,
    's3proxy.ignore-unknown-headers=true',
    'jclouds.provider=filesystem-nio2',
    'jclouds.identity=unused',
    'jclouds.credential=unused',
    `jclouds.filesystem.basedir=${dataFolder(settings)}`,
    '',
  ]
  writeFileSync(files.properties, properties.join('\n'))
  // Without a configuration of its own Jetty logs at DEBUG.
  writeFileSync(
    files.logback,
    '<configuration><appender name="out" class="ch.qos.logback.core.ConsoleAppender"><encoder>' +
      '<pattern>%d %-5level %logger{20} %msg%n</pattern></encoder></appender>' +
      '<root level="WARN"><appender-ref ref="out"/></root></configuration>\n',
  )
  return files
}

/** S3Proxy over a folder: signatures verified, conditional writes atomic. */
export const s3: Service = {
  name: 's3',
  dependsOn: [],
  needsJava: true,
  readyTimeoutMs: 60_000,
  ports: (settings) => [settings.ports.s3],
  async start(settings) {
    const libs = await fetchArtifacts(settings, 's3', {
      label: `s3proxy-${version}`,
      mode: 'copy',
      excludedGroups,
      artifacts: [
        { group: 'org.gaul', name: 's3proxy', version },
        // The version that comes transitively lacks a class which S3Proxy uses.
        { group: 'com.fasterxml.jackson.core', name: 'jackson-annotations', version: '2.22' },
      ],
    })
    const files = writeConfiguration(settings)
    mkdirSync(dataFolder(settings), { recursive: true })
    return startProcess(settings, {
      service: 's3',
      command: requireJava(17).java,
      args: [
        '-Xmx256m',
        '-XX:+UseSerialGC',
        '-XX:TieredStopAtLevel=1',
        `-Dlogback.configurationFile=${files.logback}`,
        '-cp',
        join(libs, '*'),
        'org.gaul.s3proxy.Main',
        '--properties',
        files.properties,
      ],
      cwd: dataFolder(settings),
      env: process.env,
      port: settings.ports.s3,
      version: `S3Proxy ${version}`,
      stopSignal: 'SIGTERM',
    })
  },
  async probe(settings) {
    const response = await fetch(`http://127.0.0.1:${settings.ports.s3}/`, { signal: AbortSignal.timeout(2000) })
    await response.arrayBuffer()
    return response.status < 500
  },
  variables: (settings) => ({
    TEST_S3_ENDPOINT: `http://127.0.0.1:${settings.ports.s3}`,
    TEST_S3_ACCESS_KEY: settings.s3AccessKey,
    TEST_S3_SECRET_KEY: settings.s3SecretKey,
  }),
  dataFolders: (settings) => [dataFolder(settings)],
}
