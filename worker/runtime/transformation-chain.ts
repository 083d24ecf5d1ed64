/** The transforms of a connector in order, each with its predicate (KIP-585). */
import type { RawConfig } from '../api/connector.ts'
import type { Metrics } from '../api/context.ts'
import { ConfigError, type ConfigProblem } from '../api/errors.ts'
import type { ConnectRecord } from '../api/record.ts'
import type { Predicate, Transformation, TransformationContext } from '../api/transform.ts'
import { parseConfig } from '../config/config-def.ts'
import { withPrefixCut } from '../config/config-provider.ts'
import type { PluginIndex } from '../plugins/registry.ts'
import { parseList } from '../util/text-list.ts'
import type { TaskEnvironment } from './task-environment.ts'

export interface ChainLink {
  readonly alias: string
  /** Class name for reports of records that fail here. */
  readonly className: string
  readonly version: string
  readonly transformation: Transformation<unknown>
  readonly predicate: ChainPredicate | null
  readonly negate: boolean
}

export interface ChainPredicate {
  readonly alias: string
  readonly className: string
  readonly version: string
  readonly predicate: Predicate<unknown>
}

export class TransformationChain {
  readonly links: readonly ChainLink[]
  #at = 0

  constructor(links: readonly ChainLink[]) {
    this.links = links
  }

  /** The hot path skips an empty chain. */
  get empty(): boolean {
    return this.links.length === 0
  }

  /** Class of the transform that ran last, so that of the one that threw. */
  get lastClassName(): string {
    return this.links[this.#at]?.className ?? ''
  }

  /** The changed record, or null when a transform dropped it. @throws whatever a transform or predicate throws */
  apply<R extends ConnectRecord>(record: R): R | null {
    const { links } = this
    let current = record
    for (let i = 0; i < links.length; i++) {
      const link = links[i] as ChainLink
      this.#at = i
      if (link.predicate !== null && link.predicate.predicate.test(current) === link.negate) continue
      const next = link.transformation.apply(current)
      if (next === null) return null
      current = next
    }
    return current
  }

  close(): void {
    for (const link of this.links) {
      link.transformation.close?.()
      link.predicate?.predicate.close?.()
    }
  }
}

/** What a task gives to its transforms. */
export function transformationContext(
  { clock, scope }: Pick<TaskEnvironment, 'clock' | 'scope'>,
  metrics: Metrics,
): TransformationContext {
  return { metrics, clock, pluginPath: parseList(scope.worker['plugin.path']) }
}

/**
 * Builds and configures the chain of `transforms` and `predicates`.
 * @throws ConfigError naming the full option, e.g. `transforms.route.regex`
 */
export async function createTransformationChain(
  config: RawConfig,
  registry: PluginIndex,
  context?: TransformationContext,
): Promise<TransformationChain> {
  const predicates = new Map<string, ChainPredicate>()
  for (const alias of parseList(config['predicates'])) {
    const options = withPrefixCut(config, `predicates.${alias}.`)
    predicates.set(alias, await createPredicate(alias, options, { registry, context }))
  }
  const links: ChainLink[] = []
  for (const alias of parseList(config['transforms'])) {
    const prefix = `transforms.${alias}.`
    const {
      type,
      'plugin.version': version,
      predicate: predicateAlias,
      negate,
      ...options
    } = withPrefixCut(config, prefix)
    const plugin = await registry.load('transformation', required(`${prefix}type`, type), version)
    const predicate = predicateAlias === undefined ? null : predicates.get(predicateAlias)
    if (predicate === undefined) {
      throw new ConfigError([{ option: `${prefix}predicate`, message: `There is no predicate '${predicateAlias}'` }])
    }
    const transformation = await plugin.create(context)
    under(prefix, () => transformation.configure(parseConfig(plugin.config, options)))
    links.push({
      alias,
      className: plugin.name,
      version: plugin.version,
      transformation: transformation as Transformation<unknown>,
      predicate,
      negate: negate?.trim().toLowerCase() === 'true',
    })
  }
  return new TransformationChain(links)
}

async function createPredicate(
  alias: string,
  config: RawConfig,
  from: { readonly registry: PluginIndex; readonly context: TransformationContext | undefined },
): Promise<ChainPredicate> {
  const prefix = `predicates.${alias}.`
  const { type, 'plugin.version': version, ...options } = config
  const plugin = await from.registry.load('predicate', required(`${prefix}type`, type), version)
  const predicate = await plugin.create(from.context)
  under(prefix, () => predicate.configure(parseConfig(plugin.config, options)))
  return { alias, className: plugin.name, version: plugin.version, predicate: predicate as Predicate<unknown> }
}

function required(option: string, value: string | undefined): string {
  if (value !== undefined && value !== '') return value
  throw new ConfigError([{ option, message: `Missing required configuration "${option}" which has no default value.` }])
}

/** Runs `parse`; problems get the prefix under which the user wrote the option. */
export function under<T>(prefix: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const problems: ConfigProblem[] = error.problems.map(({ option, message }) => ({
      option: prefix + option,
      message,
    }))
    throw new ConfigError(problems, { cause: error })
  }
}
