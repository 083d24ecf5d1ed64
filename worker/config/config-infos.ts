/** Plain data of `PUT /connector-plugins/{p}/config/validate` and `GET …/config`, in the field order of Connect 4.3. */

/** One option of a definition. Defaults are rendered as text: lists joined by commas, null as null. */
export interface ConfigKeyInfo {
  readonly name: string
  readonly type: string
  readonly required: boolean
  readonly default_value: string | null
  readonly importance: string
  readonly documentation: string
  readonly group: string | null
  /** Called `order` before Connect 4.2; -1 when the option has no place of its own. */
  readonly order_in_group: number
  readonly width: string
  readonly display_name: string
  readonly dependents: readonly string[]
}

export interface ConfigValueInfo {
  readonly name: string
  readonly value: string | null
  readonly recommended_values: readonly string[]
  readonly errors: readonly string[]
  readonly visible: boolean
}

export interface ConfigInfo {
  /** Null for an option that no definition knows, e.g. a client override that the policy refuses. */
  readonly definition: ConfigKeyInfo | null
  readonly value: ConfigValueInfo
}

export interface ConfigInfos {
  readonly name: string
  readonly error_count: number
  readonly groups: readonly string[]
  readonly configs: readonly ConfigInfo[]
}

/** The text of all problems for a refused `POST /connectors`, null when there are none, as Connect words it. */
export function invalidConfigMessage(infos: ConfigInfos): string | null {
  if (infos.error_count === 0) return null
  const errors = infos.configs.flatMap(({ value }) => value.errors)
  return invalidConfigText(infos.error_count, errors)
}

/** The same for problems that are known by their messages alone. */
export function invalidConfigText(count: number, messages: readonly string[]): string {
  return [
    `Connector configuration is invalid and contains the following ${count} error(s):`,
    ...messages,
    'You can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`',
  ].join('\n')
}
