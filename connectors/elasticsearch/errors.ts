import { ConnectError, defineErrorCodes, type ErrorCode, toError } from '../../worker/api/errors.ts'
import { diagnose } from './diagnosis.ts'

/** Codes of this connector. */
export const elasticsearchErrorCodes = defineErrorCodes({
  CONNECT_ES_RETRIES_EXHAUSTED: {
    meaning: 'Elasticsearch could not be reached or was too busy until the last retry.',
    remedy:
      'Bring the server back, then restart the task; no record is lost. Raise max.retries and set retry.backoff.max.ms to ride out longer outages, raise read.timeout.ms when requests time out.',
  },
  CONNECT_ES_REQUEST: {
    meaning: 'Elasticsearch refused a request in a way that a retry cannot change.',
    remedy:
      'See the status in the message: 401 and 403 ask for credentials or privileges (create_index, read, write, view_index_metadata on the index; monitor on the cluster).',
  },
  CONNECT_ES_REJECTED: {
    meaning: 'Elasticsearch refused one document.',
    remedy:
      'Correct the mapping of the index or the record; behavior.on.malformed.documents=report with a dead letter queue keeps the task running.',
  },
  CONNECT_ES_CONFLICT: {
    meaning: 'The index has this or a later version of a document, or an update met with others too often.',
    remedy:
      'Expected after a replay; otherwise look for another writer of the index, or for a topic that was created anew (its offsets start at 0).',
  },
  CONNECT_ES_RECORD: {
    meaning: 'A record cannot be made into a document.',
    remedy:
      'Correct its key or value, or set drop.invalid.message=true with a dead letter queue. Where values have no schema, set schema.ignore=true.',
  },
  CONNECT_ES_VERSION_HEADER: {
    meaning: 'The header named by external.version.header does not hold a version number.',
    remedy: 'Let the producer write a number from 0 to 2^63-1 into it, or leave external.version.header out.',
  },
  CONNECT_ES_BUFFER_FULL: {
    meaning: 'The buffer did not empty within flush.timeout.ms.',
    remedy: 'Raise flush.timeout.ms or max.buffered.records, or make the cluster faster.',
  },
})

/** What to do about a failed request as a whole. */
export type RequestVerdict = 'retry' | 'split' | 'fail'

/** HTTP status of a whole answer → what to do; a status that is not listed fails the task. */
const statusVerdicts: ReadonlyMap<number, RequestVerdict> = new Map([
  [408, 'retry'], // the server gave up waiting for the request
  [413, 'split'], // http.max_content_length
  [429, 'retry'], // queues or memory are full
  [500, 'retry'], // a node failed in the middle
  [502, 'retry'], // a proxy lost its node
  [503, 'retry'], // no master, node starting
  [504, 'retry'], // a proxy timed out
])

/** Names of the client's errors that stand for a lost or late answer. */
const transientErrors: ReadonlySet<string> = new Set(['ConnectionError', 'TimeoutError', 'NoLivingConnectionsError'])

/** Decides by the client's error name and status, never by text. */
export function classify(error: unknown): RequestVerdict {
  const { name } = toError(error)
  if (transientErrors.has(name)) return 'retry'
  const status = statusOf(error)
  return status === null ? 'fail' : (statusVerdicts.get(status) ?? 'fail')
}

/** HTTP status of the answer that an error stands for; null when there was none. */
export function statusOf(error: unknown): number | null {
  if (typeof error !== 'object' || error === null || !('statusCode' in error)) return null
  return typeof error.statusCode === 'number' ? error.statusCode : null
}

/** The `error` member of one item of a bulk answer. */
export interface ItemError {
  readonly type?: string
  readonly reason?: string
  readonly caused_by?: ItemError
}

/** One item of a bulk answer, without its action name. */
export interface BulkItem {
  readonly status: number
  readonly error?: ItemError
}

/** `blocked`: somebody has closed the index to writes, and may open it again. */
export type ItemVerdict =
  | 'done'
  | 'conflict'
  | 'retry'
  | 'blocked'
  | 'missing-index'
  | 'malformed'
  | 'closed-index'
  | 'refused'

const malformedTypes: ReadonlySet<string> = new Set([
  'mapper_parsing_exception',
  'document_parsing_exception',
  'strict_dynamic_mapping_exception',
  'illegal_argument_exception',
  'action_request_validation_exception',
  'not_x_content_exception',
  'x_content_parse_exception',
  'parse_exception',
])

/** Decides about one action by status and error types. A delete of what is not there is done. */
export function classifyItem(item: BulkItem): ItemVerdict {
  const { status, error } = item
  if (status < 300 || (status === 404 && error === undefined)) return 'done'
  const types = errorTypes(error)
  if (status === 409) return 'conflict'
  if (types.includes('index_not_found_exception')) return 'missing-index'
  if (types.includes('index_closed_exception')) return 'closed-index'
  if (status === 429 || status >= 500 || types.includes('es_rejected_execution_exception')) return 'retry'
  // That of a disk nearly full has status 429, and lifts by itself.
  if (types.includes('cluster_block_exception')) return 'blocked'
  return types.some((type) => malformedTypes.has(type)) ? 'malformed' : 'refused'
}

