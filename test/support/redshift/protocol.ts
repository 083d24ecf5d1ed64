/** Parsed JSON object of a request. */
export type JsonObject = { readonly [key: string]: unknown }

/** An error of the API as the SDK sees it: type name, HTTP status, message. */
export class ApiError extends Error {
  readonly type: string
  readonly status: number
  readonly extra: JsonObject

  constructor(type: string, message: string, options: { readonly status?: number; readonly extra?: JsonObject } = {}) {
    super(message)
    this.type = type
    this.status = options.status ?? 400
    this.extra = options.extra ?? {}
  }
}

/** HTTP 400 ValidationException. */
export function validationError(message: string): ApiError {
  return new ApiError('ValidationException', message)
}

/** HTTP 400 ResourceNotFoundException. */
export function notFound(id: string): ApiError {
  return new ApiError('ResourceNotFoundException', 'Query does not exist.', { extra: { ResourceId: id } })
}

/** Optional string member of a request. */
export function stringMember(input: JsonObject, name: string): string | undefined {
  const value = input[name]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'string') throw new ApiError('SerializationException', `${name} must be a string`)
  return value
}

/** Required string member of a request. */
export function requiredString(input: JsonObject, name: string): string {
  const value = stringMember(input, name)
  if (value === undefined || value === '') throw validationError(`${name} must be given.`)
  return value
}

/** Optional whole number member of a request. */
export function numberMember(input: JsonObject, name: string): number | undefined {
  const value = input[name]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'number') throw new ApiError('SerializationException', `${name} must be a number`)
  return value
}

/** List of strings; absent counts as empty. */
export function stringList(input: JsonObject, name: string): readonly string[] {
  const value = input[name]
  if (value === undefined || value === null) return []
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
    throw new ApiError('SerializationException', `${name} must be a list of strings`)
  }
  return value as string[]
}

/** SQL parameters by name; the service refuses empty values. */
export function sqlParameters(input: JsonObject): ReadonlyMap<string, string> {
  const value = input['Parameters']
  const parameters = new Map<string, string>()
  if (value === undefined || value === null) return parameters
  if (!Array.isArray(value)) throw new ApiError('SerializationException', 'Parameters must be a list')
  for (const item of value as readonly JsonObject[]) {
    const name = requiredString(item, 'name')
    const text = stringMember(item, 'value')
    if (text === undefined || text.length < 1) {
      throw validationError(`Parameters: the value of "${name}" must have length greater than or equal to 1`)
    }
    parameters.set(name, text)
  }
  return parameters
}

/** Where a statement runs, and the checks that the service makes on it. */
export interface Target {
  /** Cluster identifier or workgroup name. */
  readonly owner: string
  readonly clusterIdentifier: string | undefined
  readonly workgroupName: string | undefined
  readonly database: string
  readonly dbUser: string | undefined
  readonly secretArn: string | undefined
}

/** Reads and checks the members that name cluster or workgroup, database and user. */
export function readTarget(input: JsonObject): Target {
  const clusterIdentifier = stringMember(input, 'ClusterIdentifier')
  const workgroupName = stringMember(input, 'WorkgroupName')
  const dbUser = stringMember(input, 'DbUser')
  const secretArn = stringMember(input, 'SecretArn')
  if (clusterIdentifier !== undefined && workgroupName !== undefined) {
    throw validationError('ClusterIdentifier and WorkgroupName cannot both be given.')
  }
  const owner = clusterIdentifier ?? workgroupName
  if (owner === undefined) throw validationError('Either ClusterIdentifier or WorkgroupName must be given.')
  if (dbUser !== undefined && secretArn !== undefined)
    throw validationError('DbUser and SecretArn cannot both be given.')
  if (workgroupName !== undefined && dbUser !== undefined)
    throw validationError('DbUser cannot be used with WorkgroupName.')
  return { owner, clusterIdentifier, workgroupName, database: requiredString(input, 'Database'), dbUser, secretArn }
}

/** Time as the JSON 1.1 protocol writes it: seconds since the epoch with a fraction. */
export function epochSeconds(timeMs: number): number {
  return timeMs / 1000
}
