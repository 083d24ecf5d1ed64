/** Requests as nobody should send them: mutated configs, bodies and paths, against a worker that runs (R5). */
import { request as httpRequest } from 'node:http'
import type { Random } from './random.ts'

export interface FuzzOptions {
  readonly url: string
  readonly random: Random
  readonly count: number
  /** An existing folder: files of connectors are below it. */
  readonly folder: string
}

export interface FuzzResult {
  /** Number of answers by status. */
  readonly statuses: Readonly<Record<string, number>>
  /** Answers that are none: no typed error, too late, or a fault of the program shows through. */
  readonly faults: readonly string[]
  readonly slowestMs: number
}

interface Request {
  readonly method: string
  readonly path: string
  readonly type: string
  readonly body: string | null
}

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }
type Config = Readonly<Record<string, Json>>

/** Time in ms in which each request has to be answered: validation may try to reach a server. */
const patienceMs = 30_000
const parallel = 4

const classes = [
  'FileStreamSource',
  'FileStreamSink',
  'io.debezium.connector.postgresql.PostgresConnector',
  'io.confluent.connect.elasticsearch.ElasticsearchSinkConnector',
  'io.confluent.connect.s3.S3SinkConnector',
  'RedshiftCopySinkConnector',
  'NoSuchConnector',
] as const

/** Addresses at which nobody listens: nothing here waits for a server. */
const base: Config = {
  topic: 't',
  topics: 't',
  'tasks.max': '1',
  'database.hostname': '127.0.0.1',
  'database.port': '9',
  'database.user': 'u',
  'database.dbname': 'd',
  'topic.prefix': 'p',
  'connection.url': 'http://127.0.0.1:9',
  'store.url': 'http://127.0.0.1:9',
  's3.bucket.name': 'b',
  's3.region': 'us-east-1',
  'flush.size': '1',
  'storage.class': 'io.confluent.connect.s3.storage.S3Storage',
  'format.class': 'io.confluent.connect.s3.format.json.JsonFormat',
  'redshift.workgroup.name': 'w',
  'redshift.database': 'd',
  'redshift.endpoint': 'http://127.0.0.1:9',
  'aws.access.key.id': 'a',
  'aws.secret.access.key': 's',
}

const values: readonly [Json, ...Json[]] = [
  '',
  ' ',
  null,
  '-1',
  '0',
  '1e400',
  'NaN',
  '9223372036854775808',
  'true',
  ',',
  'a,a',
  'a,,b',
  'x'.repeat(20_000),
  '\u0000',
  '\ud800',
  '🙂'.repeat(50),
  // biome-ignore lint/suspicious/noTemplateCurlyInString: references of config providers
  '${a:b:c}',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: references of config providers
  '${',
  '(a+)+$',
  '[',
  '(?<x>',
  '../../etc/passwd',
  'org.apache.kafka.connect.json.JsonConverter',
  'org.apache.kafka.connect.transforms.Cast$Value',
  '__proto__',
  42,
  -0.5,
  true,
  [],
  ['a'],
  {},
  { a: 'b' },
]

const options: readonly [string, ...string[]] = [
  'name',
  'connector.class',
  'connector.plugin.version',
  'tasks.max',
  'key.converter',
  'value.converter',
  'value.converter.schemas.enable',
  'header.converter',
  'transforms',
  'transforms.a.type',
  'transforms.a.predicate',
  'transforms.a.negate',
  'transforms.a.regex',
  'predicates',
  'predicates.a.type',
  'predicates.a.pattern',
  'errors.tolerance',
  'errors.deadletterqueue.topic.name',
  'errors.restart.max.attempts',
  'topics.regex',
  'topic.creation.groups',
  'topic.creation.default.partitions',
  'exactly.once.support',
  'transaction.boundary',
  'offsets.storage.topic',
  'config.action.reload',
  'consumer.override.group.id',
  'producer.override.acks',
  '__proto__',
  'constructor',
  'toString',
  '',
]

/** Sends `count` requests, a few at a time. */
export async function fuzzRest({ url, random, count, folder }: FuzzOptions): Promise<FuzzResult> {
  const known = await optionNames(url)
  const statuses: Record<string, number> = {}
  const faults: string[] = []
  let slowestMs = 0
  let left = count
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      const sent = mutate(random, known, folder)
      const startMs = performance.now()
      const { status, text } = await send(url, sent)
      slowestMs = Math.max(slowestMs, performance.now() - startMs)
      statuses[status] = (statuses[status] ?? 0) + 1
      const fault = faultOf(status, text)
      if (fault !== null)
        faults.push(`${fault}: ${JSON.stringify(sent).slice(0, 600)} → ${status} ${text.slice(0, 600)}`)
    }
  }
  await Promise.all(Array.from({ length: parallel }, worker))
  return { statuses, faults, slowestMs }
}

async function optionNames(url: string): Promise<readonly [string, ...string[]]> {
  const plugins = (await (await fetch(new URL('/connector-plugins', url))).json()) as readonly { class: string }[]
  const names: string[] = []
  for (const { class: name } of plugins) {
    const answer = await fetch(new URL(`/connector-plugins/${name}/config`, url))
    names.push(...((await answer.json()) as readonly { name: string }[]).map((option) => option.name))
  }
  return [options[0], ...new Set([...options.slice(1), ...names])]
}

