/**
 * `config/validate` of a connector: everything that is wrong with a config, option by option, as Connect 4.3 answers
 * it. Runs in the connector host, since it calls plugin code (style: no plugin code on the main thread).
 */
import type { ConfigDef, ConfigOf } from '../api/config.ts'
import type { SourceConnector } from '../api/connector.ts'
import { RequestError, toError } from '../api/errors.ts'
import { hashOrder } from '../api/java-hash.ts'
import type { ConnectorPlugin, SourceConnectorPlugin } from '../api/plugin.ts'
import { evaluateOverrides, overridePolicy } from './client-overrides.ts'
import {
  addProblems,
  evaluate,
  evaluateWithRules,
  type OptionState,
  parseConfig,
  type RawOptions,
  toInfos,
  undefinedOption,
  valuesOf,
} from './config-def.ts'
import type { ConfigInfos } from './config-infos.ts'
import type { ConfigProviders } from './config-provider.ts'
import { javaMapText, type SinkTopicOptions, sinkProblems } from './connector-config.ts'
import { type ConverterOption, connectorDefinition, distinctGroups, type PluginLookup } from './connector-definition.ts'
import { versionProblem } from './plugin-versions.ts'
import { exactlyOnceSupport, type WorkerConfig } from './worker-config.ts'

export interface ValidateInput {
  /** As written; references are resolved here. */
  readonly raw: RawOptions
  readonly plugins: PluginLookup
  readonly worker: WorkerConfig
  readonly providers: ConfigProviders
}

type States = Map<string, OptionState>

/** @throws RequestError 400 when the config names no connector class, or none that is here */
export async function validateConnector(input: ValidateInput): Promise<ConfigInfos> {
  const { config: raw } = await input.providers.resolve(input.raw)
  const className = raw['connector.class'] ?? ''
  const newest = connectorPlugin(input, className)
  const wanted = raw['connector.plugin.version'] ?? null
  const wrongVersion = connectorVersionProblem(newest, input.plugins, wanted)
  if (wrongVersion !== null) return wrongVersionInfos(input, raw, newest, wrongVersion)
  const plugin = input.plugins.find('connector', className, wanted) ?? newest

  const resolved = { ...input, raw }
  const definition = connectorDefinition(plugin, raw, input.plugins, input.worker.options)
  const states: States = evaluate(definition.keys, raw, definition.hooks)
  if (plugin.type === 'sink') checkSink(states, resolved)
  else await checkSource(states, resolved, plugin)
  addNullProblems(states, raw)
  for (const [name, state] of await ownStates(plugin, raw)) states.set(name, state)

  const overrides = overrideStates(resolved, plugin)
  const converters = (['header.converter', 'key.converter', 'value.converter'] as const).map((option) =>
    converterStates(option, resolved, states),
  )
  const extra = [...overrides, ...converters.flatMap((c) => c.states)]
  const groups = [...definition.groups, ...distinctGroups(plugin.config.keys), ...converters.flatMap((c) => c.groups)]
  return {
    name: className,
    // Errors of the main list count one by one, the other parts by option (as in Connect).
    error_count: countErrors(states.values()) + extra.filter((state) => state.errors.length > 0).length,
    groups: [...new Set(groups)],
    configs: [...toInfos(states.values()), ...toInfos(extra)],
  }
}

function connectorPlugin({ raw, plugins }: ValidateInput, className: string): ConnectorPlugin {
  if (className === '') {
    const message = `Connector config ${javaMapText(raw)} contains no connector type`
    throw new RequestError(400, 'CONNECT_CONFIG_INVALID', message)
  }
  const plugin = plugins.find('connector', className)
  if (plugin !== null) return plugin
  const known = plugins
    .all()
    .filter((p) => p.type === 'source' || p.type === 'sink')
    .map((p) => p.name)
  const message = `Failed to find any class that implements Connector and which name matches ${className}, available connectors are: ${[...new Set(known)].sort().join(', ')}`
  throw new RequestError(400, 'CONNECT_PLUGIN_UNKNOWN', message)
}

/** @throws RequestError 400 for what is no version at all */
function connectorVersionProblem(
  { name }: ConnectorPlugin,
  plugins: PluginLookup,
  wanted: string | null,
): string | null {
  try {
    const available = plugins.versions('connector', name).map(({ version }) => version)
    return versionProblem(name, wanted, available)
  } catch (error) {
    const message = `connector.plugin.version: ${toError(error).message}`
    throw new RequestError(400, 'CONNECT_CONFIG_INVALID', message, { cause: error })
  }
}

