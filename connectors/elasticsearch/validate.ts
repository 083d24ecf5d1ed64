import { type ConfigProblem, toError } from '../../worker/api/errors.ts'
import { openConnection, type ServerConnection } from './client.ts'
import type { ElasticsearchSinkConfig } from './config-options.ts'
import { usesDataStreams } from './config-rules.ts'
import { parseResourceMapping } from './config-validators.ts'
import { statusOf } from './errors.ts'

/**
 * Checks that the topics are those that are mapped, then against the server: that it answers, its version, and that
 * mapped resources exist.
 * @param raw the whole connector config, for its topics
 */
export async function validateConnection(
  config: ElasticsearchSinkConfig,
  raw: Readonly<Record<string, string | null>> = {},
): Promise<readonly ConfigProblem[]> {
  const unmatched = checkTopics(config, raw['topics'] ?? '')
  if (unmatched.length > 0) return unmatched
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

/** Topics and mapping name the same topics; with `topics.regex` that is known only when a record comes. */
function checkTopics(config: ElasticsearchSinkConfig, topics: string): readonly ConfigProblem[] {
  const option = 'topic.to.external.resource.mapping'
  const named = topics.split(',').map((topic) => topic.trim())
  if (config['external.resource.usage'].toLowerCase() === 'disabled' || topics.trim() === '') return []
  const mapped = [...parseResourceMapping(config[option]).keys()]
  const missing = named.find((topic) => !mapped.includes(topic))
  if (missing !== undefined) {
    return [{ option, message: `Topic '${missing}' is not mapped to any resource. Add it to ${option}.` }]
  }
  const extra = mapped.find((topic) => !named.includes(topic))
  if (extra === undefined) return []
  return [{ option, message: `Topic '${extra}' is mapped but not among topics. Add it there or take it away here.` }]
}

async function checkServer(connection: ServerConnection, config: ElasticsearchSinkConfig): Promise<ConfigProblem[]> {
  let info: unknown
  try {
    info = await connection.request({ method: 'GET', path: '/' })
  } catch (error) {
    const status = statusOf(error)
    // A server that answers but does not show its banner, to this user or at all, may still be written to.
    if (status === 403 || status === 404 || status === 405) return []
    const detail = status === null ? toError(error).name : `HTTP ${status}`
    const message = `Could not connect to Elasticsearch (${detail}). Check the URL, the server and the credentials.`
    const options = [
      'connection.url',
      ...(config['connection.username'] ? ['connection.username', 'connection.password'] : []),
    ]
    return options.map((option) => ({ option, message }))
  }
  const version = versionOf(info)
  const [major = 0, minor = 0] = (version ?? '').split('.').map(Number)
  if (version === null || openSearch(info)) return []
  if (major < 7) return [{ option: 'connection.url', message: `Elasticsearch ${version} is too old: 7.0.0 is needed` }]
  if (usesDataStreams(config) && major === 7 && minor < 9) {
    return [{ option: 'connection.url', message: `Elasticsearch ${version} has no data streams: 7.9.0 is needed` }]
  }
  return []
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
  const problems: ConfigProblem[] = []
  for (const resource of parseResourceMapping(config['topic.to.external.resource.mapping']).values()) {
    const path = `${usage.startsWith('alias') ? '/_alias' : ''}/${encodeURIComponent(resource)}`
    const found = await connection.request({ method: 'HEAD', path }).catch(() => false)
    if (found === true) continue
    problems.push({
      option: 'topic.to.external.resource.mapping',
      message: `The ${usage.replace('_', ' of ')} '${resource}' does not exist`,
    })
  }
  return problems
}
