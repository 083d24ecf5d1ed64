/** What is worth knowing of any error that a client of the AWS SDK throws. */
export interface AwsFailure {
  /** The name that the service gives, or the code of the system error when the connection failed. */
  readonly name: string
  /** HTTP status of the answer; null when there was none. */
  readonly status: number | null
}

/** System errors of the connection: nothing is known about the fate of the request. */
const networkCodes: ReadonlySet<string> = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
])

/** Names that mean "later" in every service, whatever the status. */
const transientNames: ReadonlySet<string> = new Set([
  'TimeoutError',
  'ThrottlingException',
  // The SDK takes fresh credentials, or corrects its clock, before the next attempt.
  'ExpiredTokenException',
  'RequestTimeTooSkewed',
])

export function awsFailureOf(error: unknown): AwsFailure {
  if (!(error instanceof Error)) return { name: 'unknown', status: null }
  const { $metadata, code } = error as { $metadata?: { httpStatusCode?: number }; code?: unknown }
  const status = $metadata?.httpStatusCode ?? null
  // Node's socket errors are plain Errors with a code; the SDK's carry their AWS name.
  return { name: typeof code === 'string' && networkCodes.has(code) ? code : error.name, status }
}

/** Whether the name alone says that the same request may succeed later. */
export function isTransientName(name: string): boolean {
  return networkCodes.has(name) || transientNames.has(name)
}

/** Whether the status alone says so. */
export function isTransientStatus(status: number | null): boolean {
  return status !== null && (status === 408 || status === 429 || (status >= 500 && status !== 501))
}