/** A null is no value for any option; those of the connector itself are judged by its own definition (as in Connect). */
function addNullProblems(states: States, raw: RawOptions): void {
  addProblems(
    states,
    Object.keys(raw).flatMap((option) => (raw[option] === null ? [{ option, message: nullText }] : [])),
  )
}

const nullText = 'Null value can not be supplied as the configuration value.'

/** Without the connector's version nothing more is known of it than what all connectors have (KIP-891). */
function wrongVersionInfos(
  input: ValidateInput,
  raw: RawOptions,
  plugin: ConnectorPlugin,
  message: string,
): ConfigInfos {
  const definition = connectorDefinition(plugin, raw, input.plugins, null)
  const states: States = evaluate(definition.keys, raw, definition.hooks)
  addProblems(states, [
    { option: 'connector.class', message },
    { option: 'connector.plugin.version', message },
  ])
  return {
    name: raw['connector.class'] ?? '',
    error_count: countErrors(states.values()),
    groups: definition.groups,
    configs: toInfos(states.values()),
  }
}

function countErrors(states: Iterable<OptionState>): number {
  let count = 0
  for (const state of states) count += state.errors.length
  return count
}

/** The connector's own options; its checks that need I/O run only when everything else of it is fine. */
async function ownStates(plugin: ConnectorPlugin, raw: RawOptions): Promise<States> {
  const states = evaluateWithRules(plugin.config, raw)
  if (plugin.validate === undefined || countErrors(states.values()) > 0) return states
  addProblems(states, await plugin.validate(valuesOf(states) as ConfigOf<ConfigDef>, raw))
  return states
}

function checkSink(states: States, { raw, worker }: ValidateInput): void {
  const values = valuesOf(states)
  const topics: SinkTopicOptions = {
    topics: (values['topics'] ?? null) as readonly string[] | null,
    'topics.regex': states.get('topics.regex')?.text ?? null,
    'errors.deadletterqueue.topic.name': states.get('errors.deadletterqueue.topic.name')?.text ?? null,
  }
  addProblems(states, sinkProblems(topics))
  if (worker.mode === 'distributed') checkConsumerGroup(states, raw, worker.options['group.id'])
}

/** A sink's consumers must not join the group of the workers. */
function checkConsumerGroup(states: States, raw: RawOptions, workerGroup: string): void {
  const option = 'consumer.override.group.id'
  if (Object.hasOwn(raw, option)) {
    const group = raw[option] ?? null
    const errors =
      group === workerGroup ? [`Consumer group ${group} conflicts with Connect worker group ${workerGroup}`] : []
    states.set(option, undefinedOption(option, group, errors))
    return
  }
  const name = states.get('name')?.text ?? ''
  if (`connect-${name}` !== workerGroup) return
  const message = `Consumer group for sink connector named ${name} conflicts with Connect worker group ${workerGroup}`
  addProblems(states, [{ option: 'name', message }])
}

/** Preflight of exactly-once (KIP-618). A standalone worker makes none of these checks (as in Connect). */
async function checkSource(
  states: States,
  { raw, worker }: ValidateInput,
  plugin: SourceConnectorPlugin,
): Promise<void> {
  if (worker.mode !== 'distributed') return
  const required = states.get('exactly.once.support')
  if (required?.errors.length === 0 && required.text?.toLowerCase() === 'required') {
    if (exactlyOnceSupport(worker.options) !== 'enabled') {
      required.errors.push('This worker does not have exactly-once source support enabled.')
    } else {
      await ask(required, plugin, raw, (connector, config) => {
        const support = connector.exactlyOnceSupport?.(config)
        if (support === 'supported') return null
        return support === undefined
          ? noPreflight
          : 'The connector does not support exactly-once semantics with the provided configuration.'
      })
    }
  }
  const boundary = states.get('transaction.boundary')
  if (boundary?.errors.length === 0 && boundary.text?.toLowerCase() === 'connector') {
    await ask(boundary, plugin, raw, (connector, config) =>
      connector.canDefineTransactionBoundaries?.(config) === true ? null : noBoundaries,
    )
  }
}

const noPreflight =
  'The connector does not implement the API required for preflight validation of exactly-once source support. ' +
  'Please consult the documentation for the connector to determine whether it supports exactly-once semantics, and ' +
  'then consider reconfiguring the connector to use the value "requested" for this property (which will disable this ' +
  'preflight check and allow the connector to be created).'
