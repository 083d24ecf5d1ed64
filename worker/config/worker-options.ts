/**
 * Options that every worker has, under Connect's names and with its defaults; documentation in our own words. The file is
 * long since it is data: one definition per option.
 */
import {
  atLeast,
  type ConfigKey,
  type ConfigKeys,
  defineConfig,
  oneOf,
  oneOfIgnoringCase,
  type Validator,
} from '../api/config.ts'
import { adminListenerListProblem, headerRuleProblem, listenerListProblem } from './listeners.ts'

/** A validator whose answer is the whole message, as Connect has it for these options. */
const complete = (description: string, check: (value: unknown) => string | null): Validator => ({
  description,
  complete: true,
  check: (_, value) => check(value),
})

function converterVersion(of: string) {
  return {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    doc: `Version of the worker's converter of ${of}, or a range in Maven's notation (KIP-891); the newest one when absent.`,
  } as const satisfies ConfigKey
}

const converters = {
  'key.converter': {
    type: 'CLASS',
    importance: 'HIGH',
    doc: 'Converter of keys for connectors that name none; `key.converter.X` reaches it as `X`.',
  },
  'key.converter.plugin.version': converterVersion('keys'),
  'value.converter': {
    type: 'CLASS',
    importance: 'HIGH',
    doc: 'Converter of values for connectors that name none; `value.converter.X` reaches it as `X`.',
  },
  'value.converter.plugin.version': converterVersion('values'),
  'header.converter': {
    type: 'CLASS',
    default: 'org.apache.kafka.connect.storage.SimpleHeaderConverter',
    importance: 'LOW',
    doc: 'Converter of header values for connectors that name none.',
  },
  'header.converter.plugin.version': converterVersion('header values'),
} as const satisfies ConfigKeys

const runtime = {
  'bootstrap.servers': {
    type: 'LIST',
    default: ['localhost:9092'],
    importance: 'HIGH',
    doc: 'Kafka brokers to start from (host:port); the only client option that task clients inherit without a prefix.',
  },
  'client.dns.lookup': {
    type: 'STRING',
    default: 'use_all_dns_ips',
    valid: oneOf('use_all_dns_ips', 'resolve_canonical_bootstrap_servers_only'),
    importance: 'MEDIUM',
    doc: 'Whether all addresses of a broker name are tried in turn.',
  },
  'task.shutdown.graceful.timeout.ms': {
    type: 'LONG',
    default: 5000,
    importance: 'LOW',
    doc: 'Time in ms for all tasks that are stopped together to finish and commit, not per task.',
  },
  'offset.flush.interval.ms': {
    type: 'LONG',
    default: 60000,
    importance: 'LOW',
    doc: 'Time in ms between offset commits of a task, source or sink.',
  },
  'offset.flush.timeout.ms': {
    type: 'LONG',
    default: 5000,
    importance: 'LOW',
    doc: 'Time in ms to wait for a commit before it is given up and tried again later; no effect for exactly-once source tasks.',
  },
  'task.isolation': {
    type: 'STRING',
    default: 'thread',
    valid: oneOf('thread', 'none'),
    importance: 'LOW',
    doc: 'Where plugin code runs: `thread` gives the connectors one thread and each task its own, `none` runs all on the main thread (debugging). Not an option of Connect.',
  },
  'plugin.path': {
    type: 'LIST',
    default: null,
    importance: 'LOW',
    doc: 'Folders or modules that hold further plugins, besides the built-in ones; references to config providers are not resolved here.',
  },
  'plugin.discovery': {
    type: 'STRING',
    default: 'hybrid_warn',
    valid: oneOfIgnoringCase('only_scan', 'service_load', 'hybrid_warn', 'hybrid_fail'),
    importance: 'LOW',
    doc: 'How plugins of plugin.path are found: service_load takes those that a package.json declares, only_scan and hybrid_warn also modules found by looking (hybrid_warn says so), hybrid_fail refuses to start with such ones.',
  },
  'config.providers': {
    type: 'LIST',
    default: [],
    importance: 'LOW',
    doc: 'Names of config providers, each with `config.providers.NAME.class` (built in, or exported as `configProviders` by a module of plugin.path) and `config.providers.NAME.param.KEY`.',
  },
  'connector.client.config.override.policy': {
    type: 'STRING',
    default: 'All',
    importance: 'LOW',
    doc: 'Which client options a connector may override: `All`, `None`, `Principal`, `Allowlist`.',
  },
  'connector.client.config.override.allowlist': {
    type: 'LIST',
    default: [],
    importance: 'LOW',
    doc: 'Client options that policy `Allowlist` lets connectors override (KIP-1188).',
  },
  'topic.tracking.enable': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    doc: 'Whether the topics that a connector uses are recorded (`GET /connectors/{c}/topics`).',
  },
  'topic.tracking.allow.reset': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    doc: 'Whether the recorded topics may be reset over REST.',
  },
  'topic.creation.enable': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    doc: 'Whether source tasks create topics for connectors that configure `topic.creation.*` (KIP-158).',
  },
} as const satisfies ConfigKeys

