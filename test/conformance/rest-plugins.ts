/**
 * Kafka's own plugins as far as `config/validate` sees them, built from the recorded definitions: so the pipeline of
 * validation is compared by itself, whatever plugins this project ships.
 */
import {
  type ConfigKey,
  type ConfigKeys,
  type ConfigType,
  type Importance,
  javaRegex,
  nonEmptyString,
  oneOf,
  type Validator,
  type Width,
} from '../../worker/api/config.ts'
import {
  defineConverter,
  defineHeaderConverter,
  definePredicate,
  defineSinkConnector,
  defineSourceConnector,
  defineTransformation,
  type Plugin,
} from '../../worker/api/plugin.ts'
import { baseKeys, sinkKeys, sourceKeys } from '../../worker/config/connector-options.ts'
import { PluginRegistry } from '../../worker/plugins/registry.ts'
import { kafkaClass, loadGolden, type RecordedStep } from './rest-golden.ts'

interface RecordedKey {
  readonly name: string
  readonly type: ConfigType
  readonly required: boolean
  readonly default_value: string | null
  readonly importance: Importance
  readonly documentation: string
  readonly group: string | null
  readonly order_in_group: number
  readonly width: Width
  readonly display_name: string
}

/** Validators by the last part of class and option, those that the recording exercises. */
const validators: Readonly<Record<string, Validator>> = {
  'FileStreamSourceConnector topic': nonEmptyString,
  'RegexRouter regex': javaRegex,
  'TopicNameMatches pattern': javaRegex,
  'TimestampConverter$Value target.type': oneOf('string', 'unix', 'Date', 'Time', 'Timestamp'),
  'Cast$Value spec': {
    description: 'casts',
    complete: true,
    check: (_, value) => {
      const specs = (value ?? []) as readonly string[]
      if (specs.length === 0) return 'Must specify at least one field to cast.'
      if (specs[0] !== 'x:nonsense') return null
      return 'Invalid value java.lang.IllegalArgumentException: No enum constant org.apache.kafka.connect.data.Schema.Type.NONSENSE for configuration Invalid type found in casting spec: nonsense'
    },
  },
}

function toKey(className: string, key: RecordedKey): ConfigKey {
  const text = key.default_value
  const value = (): unknown => {
    if (text === null) return null
    if (key.type === 'LIST') return text === '' ? [] : text.split(',')
    if (key.type === 'BOOLEAN') return text === 'true'
    return key.type === 'INT' || key.type === 'LONG' || key.type === 'SHORT' ? Number(text) : text
  }
  const valid = validators[`${className.slice(className.lastIndexOf('.') + 1)} ${key.name}`]
  return {
    type: key.type,
    importance: key.importance,
    doc: key.documentation,
    width: key.width,
    displayName: key.display_name,
    ...(key.order_in_group === -1 ? {} : { order: key.order_in_group }),
    ...(key.group === null ? {} : { group: key.group }),
    ...(key.required ? {} : { default: value() }),
    ...(valid === undefined ? {} : { valid }),
  } as ConfigKey
}

const unused = async (): Promise<never> => {
  throw new Error('only the definition is used here')
}

/** Options of every plugin whose definition was recorded, by full class name. */
function recordedKeys(steps: readonly RecordedStep[]): Map<string, ConfigKeys> {
  const common = new Set([...Object.keys(baseKeys), ...Object.keys(sinkKeys), ...Object.keys(sourceKeys)])
  const result = new Map<string, ConfigKeys>()
  for (const step of steps) {
    const name = /^plugins\.config-(.*)$/u.exec(step.id)?.[1] ?? ''
    if (!Array.isArray(step.json)) continue
    const keys = step.json as unknown as RecordedKey[]
    const isConnector = name.includes('FileStream')
    const own = keys.filter((key) => !isConnector || !common.has(key.name))
    result.set(name, Object.fromEntries(own.map((key) => [key.name, toKey(name, key)])))
  }
  return result
}

/** A registry with the classes that the recorded worker lists. */
export function recordedPlugins(): PluginRegistry {
  const steps = loadGolden()
  const byName = recordedKeys(steps)
  const list = steps.find((step) => step.id === 'plugins.list-false')?.json
  const plugins: Plugin[] = []
  for (const entry of (Array.isArray(list) ? list : []) as { class: string; type: Plugin['type'] }[]) {
    if (kafkaClass.test(entry.class)) plugins.push(toPlugin(entry.class, entry.type, byName))
  }
  return new PluginRegistry(plugins)
}

function toPlugin(name: string, type: Plugin['type'], byName: ReadonlyMap<string, ConfigKeys>): Plugin {
  const simple = name.slice(name.lastIndexOf('.') + 1)
  const twin = simple.replace(/\$Key$/u, '$Value')
  const candidates = [
    name,
    simple,
    simple.replace(/Connector$/u, ''),
    name.replace(simple, twin),
    name.replace(/\$Value$/u, '$Key'),
  ]
  const keys =
    candidates.map((c) => byName.get(c)).find((k) => k !== undefined) ??
    (type === 'converter' ? { 'converter.type': converterType } : {})
  const manifest = { name, aliases: [], version: '4.3.0', config: { keys: withValidators(name, keys) } }
  switch (type) {
    case 'source':
      // FileStreamSource answers for its boundaries; the recording asks.
      return defineSourceConnector({
        ...manifest,
        taskName: 'x',
        createConnector: async () => boundless,
        createTask: unused,
      })
    case 'sink':
      return defineSinkConnector({ ...manifest, taskName: 'x', createConnector: unused, createTask: unused })
    case 'transformation':
      return defineTransformation({ ...manifest, create: unused })
    case 'predicate':
      return definePredicate({ ...manifest, create: unused })
    case 'converter':
      return defineConverter({ ...manifest, create: unused })
    case 'header_converter':
      return defineHeaderConverter({ ...manifest, create: unused })
    default:
      return type satisfies never
  }
}

const converterType = { type: 'STRING', importance: 'LOW', doc: 'How this converter will be used.' } as const

const boundless = {
  start: async () => {},
  taskConfigs: async () => [],
  stop: async () => {},
  canDefineTransactionBoundaries: () => false,
}

/** Options recorded under a short name get the validators of the full one. */
function withValidators(name: string, keys: ConfigKeys): ConfigKeys {
  const simple = name.slice(name.lastIndexOf('.') + 1)
  return Object.fromEntries(
    Object.entries(keys).map(([option, key]) => {
      const valid = validators[`${simple} ${option}`]
      return [option, valid === undefined ? key : ({ ...key, valid } as ConfigKey)]
    }),
  )
}
