/** Failures of S3: codes, which of them pass, and what is told. */
import { ConnectError, defineErrorCodes, type ErrorCode, RetriableError } from '../../worker/api/errors.ts'
import { assumeRoleErrorCodes } from './assume-role.ts'
import { awsFailureOf, isTransientName, isTransientStatus } from './aws-errors.ts'
import type { ObjectAddress } from './object-store.ts'

export const s3ErrorCodes = defineErrorCodes({
  ...assumeRoleErrorCodes,
  CONNECT_S3_UNAVAILABLE: {
    meaning: 'The S3 server did not answer, or asked to slow down, in every attempt of a request.',
    remedy: 'Nothing, when it passes: the sink tries again. Else check store.url, the network and the server.',
  },
  CONNECT_S3_DENIED: {
    meaning: 'The S3 server refuses the credentials or the action.',
    remedy:
      'Check the access key, the policy of the principal (s3:PutObject, s3:AbortMultipartUpload) and the KMS key.',
  },
  CONNECT_S3_NOT_FOUND: {
    meaning: 'Bucket, upload or object does not exist.',
    remedy: 'Create the bucket, or correct s3.bucket.name and s3.region.',
  },
  CONNECT_S3_PRECONDITION_FAILED: {
    meaning: 'A conditional write met an existing object.',
    remedy: 'Handled by the sink, which takes the next free name.',
  },
  CONNECT_S3_REJECTED: {
    meaning: 'The S3 server rejects the request, and would do so again.',
    remedy: 'Read the error text of the server; often an option that this server does not support.',
  },
})

/** Names of S3 that mean "later", beside those of every service. */
const retriableNames: ReadonlySet<string> = new Set([
  'RequestTimeout',
  'RequestTimeoutException',
  'SlowDown',
  'Throttling',
  'TooManyRequests',
  'TooManyRequestsException',
  'ServiceUnavailable',
  'InternalError',
  'OperationAborted',
  'ConditionalRequestConflict',
  'ExpiredToken',
])

const missingNames: ReadonlySet<string> = new Set(['NoSuchUpload', 'NoSuchKey', 'NoSuchBucket', 'NotFound'])
const deniedNames: ReadonlySet<string> = new Set([
  'AccessDenied',
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'CredentialsProviderError',
])

/** Kind of an S3 failure, decided by error name, then system error code, then HTTP status. */
export function classifyS3Error(error: unknown): { readonly code: ErrorCode; readonly retriable: boolean } {
  const { name, status } = awsFailureOf(error)
  if (name === 'PreconditionFailed' || status === 412)
    return { code: 'CONNECT_S3_PRECONDITION_FAILED', retriable: false }
  if (retriableNames.has(name) || isTransientName(name)) return { code: 'CONNECT_S3_UNAVAILABLE', retriable: true }
  if (missingNames.has(name) || status === 404) return { code: 'CONNECT_S3_NOT_FOUND', retriable: false }
  if (deniedNames.has(name) || status === 401 || status === 403) return { code: 'CONNECT_S3_DENIED', retriable: false }
  if (isTransientStatus(status)) return { code: 'CONNECT_S3_UNAVAILABLE', retriable: true }
  return { code: 'CONNECT_S3_REJECTED', retriable: false }
}

/** What is thrown to the sinks; an error that was wrapped before is itself. */
export function s3Failure(
  error: unknown,
  failed: { code: ErrorCode; retriable: boolean; operation: string; at: ObjectAddress; attempt: number },
): ConnectError {
  if (error instanceof ConnectError) return error
  const { code, retriable, operation, at, attempt } = failed
  const { name, status } = awsFailureOf(error)
  const detail = error instanceof Error && error.message !== '' ? error.message : name
  const message = `S3 ${operation} of ${at.bucket}/${at.key} failed after ${attempt} attempt(s): ${name}: ${detail}`
  const options = { cause: error, context: { operation, bucket: at.bucket, key: at.key, error: name, status } }
  return retriable ? new RetriableError(code, message, options) : new ConnectError('fatal', code, message, options)
}

/** An answer that lacks what the request was for. */
export function rejected(operation: string, at: ObjectAddress, detail: string): ConnectError {
  return new ConnectError('fatal', 'CONNECT_S3_REJECTED', `S3 ${operation} of ${at.bucket}/${at.key}: ${detail}`)
}
