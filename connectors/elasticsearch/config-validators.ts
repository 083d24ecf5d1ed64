import { existsSync } from 'node:fs'
import { oneOfIgnoringCase, type Recommender, type Validator } from '../../worker/api/config.ts'
import { compileNameFormat } from './index-name-format.ts'
import { nodeUrl } from './node-urls.ts'

/** Values that `config/validate` proposes; others may be right, too. */
export function recommends(...values: readonly string[]): Recommender {
  return { validValues: () => values, visible: () => true }
}

/** One of these words in any case, which `config/validate` proposes. */
export function choice(...words: readonly string[]): { readonly valid: Validator; readonly recommender: Recommender } {
  return { valid: oneOfIgnoringCase(...words), recommender: recommends(...words) }
}

/** Every element is an http or https URL, `host:port`, or a Cloud ID. */
export const urlList: Validator = {
  description: 'list of valid URIs',
  check: (_, value) => {
    const urls = value as readonly string[] | null
    if (urls === null || urls.length === 0) return 'At least one URL is needed, e.g. http://localhost:9200'
    return urls.some((url) => nodeUrl(url) === null)
      ? 'The provided url list is invalid: each element must look like http://host:port or host:port, or be a Cloud ID'
      : null
  },
}

/** The dataset or the namespace of a data stream; its type is anybody's. */
export const dataStreamPart: Validator = {
  description: 'lower-case name of at most 100 characters without \\ / * ? " < > | space , # - :',
  check: (_, value) => {
    const text = String(value ?? '')
    if (text.length > 100) return 'must be at most 100 characters long'
    if (text !== text.toLowerCase()) return 'must be all lowercase'
    return /[\\/*?"<>| ,#\-:]/.test(text) ? 'must not contain any of \\ / * ? " < > | space , # - :' : null
  },
}

/** What is wrong with pairs `topic:resource`; each topic and each resource stands in one of them. */
export function resourceMappingProblem(pairs: readonly string[]): string | null {
  const topics = new Set<string>()
  const resources = new Set<string>()
  for (const pair of pairs) {
    const [topic = '', resource = '', ...rest] = pair.split(':').map((part) => part.trim())
    if (topic === '' || resource === '' || rest.length > 0) return `${pair} is not of the form topic:resource`
    if (topics.has(topic)) return `topic ${topic} is mapped twice`
    if (resources.has(resource)) return `resource ${resource} is mapped twice`
    topics.add(topic)
    resources.add(resource)
  }
  return null
}

export const keytabPath: Validator = {
  description: 'existing file with the extension .keytab',
  check: (_, value) => {
    if (value === null) return null
    const path = String(value)
    if (!path.endsWith('.keytab')) return 'The provided path must end with .keytab'
    return existsSync(path) ? null : 'The provided keytab file does not exist'
  },
}

export const nameFormat: Validator = {
  description: 'template of ${topic}, ${partition}, ${timestamp:yyyy-MM-dd}, ${field:a.b}, ${header:x}',
  check: (_, value) => {
    const format = compileNameFormat(String(value ?? ''))
    return typeof format === 'string' ? format : null
  },
}

/** Topic → resource of `topic.to.external.resource.mapping`. */
export function parseResourceMapping(pairs: readonly string[]): ReadonlyMap<string, string> {
  return new Map(
    pairs.map((pair) => {
      const colon = pair.indexOf(':')
      return [pair.slice(0, colon).trim(), pair.slice(colon + 1).trim()]
    }),
  )
}

/** Pairs `topic:path` with one path per topic. */
export const topicFields: Validator = {
  description: 'list of topic:field.path',
  check: (_, value) => {
    const topics = new Set<string>()
    for (const pair of value as readonly string[]) {
      const [topic = '', path = '', ...rest] = pair.split(':').map((part) => part.trim())
      if (topic === '' || rest.length > 0 || path.split('.').includes('')) {
        return `${pair} is not of the form topic:field.path`
      }
      if (topics.has(topic)) return `topic ${topic} occurs twice`
      topics.add(topic)
    }
    return null
  },
}

/** Topic → names on the path, of `merge.id.fields` and `merge.nest.fields`. */
export function parseTopicFields(pairs: readonly string[]): ReadonlyMap<string, readonly string[]> {
  return new Map(Array.from(parseResourceMapping(pairs), ([topic, path]) => [topic, path.split('.')]))
}