const metrics = {
  'metrics.sample.window.ms': {
    type: 'LONG',
    default: 30000,
    valid: atLeast(0),
    importance: 'LOW',
    doc: 'Length in ms of one window over which rates and averages are taken.',
  },
  'metrics.num.samples': {
    type: 'INT',
    default: 2,
    valid: atLeast(1),
    importance: 'LOW',
    doc: 'Number of windows kept for rates and averages.',
  },
  'metrics.recording.level': {
    type: 'STRING',
    default: 'INFO',
    valid: oneOf('INFO', 'DEBUG', 'TRACE'),
    importance: 'LOW',
    doc: 'Accepted for compatibility: all metrics are recorded.',
  },
  'metric.reporters': {
    type: 'LIST',
    default: ['org.apache.kafka.common.metrics.JmxReporter'],
    importance: 'LOW',
    doc: 'Accepted for compatibility: metrics are read at `GET /metrics`.',
  },
} as const satisfies ConfigKeys

const rest = {
  listeners: {
    type: 'LIST',
    default: ['http://:8083'],
    valid: complete('list of URLs', listenerListProblem),
    importance: 'LOW',
    doc: 'URLs the REST server listens at (`http` or `https`); no host means all addresses, port 0 a free one.',
  },
  'rest.advertised.host.name': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    doc: 'Host by which other workers reach this one; default: that of the listener, else the host name.',
  },
  'rest.advertised.port': {
    type: 'INT',
    default: null,
    importance: 'LOW',
    doc: 'Port by which other workers reach this one; default: that of the listener.',
  },
  'rest.advertised.listener': {
    type: 'STRING',
    default: null,
    valid: complete('http or https', (v) =>
      v === null || v === 'http' || v === 'https'
        ? null
        : `Invalid value ${String(v)} for configuration rest.advertised.listener: String must be one of: http, https`,
    ),
    importance: 'LOW',
    doc: 'Protocol by which other workers reach this one: `http` or `https`.',
  },
  'access.control.allow.origin': {
    type: 'STRING',
    default: '',
    importance: 'LOW',
    doc: 'Origins that may call the REST API from a browser (CORS), separated by commas; `*` for all, blank for none.',
  },
  'access.control.allow.methods': {
    type: 'STRING',
    default: '',
    importance: 'LOW',
    doc: 'Methods allowed for cross-origin requests; blank means GET, POST, HEAD.',
  },
  'response.http.headers.config': {
    type: 'STRING',
    default: '',
    valid: complete('header rules', (v) => headerRuleProblem(String(v ?? ''))),
    importance: 'LOW',
    doc: 'Headers for all answers: `[action] [name]:[value]`, separated by commas, in quotes when a rule holds a comma; actions set, add, setDate, addDate.',
  },
  'ssl.client.auth': {
    type: 'STRING',
    default: 'none',
    valid: oneOf('required', 'requested', 'none'),
    importance: 'LOW',
    doc: 'Whether the REST server asks its clients for a certificate.',
  },
  'rest.extension.classes': {
    type: 'LIST',
    default: [],
    importance: 'LOW',
    doc: 'REST extensions, in order: `BasicAuthSecurityRestExtension` (credentials from `java.security.auth.login.config`), and those that modules of plugin.path export as `restExtensions`.',
  },
  'java.security.auth.login.config': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    doc: 'JAAS file of the basic auth extension, with a section `KafkaConnect`; the environment variable `KAFKA_OPTS` with `-Djava.security.auth.login.config=` is understood as well. In Connect a system property of the JVM.',
  },
  'admin.listeners': {
    type: 'LIST',
    default: null,
    valid: complete('list of URLs', adminListenerListProblem),
    importance: 'LOW',
    doc: 'URLs of the admin endpoints (loggers); absent: on the main listeners, empty: none.',
  },
} as const satisfies ConfigKeys

export const commonKeys = { ...converters, ...runtime, ...metrics, ...rest } as const

export const standaloneOptions = defineConfig({
  ...commonKeys,
  'offset.storage.file.filename': {
    type: 'STRING',
    importance: 'HIGH',
    doc: 'File that holds the offsets of source connectors.',
  },
})