/** Decides about a document that could not be read: it is not there, to be asked for again, or never to be had. */
export function classifyItemRead(error: ItemError): 'absent' | 'retry' | 'refused' {
  const types = errorTypes(error)
  if (types.includes('index_not_found_exception')) return 'absent'
  return types.some((type) => transientReads.has(type)) ? 'retry' : 'refused'
}

/** No copy of the shard answers now: an index just created, a node that restarts, queues that are full. */
const transientReads: ReadonlySet<string> = new Set([
  'no_shard_available_action_exception',
  'shard_not_found_exception',
  'illegal_index_shard_state_exception',
  'node_disconnected_exception',
  'node_not_connected_exception',
  'node_closed_exception',
  'es_rejected_execution_exception',
  'circuit_breaking_exception',
  'cluster_block_exception',
])

function errorTypes(error: ItemError | undefined): readonly string[] {
  const types: string[] = []
  for (let at = error; at !== undefined && types.length < 20; at = at.caused_by) if (at.type) types.push(at.type)
  return types
}

/** The chain of causes in the words of the Java client, for the dead letter queue; quotes the document. */
export function describeItemError(error: ItemError | undefined): string {
  return `Indexing failed: ${causesText(error)}`
}

function causesText(error: ItemError | undefined): string {
  const parts: string[] = []
  for (let at = error; at !== undefined && parts.length < 20; at = at.caused_by) {
    parts.push(`ElasticsearchException[Elasticsearch exception [type=${at.type}, reason=${at.reason ?? null}]]`)
  }
  return `${parts.join('; nested: ')}${parts.length > 1 ? ';' : ''}`
}

/** A request that failed as a whole and is not sent again. */
export interface FailedRequest {
  /** What it was to do, in Confluent's words. */
  readonly what: string
  readonly error: unknown
  readonly attempts: number
  /** Whether what the server says may quote documents, and has to stay out (I8). */
  readonly quotesData?: boolean
}

/** A failed request as the error that fails the task, in Confluent's words, with a line more about what to do. */
export function requestError({ what, error, attempts, quotesData = false }: FailedRequest): ConnectError {
  const status = statusOf(error)
  const refusal = quotesData ? null : refusalOf(error)
  const code = classify(error) === 'retry' ? 'CONNECT_ES_RETRIES_EXHAUSTED' : 'CONNECT_ES_REQUEST'
  const reason = refusal?.name ?? reasonOf(error)
  const why = diagnosisOf(error, { showsReason: refusal !== null })
  const cause = status === null ? explained(why, code, error) : (refusal ?? explained(why, code, undefined))
  // What alerts match on stands together, as there.
  if (refusal !== null) refusal.cause = explained(why, code, undefined)
  return new ConnectError('fatal', code, `Failed to ${what} due to '${reason}' after ${attempts} attempt(s)`, {
    cause,
    context: { attempts, status },
  })
}

function explained(why: string | null, code: ErrorCode, cause: unknown): unknown {
  return why === null ? cause : new ConnectError('fatal', code, why, { cause })
}

/** What to do about a request that failed, as far as that is known. */
export function diagnosisOf(error: unknown, { showsReason = false } = {}): string | null {
  const codes: string[] = []
  for (let at = error; at instanceof Error && codes.length < 20; at = at.cause) {
    codes.push('code' in at && typeof at.code === 'string' ? at.code : at.name)
  }
  return diagnose({ status: statusOf(error), types: errorTypes(serverError(error) ?? undefined), codes, showsReason })
}

/** As `diagnosisOf`, of one action. */
export function itemDiagnosis(error: ItemError | undefined): string | null {
  const types = errorTypes(error)
  // Of credentials that are not known no action is looked at.
  return diagnose({ status: types.includes('security_exception') ? 403 : null, types, codes: [], showsReason: false })
}

/** Kind of a failure in a few words that never quote data. */
export function reasonOf(error: unknown): string {
  const status = statusOf(error)
  if (status !== null) return `HTTP ${status}${serverErrorType(error)}`
  const { name, message } = toError(error)
  return `${name}: ${message}`
}

/** What the server said, as the Java client prints it in traces: no class stands in front of it. Null: nothing. */
function refusalOf(error: unknown): Error | null {
  const said = serverError(error)
  if (said === null) return null
  const refusal = new Error('')
  refusal.name = causesText(said).replace('Elasticsearch', 'ElasticsearchStatus')
  return refusal
}

/** `error.type` of an error answer, which never quotes data. */
export function serverErrorType(error: unknown): string {
  const type = serverError(error)?.type
  return type === undefined ? '' : ` ${type}`
}

/** `error` of an error answer, in the form of an item's; its reason may quote data (I8). Null when there is none. */
export function serverError(error: unknown): ItemError | null {
  if (typeof error !== 'object' || error === null || !('body' in error)) return null
  const { body } = error
  if (typeof body !== 'object' || body === null || !('error' in body)) return null
  const { error: inner } = body
  if (typeof inner !== 'object' || inner === null || !('type' in inner)) return null
  return typeof inner.type === 'string' ? (inner as ItemError) : null
}
