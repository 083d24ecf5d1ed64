/** Why the server does not do as asked, and what a user can do about it, by what is known for sure: types and codes. */

/** What a failure shows of itself. */
export interface Symptoms {
  /** HTTP status of the answer; null when there was none. */
  readonly status: number | null
  /** `error.type` of the answer and of its causes, outermost first. */
  readonly types: readonly string[]
  /** Names and codes of the errors when there was no answer, outermost first. */
  readonly codes: readonly string[]
  /** Whether the user is shown what the server says besides. */
  readonly showsReason: boolean
}

const trust =
  'The certificate of the server is not trusted: set elastic.security.protocol=SSL and name the certificate of its authority in elastic.https.ssl.truststore.location (elastic.https.ssl.truststore.type=PEM, PKCS12 or JKS).'
const absent =
  'Nothing answers there: check host and port of connection.url, or of proxy.host and proxy.port, and that the server runs.'
const unknownHost = 'The host name is not known: check connection.url, or proxy.host.'

/** By codes of Node.js and OpenSSL, and names of the client's errors. */
const byCode: ReadonlyMap<string, string> = new Map([
  ['ECONNREFUSED', absent],
  ['EHOSTUNREACH', absent],
  ['ENETUNREACH', absent],
  ['ENOTFOUND', unknownHost],
  ['EAI_AGAIN', unknownHost],
  ['EPROTO', 'No TLS could be agreed on: where the server speaks plain HTTP, connection.url begins with http://.'],
  [
    'ECONNRESET',
    'The server ended the connection: where it speaks TLS, connection.url begins with https://; otherwise see its log, or that of what stands in between.',
  ],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', trust],
  ['SELF_SIGNED_CERT_IN_CHAIN', trust],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', trust],
  ['UNABLE_TO_GET_ISSUER_CERT', trust],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', trust],
  ['CERT_HAS_EXPIRED', 'The certificate of the server has expired: it needs a new one.'],
  [
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'The certificate is for other hosts: use one of its names in connection.url, or switch the check off with an empty elastic.https.ssl.endpoint.identification.algorithm.',
  ],
  ['TimeoutError', 'The server takes longer than read.timeout.ms: raise it, or send less at a time (batch.size).'],
])

const privileges =
  'This user may not do that: grant create_index, read, write and view_index_metadata on the index, and monitor on the cluster.'

/** By the server's own types: these come before the status, which many of them share. */
const byType: ReadonlyMap<string, string> = new Map([
  [
    'cluster_block_exception',
    'The index takes no writes, by a setting (index.blocks.*) or as the disk is nearly full: remove the block, or free disk space.',
  ],
  ['index_closed_exception', 'The index is closed: open it, or set behavior.on.closed.index=skip.'],
  [
    'index_not_found_exception',
    'The index is not there and may not be made: create it, or allow it (action.auto_create_index, privilege create_index).',
  ],
  [
    'invalid_index_name_exception',
    'No index may have this name: choose another by index.name.format, or a transform such as RegexRouter.',
  ],
  [
    'validation_exception',
    'The cluster takes no more indices: remove some, give new ones fewer shards, or raise cluster.max_shards_per_node.',
  ],
  [
    'version_conflict_engine_exception',
    'Another writer of the index was faster, or the topic was created anew and its offsets begin at 0 again.',
  ],
  [
    'strict_dynamic_mapping_exception',
    'The mapping of the index is strict and lacks a field of the document: add it there, or take it out of the record.',
  ],
  [
    'mapper_parsing_exception',
    'A value does not suit the mapping of the index: correct the record, or write into an index with another mapping.',
  ],
  [
    'document_parsing_exception',
    'A value does not suit the mapping of the index: correct the record, or write into an index with another mapping.',
  ],
  [
    'es_rejected_execution_exception',
    'The server is too busy: lower max.in.flight.requests or bulk.size.bytes, or give it longer by max.retries and retry.backoff.ms.',
  ],
  [
    'circuit_breaking_exception',
    'The server is short of memory: lower max.in.flight.requests or bulk.size.bytes, or give it more.',
  ],
  [
    'unavailable_shards_exception',
    'Shards of the index have no node: see the health of the cluster; max.retries and retry.backoff.ms say how long to wait.',
  ],
  [
    'content_too_long_exception',
    'The document is larger than the server takes (http.max_content_length), or a proxy before it.',
  ],
])

/** This type has many reasons: what they are helps only him who is not shown the server's own. */
const reasonsOfIllegalArgument =
  'Reasons are a pipeline.name that is not there, more fields than index.mapping.total_fields.limit, a field that is an object here and a value there, an alias without a write index, or a data stream that external.resource.usage calls an index.'

const byStatus: ReadonlyMap<number, string> = new Map([
  [
    401,
    'The server does not know these credentials, or they have expired: check connection.username and connection.password, or auth.type with auth.api.key or auth.bearer.token.',
  ],
  [403, privileges],
  [404, 'Nothing of Elasticsearch is at this address: check connection.url, its path too.'],
  [405, 'The server does not take such requests: check that connection.url is that of Elasticsearch or OpenSearch.'],
  [407, 'The proxy wants to know who asks: check proxy.username and proxy.password.'],
])

/** A cause and its remedy in one or two sentences; null when there is no more to say than the failure does itself. */
export function diagnose({ status, types, codes, showsReason }: Symptoms): string | null {
  for (const type of types) {
    const known = byType.get(type)
    if (known !== undefined) return known
  }
  if (!showsReason && types.includes('illegal_argument_exception')) return reasonsOfIllegalArgument
  if (status !== null) return byStatus.get(status) ?? null
  for (const code of codes) {
    const known = byCode.get(code)
    if (known !== undefined) return known
  }
  return null
}
