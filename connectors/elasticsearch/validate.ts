import { type ConfigProblem, toError } from '../../worker/api/errors.ts'
import { openConnection, type ServerConnection } from './client.ts'
import type { ElasticsearchSinkConfig } from './config-options.ts'
import { usesDataStreams } from './config-rules.ts'
import { parseResourceMapping } from './config-validators.ts'
import { diagnosisOf, reasonOf, statusOf } from './errors.ts'

/** Checks against the server: that it answers, its version, and that mapped resources exist. */
export async function validateConnection(config: ElasticsearchSinkConfig): Promise<readonly ConfigProblem[]> {
  let connection: ServerConnection
  try {
    connection = await openConnection(config)
  } catch (error) {
    return [{ option: 'connection.url', message: `Could not create a client: ${toError(error).message}` }]
  }
  try {
    const problems = await checkServer(connection, config)
    return problems.length > 0 ? problems : await checkResources(connection, config)
  } finally {
    await connection.close()
  }
}

async function checkServer(connection: ServerConnection, config: ElasticsearchSinkConfig): Promise<ConfigProblem[]> {
  let info: unknown
  try {
    info = await connection.request({ method: 'GET', path: '/' })
  } catch (error) {
    const status = statusOf(error)
    // A server that answers but does not show its banner: to this user, or at all, as Elasticsearch's smallest
    // distribution (405) and serverless collections of AWS (404, which other servers say to what they do not know).
    const isCollection = config['auth.type'].toLowerCase() === 'sigv4'
    if (status === 403 || status === 405 || (status === 404 && isCollection)) return []
    const message = `Could not connect to Elasticsearch (${reasonOf(error)}).`
    // The reference has a second error on the URL, of the client that it cannot make then.
    const remedy =
      diagnosisOf(error) ??
      'Check the URL, the server, the credentials, TLS and the proxy, as far as there are any: the cluster may be unreachable for now.'
    return [
      ...connectionOptions(config).map((option) => ({ option, message })),
      { option: 'connection.url', message: remedy },
    ]
  }
  const version = versionOf(info)
  if (version === null) {
    const message = 'What answers there is neither Elasticsearch nor OpenSearch: check the host, the port and the path.'
    return [{ option: 'connection.url', message }]
  }
  if (openSearch(info)) return []
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major < 7) return [{ option: 'connection.url', message: `Elasticsearch ${version} is too old: 7.0.0 is needed` }]
  if (usesDataStreams(config) && major === 7 && minor < 9) {
    const message = `Elasticsearch ${version} has no data streams: 7.9.0 is needed`
    return ['connection.url', 'data.stream.type', 'data.stream.dataset'].map((option) => ({ option, message }))
  }
  return []
}

/** What a server that cannot be reached may be due to. */
function connectionOptions(config: ElasticsearchSinkConfig): readonly string[] {
  const hasProxy = config['proxy.host'] !== ''
  return [
    'connection.url',
    ...(config['connection.username'] === null ? [] : ['connection.username', 'connection.password']),
    ...(config['elastic.security.protocol'].toUpperCase() === 'SSL' ? ['elastic.security.protocol'] : []),
    ...(hasProxy ? ['proxy.host', 'proxy.port'] : []),
    ...(hasProxy && config['proxy.username'] !== '' ? ['proxy.username', 'proxy.password'] : []),
  ]
}

function versionOf(info: unknown): string | null {
  const version = memberOf(info, 'version')
  const number = memberOf(version, 'number')
  return typeof number === 'string' ? number : null
}

function openSearch(info: unknown): boolean {
  return memberOf(memberOf(info, 'version'), 'distribution') === 'opensearch'
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}

async function checkResources(
  connection: ServerConnection,
  config: ElasticsearchSinkConfig,
): Promise<readonly ConfigProblem[]> {
  const usage = config['external.resource.usage'].toLowerCase()
  if (usage === 'disabled') return []
  const option = 'topic.to.external.resource.mapping'
  for (const resource of parseResourceMapping(config[option]).values()) {
    const path = `${usage.startsWith('alias') ? '/_alias' : ''}/${encodeURIComponent(resource)}`
    const what = `${usage.replace('_', ' of ')} '${resource}'`
    try {
      if ((await connection.request({ method: 'HEAD', path })) === true) continue
    } catch (error) {
      const why = diagnosisOf(error)
      const message = `Could not find out whether the ${what} exists (${reasonOf(error)}).`
      return [{ option, message: why === null ? message : `${message} ${why}` }]
    }
    return [{ option, message: `The ${what} does not exist. Create it, or correct its name.` }]
  }
  return []
}