/** Null: an answer as it should be. */
function faultOf(status: number, text: string): string | null {
  if (status === 0) return 'no answer'
  if (status < 400) return null
  // The HTTP parser itself refuses some paths, without a body.
  if (text === '' && status === 400) return null
  let body: { readonly error_code?: unknown; readonly message?: unknown }
  try {
    body = JSON.parse(text) as typeof body
  } catch {
    return 'no JSON'
  }
  if (body.error_code !== status || typeof body.message !== 'string' || body.message === '') return 'no typed error'
  const ofProgram = /is not a function|Cannot read propert|undefined|TypeError|RangeError|ReferenceError|call stack/
  return status >= 500 && ofProgram.test(body.message) ? 'a fault of the program' : null
}

function mutate(random: Random, known: readonly [string, ...string[]], folder: string): Request {
  const request = plain(random, mutatedConfig(random, known, folder))
  if (random.next() < 0.7 || request.body === null) return request
  return { ...request, body: brokenText(random, request.body), type: random.pick(types) }
}

const types = ['application/json', 'application/json', 'text/plain', '', 'application/json; charset=utf-16'] as const

/** As a part of a path or query; half of a surrogate pair has no form there. */
const escaped = (value: Json): string => encodeURIComponent(String(value).slice(0, 200).toWellFormed())

function plain(random: Random, config: Config): Request {
  const name = encodeURIComponent(random.pick(['fuzz', 'fuzz', 'none', '50%', 'a/b', ' ', '..', '🙂']))
  const json = (method: string, path: string, body: Json): Request => {
    return { method, path, type: 'application/json', body: JSON.stringify(body) }
  }
  const className = typeof config['connector.class'] === 'string' ? config['connector.class'] : 'FileStreamSource'
  const odd = random.pick(values)
  const kinds: readonly [() => Request, ...(() => Request)[]] = [
    () => json('PUT', `/connector-plugins/${escaped(className)}/config/validate`, config),
    () => json('PUT', `/connector-plugins/${escaped(className)}/config/validate`, config),
    // Stopped: what is valid after all must not begin to work.
    () => json('POST', '/connectors', { name: 'fuzz', config, initial_state: 'STOPPED' }),
    () => json('POST', '/connectors', { name: odd, config: random.pick([config, odd]), initial_state: odd }),
    () => json('PUT', '/connectors/fuzz/config', config),
    () => json('PATCH', `/connectors/${name}/config`, { [random.pick(options)]: odd }),
    () => json('PATCH', `/connectors/${name}/offsets`, { offsets: [{ partition: odd, offset: random.pick(values) }] }),
    () => json('PATCH', `/connectors/${name}/offsets`, random.pick([odd, { offsets: odd }])),
    () => json('PUT', `/admin/loggers/${escaped(odd)}`, { level: random.pick(values) }),
    () => json('POST', `/connectors/${name}/tasks`, odd),
    () => json('POST', `/connectors/${name}/restart?includeTasks=${escaped(odd)}`, odd),
    () => json('PUT', `/connectors/${name}/${random.pick(['stop', 'fence', 'topics/reset', 'pauze'])}`, odd),
    () => ({
      method: 'GET',
      path: `/connectors/${name}${random.pick(['', '/status', '/offsets'])}`,
      type: '',
      body: null,
    }),
    () => ({ method: random.pick(['DELETE', 'OPTIONS', 'TRACE']), path: `/connectors/${name}`, type: '', body: null }),
    () => ({
      method: 'GET',
      path: `/connectors?expand=${escaped(odd)}`,
      type: '',
      body: null,
    }),
  ]
  return random.pick(kinds)()
}

function mutatedConfig(random: Random, known: readonly [string, ...string[]], folder: string): Config {
  const config: Record<string, Json> = Object.assign(Object.create(null) as Record<string, Json>, base)
  config['connector.class'] = random.pick(classes)
  config['file'] = `${folder}/file`
  for (let changes = random.integer(0, 4); changes > 0; changes--) {
    const option = random.pick(known)
    // Another host might be one that answers slowly, or not at all.
    if (/hostname|\.url$|endpoint|bootstrap/.test(option)) continue
    if (random.next() < 0.2) delete config[option]
    else config[option] = random.pick(values)
  }
  return config
}

function brokenText(random: Random, text: string): string {
  const at = random.integer(0, text.length)
  return random.pick([
    text.slice(0, at),
    text.slice(0, at) + random.pick(['"', '{', ']', '\u0000', '\\u12', '1e999', ',']) + text.slice(at),
    '['.repeat(20_000),
    `{"a":${'{"a":'.repeat(5_000)}`,
    '',
    `${text}${text}`,
    text.replaceAll('"', "'"),
  ])
}

/** Without `fetch`, which refuses some of these requests itself. Status 0: none in time. */
function send(url: string, { method, path, type, body }: Request): Promise<{ status: number; text: string }> {
  return new Promise((resolve) => {
    const headers = {
      ...(type === '' ? {} : { 'content-type': type }),
      ...(body === null ? {} : { 'content-length': Buffer.byteLength(body) }),
    }
    const sent = httpRequest(url, { method, path, headers, agent: false, timeout: patienceMs }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    sent.on('timeout', () => sent.destroy(new Error('no answer in time')))
    sent.on('error', (error) => resolve({ status: 0, text: error.message }))
    sent.end(body ?? undefined)
  })
}
