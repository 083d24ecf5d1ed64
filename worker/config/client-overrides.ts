/** Client options that connectors set with `producer.override.`, `consumer.override.`, `admin.override.` (KIP-458). */
import type { ConfigKey } from '../api/config.ts'
import { RequestError } from '../api/errors.ts'
import { clientOptionKeys } from './client-options.ts'
import { evaluate, invalidValue, type OptionState, type RawOptions, undefinedOption } from './config-def.ts'

export type ClientKind = 'producer' | 'consumer' | 'admin'

export const overridePrefix = (kind: ClientKind): `${ClientKind}.override.` => `${kind}.override.`

/** Decides which client options a connector may set. */
export interface OverridePolicy {
  readonly name: string
  allows(option: string): boolean
}

const principalOptions = new Set(['sasl.jaas.config', 'sasl.mechanism', 'security.protocol'])
const policyClassPattern =
  /^(?:org\.apache\.kafka\.connect\.connector\.policy\.)?(\w+?)(?:ConnectorClientConfigOverridePolicy)?$/u

/**
 * The policy by its alias or Java class name (`All`, `None`, `Principal`, `Allowlist`), null when there is none of
 * that name.
 */
export function overridePolicy(name: string, allowlist: readonly string[]): OverridePolicy | null {
  const short = policyClassPattern.exec(name.trim())?.[1]
  switch (short) {
    case 'All':
      return { name: short, allows: () => true }
    case 'None':
      return { name: short, allows: () => false }
    case 'Principal':
      return { name: short, allows: (option) => principalOptions.has(option) }
    case 'Allowlist':
      return { name: short, allows: (option) => allowlist.includes(option) }
    default:
      return null
  }
}

function requireType(option: string, key: ConfigKey, text: string): void {
  const { valid: _, ...typed } = key
  const problem = evaluate({ [option]: typed }, { [option]: text }).get(option)?.errors[0]
  if (problem !== undefined) throw new RequestError(400, 'CONNECT_CONFIG_INVALID', problem)
}

/**
 * A connector's overrides for one kind of client, each with the policy's verdict, for `config/validate`.
 * Options that our clients know come with their definition.
 * @throws RequestError 400 for text that is not of the option's type; Java's Connect answers 500 to it
 */
export function evaluateOverrides(policy: OverridePolicy, kind: ClientKind, raw: RawOptions): OptionState[] {
  const prefix = overridePrefix(kind)
  return Object.entries(raw)
    .filter(([name]) => name.startsWith(prefix) && name.length > prefix.length)
    .map(([name, text]) => {
      const option = name.slice(prefix.length)
      const key = clientOptionKeys[kind][option]
      if (key !== undefined && text !== null) requireType(option, key, text)
      const errors = policy.allows(option)
        ? []
        : [
            invalidValue(
              option,
              key?.type === 'PASSWORD' ? '[hidden]' : text,
              `The '${policy.name}' policy does not allow '${option}' to be overridden in the connector configuration.`,
            ),
          ]
      const state = undefinedOption(name, key?.type === 'PASSWORD' ? '[hidden]' : text, errors)
      return key === undefined ? state : { ...state, key: { ...key, displayName: option } }
    })
}
