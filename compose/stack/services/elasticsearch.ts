import { chownSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { exec } from '../exec.ts'
import { findJava, type JavaHome, requireJava } from '../java.ts'
import { fetchArtifacts } from '../maven.ts'
import { adoptProcess, logPath, type RunRecord } from '../processes.ts'
import { step } from '../progress.ts'
import type { Service } from '../service.ts'
import type { StackSettings } from '../settings.ts'
import { makeOwnedFolder, serverUser, type UserIds } from '../users.ts'

/** A server release and the Java it needs. */
interface Release {
  readonly version: string
  readonly minimumJava: number
  readonly launcher: 'server-launcher' | 'cli-launcher'
}

const releases: readonly Release[] = [
  { version: '9.4.3', minimumJava: 21, launcher: 'server-launcher' },
  { version: '8.19.21', minimumJava: 17, launcher: 'cli-launcher' },
]

/** The newest release that a Java of this host can run, or the one that SLUICE_STACK_ELASTICSEARCH names. */
function chooseRelease(): { readonly release: Release; readonly java: JavaHome } {
  const named = process.env['SLUICE_STACK_ELASTICSEARCH']
  for (const release of releases) {
    if (named !== undefined && named !== release.version) continue
    const java = findJava().find((candidate) => candidate.version >= release.minimumJava)
    if (java !== undefined) return { release, java }
  }
  return { release: { version: '8.19.21', minimumJava: 17, launcher: 'cli-launcher' }, java: requireJava(17) }
}

function dataRoot(settings: StackSettings): string {
  return join(settings.dataHome, 'data', 'elasticsearch')
}

const jvmOptions = ['-Xms128m', '-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-XX:-AlwaysPreTouch', '']

/** What a node has beyond the stack's own: lines of `elasticsearch.yml`, and files beside it. */
export interface NodeExtras {
  readonly yaml: readonly string[]
  readonly files: Readonly<Record<string, string>>
}

interface Folders {
  readonly home: string
  readonly conf: string
  readonly tmp: string
  readonly pidFile: string
}

function prepareFolders(settings: StackSettings, home: string, user: UserIds | undefined, extras: NodeExtras): Folders {
  const folder = dataRoot(settings)
  const folders = { home, conf: join(folder, 'conf'), tmp: join(folder, 'tmp'), pidFile: join(folder, 'server.pid') }
  for (const path of [folder, folders.conf, folders.tmp, join(folder, 'data'), join(folder, 'logs')])
    makeOwnedFolder(path, user)
  const yaml = [
    'cluster.name: sluice',
    'node.name: local',
    'discovery.type: single-node',
    'network.host: 127.0.0.1',
    `http.port: ${settings.ports.elasticsearch}`,
    `transport.port: ${settings.ports.elasticsearchTransport}`,
    `path.data: ${join(folder, 'data')}`,
    `path.logs: ${join(folder, 'logs')}`,
    'cluster.routing.allocation.disk.threshold_enabled: false',
    ...extras.yaml,
    '',
  ]
  const files: Readonly<Record<string, string>> = {
    'elasticsearch.yml': yaml.join('\n'),
    // Without it the server may read all of the system's temporary folder, and refuses to start from inside of it.
    'jvm.options': [`-Djava.io.tmpdir=${folders.tmp}`, ...jvmOptions].join('\n'),
    'log4j2.properties': readFileSync(join(home, 'config', 'log4j2.properties'), 'utf8'),
    ...extras.files,
  }
  for (const [name, content] of Object.entries(files)) {
    const path = join(folders.conf, name)
    writeFileSync(path, content)
    if (user !== undefined) chownSync(path, user.uid, user.gid)
  }
  rmSync(folders.pidFile, { force: true })
  return folders
}

function launchArguments(release: Release, folders: Folders): readonly string[] {
  const { home, conf, pidFile } = folders
  if (release.launcher === 'server-launcher') {
    const classPath = join(home, 'lib', 'tools', 'server-launcher', '*')
    return ['-cp', classPath, 'org.elasticsearch.server.launcher.ServerLauncher', '-d', '-p', pidFile]
  }
  return [
    '-Dcli.name=server',
    '-Dcli.libs=lib/tools/server-cli',
    `-Dcli.script=${join(home, 'bin', 'elasticsearch')}`,
    `-Des.path.home=${home}`,
    `-Des.path.conf=${conf}`,
    '-Des.distribution.type=tar',
    '-Des.java.type=ES_JAVA_HOME',
    '-cp',
    `${join(home, 'lib', '*')}:${join(home, 'lib', 'cli-launcher', '*')}`,
    'org.elasticsearch.launcher.CliToolLauncher',
    '-d',
    '-p',
    pidFile,
  ]
}

async function launch(settings: StackSettings, home: string, extras: NodeExtras): Promise<RunRecord> {
  const { release, java } = chooseRelease()
  const user = serverUser()
  const folders = prepareFolders(settings, home, user, extras)
  const env = {
    PATH: process.env['PATH'],
    LANG: process.env['LANG'],
    JAVA: java.java,
    ES_JAVA_HOME: java.home,
    ES_HOME: home,
    ES_PATH_CONF: folders.conf,
    ES_DISTRIBUTION_TYPE: 'tar',
    JAVA_TYPE: 'ES_JAVA_HOME',
    CLI_JAVA_OPTS: '-Xmx64m -XX:+UseSerialGC -XX:TieredStopAtLevel=1',
    ES_TMPDIR: folders.tmp,
  }
  // The launcher returns when the server is up and leaves its pid; the server itself stays behind as a daemon.
  const output = await exec(java.java, launchArguments(release, folders), {
    cwd: home,
    env,
    ...(user === undefined ? {} : { user }),
  })
  mkdirSync(join(settings.home, 'logs'), { recursive: true })
  writeFileSync(logPath(settings, 'elasticsearch'), output)
  return adoptProcess(settings, {
    service: 'elasticsearch',
    pid: Number(readFileSync(folders.pidFile, 'utf8').trim()),
    port: settings.ports.elasticsearch,
    version: `Elasticsearch ${release.version}`,
    stopSignal: 'SIGTERM',
    logFile: join(dataRoot(settings), 'logs', 'sluice.log'),
  })
}

const withoutSecurity: NodeExtras = { yaml: ['xpack.security.enabled: false'], files: {} }

/** Starts one node on the data of the settings' folder; the small distribution that its own integration tests use. */
export async function startElasticsearch(settings: StackSettings, extras = withoutSecurity): Promise<RunRecord> {
  const { release } = chooseRelease()
  const unpacked = await fetchArtifacts(settings, 'elasticsearch', {
    label: `elasticsearch-${release.version}`,
    mode: 'unpack',
    artifacts: [
      {
        group: 'org.elasticsearch.distribution.integ-test-zip',
        name: 'elasticsearch',
        version: release.version,
        type: 'zip',
      },
    ],
  })
  step('elasticsearch', `starting ${release.version} …`)
  return launch(settings, join(unpacked, `elasticsearch-${release.version}`), extras)
}

/** Elasticsearch, one node without security. */
export const elasticsearch: Service = {
  name: 'elasticsearch',
  dependsOn: [],
  needsJava: true,
  readyTimeoutMs: 120_000,
  ports: (settings) => [settings.ports.elasticsearch, settings.ports.elasticsearchTransport],
  start: (settings) => startElasticsearch(settings),
  async probe(settings) {
    const url = `http://127.0.0.1:${settings.ports.elasticsearch}/_cluster/health`
    const response = await fetch(url, { signal: AbortSignal.timeout(2000) })
    const body = (await response.json()) as { readonly status?: string }
    return response.ok && (body.status === 'green' || body.status === 'yellow')
  },
  variables: (settings) => ({ TEST_ES_URL: `http://127.0.0.1:${settings.ports.elasticsearch}` }),
  dataFolders: (settings) => [dataRoot(settings)],
}