const noBoundaries =
  'The connector does not support connector-defined transaction boundaries with the given configuration. Please ' +
  'reconfigure it to use a different transaction boundary definition.'

async function ask(
  state: OptionState,
  plugin: SourceConnectorPlugin,
  raw: RawOptions,
  question: (connector: SourceConnector<ConfigOf<ConfigDef>>, config: ConfigOf<ConfigDef>) => string | null,
): Promise<void> {
  try {
    const problem = question(await plugin.createConnector(), parseConfig(plugin.config, raw))
    if (problem !== null) state.errors.push(problem)
  } catch (error) {
    const text = toError(error).message
    const detail = text === '' ? '; please see the worker logs for more details.' : `: ${text}`
    state.errors.push(`An unexpected error occurred during validation${detail}`)
  }
}

/** Client overrides of the kinds of client that this connector's tasks open, with the policy's verdicts. */
function overrideStates({ raw, worker }: ValidateInput, plugin: ConnectorPlugin): OptionState[] {
  const { options } = worker
  const policyName = options['connector.client.config.override.policy']
  const policy = overridePolicy(policyName, options['connector.client.config.override.allowlist'])
  if (policy === null) {
    const message = `Unknown connector.client.config.override.policy ${policyName} in the worker config; use All, None, Principal or Allowlist`
    throw new RequestError(500, 'CONNECT_CONFIG_INVALID', message)
  }
  const source = plugin.type === 'source'
  const deadLetters = !source && topicName(raw, 'errors.deadletterqueue.topic.name') !== ''
  // A standalone worker has no offset topics at all.
  const ownOffsets =
    source &&
    worker.mode === 'distributed' &&
    (topicName(raw, 'offsets.storage.topic') !== '' || exactlyOnceSupport(worker.options) === 'enabled')
  const createsTopics = source && Object.keys(raw).some((key) => key.startsWith('topic.creation.'))
  return [
    ...(source || deadLetters ? evaluateOverrides(policy, 'producer', raw) : []),
    ...(!source || ownOffsets ? evaluateOverrides(policy, 'consumer', raw) : []),
    ...(createsTopics || deadLetters || ownOffsets ? evaluateOverrides(policy, 'admin', raw) : []),
  ]
}

/** @throws RequestError 400 for null, of which Connect dies here with 500 */
function topicName(raw: RawOptions, option: string): string {
  const name = raw[option]
  if (name === null) throw new RequestError(400, 'CONNECT_CONFIG_INVALID', `${option}: ${nullText}`)
  return name?.trim() ?? ''
}

interface ConverterPart {
  readonly states: readonly OptionState[]
  readonly groups: readonly string[]
}

const nothing: ConverterPart = { states: [], groups: [] }

/** What stands below a prefix, nulls too. */
function ownOptions(raw: RawOptions, prefix: string): RawOptions {
  return Object.fromEntries(
    Object.entries(raw).flatMap(([key, value]) => (key.startsWith(prefix) ? [[key.slice(prefix.length), value]] : [])),
  )
}

/** Options of a converter that the connector itself names; those of the worker's converters are the worker's business. */
function converterStates(option: ConverterOption, { raw, plugins }: ValidateInput, base: States): ConverterPart {
  const state = base.get(option)
  if ((base.get(`${option}.plugin.version`)?.errors.length ?? 0) > 0) return nothing
  if (!Object.hasOwn(raw, option) || state === undefined || state.errors.length > 0 || state.text === null)
    return nothing
  const kind = option === 'header.converter' ? 'header_converter' : 'converter'
  const plugin = plugins.find(kind, state.text, raw[`${option}.plugin.version`])
  if (plugin === null) return nothing
  const prefix = `${option}.`
  const role = option.slice(0, option.indexOf('.'))
  const given = ownOptions(raw, prefix)
  const own = { ...given, 'converter.type': given['converter.type'] ?? role }
  const evaluated = evaluateWithRules(plugin.config, own)
  const states = hashOrder([...evaluated.keys()]).flatMap((name) => evaluated.get(name) ?? [])
  return {
    groups: [...new Set(states.flatMap((s) => s.key?.group ?? []))],
    states: states.map((s) => ({
      ...s,
      name: prefix + s.name,
      key: s.key === null ? null : { ...s.key, displayName: s.key.displayName ?? s.name },
    })),
  }
}
