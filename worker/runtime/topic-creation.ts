/**
 * Creation of the topics a source writes to (KIP-158). Only with the worker's `topic.creation.enable` and at least
 * one `topic.creation.` option of the connector; otherwise topics exist, or the broker creates them.
 */
import type { RawConfig } from '../api/connector.ts'
import { ConfigError, ConnectError, kindOf } from '../api/errors.ts'
import { JavaRegex } from '../api/java-regex.ts'
import { withPrefixCut } from '../config/config-provider.ts'
import type { Admin, NewTopic } from '../kafka/types.ts'
import { parseList } from '../util/text-list.ts'

const prefix = 'topic.creation.'
const defaultGroup = 'default'

export interface TopicCreationGroup {
  readonly name: string
  readonly partitions: number
  readonly replicationFactor: number
  readonly configs: Readonly<Record<string, string>>
  matches(topic: string): boolean
}

/**
 * The groups in order of choice, `default` last; null when the connector asks for no topic creation.
 * @throws ConfigError with Connect's texts
 */
export function topicCreationGroups(config: RawConfig): readonly TopicCreationGroup[] | null {
  if (!Object.keys(config).some((name) => name.startsWith(prefix))) return null
  const fallback = parseGroup(config, defaultGroup, null)
  const groups = parseList(config[`${prefix}groups`]).filter((name) => name !== defaultGroup)
  return [...groups.map((name) => parseGroup(config, name, fallback)), fallback]
}

function parseGroup(config: RawConfig, name: string, fallback: TopicCreationGroup | null): TopicCreationGroup {
  const groupPrefix = `${prefix}${name}.`
  const {
    include,
    exclude,
    'replication.factor': replicationFactor,
    partitions,
    ...configs
  } = withPrefixCut(config, groupPrefix)
  const included = fullMatch(`${groupPrefix}include`, parseList(include))
  const excluded = fullMatch(`${groupPrefix}exclude`, parseList(exclude))
  return {
    name,
    partitions: count(`${groupPrefix}partitions`, partitions, fallback?.partitions, partitionsText),
    replicationFactor: count(
      `${groupPrefix}replication.factor`,
      replicationFactor,
      fallback?.replicationFactor,
      replicationText,
    ),
    // Extra topic options are per group only: the default group's do not carry over.
    configs,
    matches: (topic) =>
      fallback === null || (included !== null && included.matches(topic) && !(excluded?.matches(topic) ?? false)),
  }
}

const partitionsText = "Number of partitions must be positive, or -1 to use the broker's default"
const replicationText =
  "Replication factor must be positive and not larger than the number of brokers in the Kafka cluster, or -1 to use the broker's default"

function count(option: string, text: string | undefined, fallback: number | undefined, rule: string): number {
  if (text === undefined) {
    if (fallback !== undefined) return fallback
    throw new ConfigError([
      { option, message: `Missing required configuration "${option}" which has no default value.` },
    ])
  }
  const value = Number(text.trim())
  if (!Number.isInteger(value) || (value < 1 && value !== -1)) {
    throw new ConfigError([{ option, message: `Invalid value ${text} for configuration ${option}: ${rule}` }])
  }
  return value
}

function fullMatch(option: string, patterns: readonly string[]): JavaRegex | null {
  if (patterns.length === 0) return null
  try {
    return new JavaRegex(patterns.join('|'))
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error)
    throw new ConfigError([{ option, message: `Syntax error in regular expression: ${detail}` }])
  }
}

/** Sees to it, once per topic, that the topic exists. */
export class TopicCreator {
  readonly #groups: readonly TopicCreationGroup[]
  readonly #admin: Admin
  readonly #known = new Set<string>()

  constructor(groups: readonly TopicCreationGroup[], admin: Admin) {
    this.#groups = groups
    this.#admin = admin
  }

  /**
   * @throws RetriableError from the cluster: the caller sends again later
   * @throws ConnectError with Connect's text when the topic can be neither found nor created
   */
  async ensure(topic: string, signal: AbortSignal): Promise<void> {
    if (this.#known.has(topic)) return
    try {
      if ((await this.#admin.describeTopic(topic, signal)) === null) {
        await this.#admin.createTopic(this.#newTopic(topic), signal)
      }
    } catch (error) {
      if (kindOf(error) === 'retriable' || signal.aborted) throw error
      throw new ConnectError(
        'fatal',
        'CONNECT_TOPIC_CREATION',
        `Task failed to create new topic ${topic}. Ensure that the task is authorized to create topics or that the ` +
          'topic exists and restart the task',
        { cause: error, context: { topic } },
      )
    }
    this.#known.add(topic)
  }

  #newTopic(topic: string): NewTopic {
    for (const { matches, partitions, replicationFactor, configs } of this.#groups) {
      if (matches(topic)) return { topic, partitions, replicationFactor, configs }
    }
    throw new Error('the default topic creation group matches every topic')
  }
}
