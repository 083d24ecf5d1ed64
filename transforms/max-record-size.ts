import { awsCredentialOptions, awsKeysOf, checkAwsCredentials } from '../connectors/common/aws-credentials.ts'
import { atLeast, type ConfigOf, defineConfig, oneOfIgnoringCase } from '../worker/api/config.ts'
import { Schemas, type Value } from '../worker/api/data.ts'
import { type ConfigProblem, DataError } from '../worker/api/errors.ts'
import { stringifyJson } from '../worker/api/json.ts'
import { defineTransformation } from '../worker/api/plugin.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { ClaimStore } from './claim-check.ts'
import { type LargeField, largeFields, replaceAt } from './large-fields.ts'
import { recordBytes, recordBytesAtMost, textBytes, valueBytes } from './record-bytes.ts'

const config = defineConfig(
  {
    'max.bytes': {
      type: 'INT',
      importance: 'HIGH',
      valid: atLeast(1024),
      doc: 'Most bytes of a record: its key, value and headers as compact JSON without schemas, as JsonConverter with schemas.enable=false writes them. Other formats are smaller, but for the schema that JsonConverter may add: leave it room below max.request.size.',
    },
    action: {
      type: 'STRING',
      importance: 'HIGH',
      valid: oneOfIgnoringCase('cut', 'dlq', 'claim'),
      doc: 'What is done with a larger record. cut: its longest texts and bytes are cut, until it fits. claim: they are stored in S3, and what stands in the record is where. dlq: the record fails, which errors.tolerance and the dead letter queue then decide about, as they do where cutting or claiming all that is allowed does not suffice.',
    },
    fields: {
      type: 'LIST',
      default: [],
      importance: 'MEDIUM',
      doc: 'Fields of the value that may be cut or claimed, as paths with dots; empty: all texts and bytes outside of lists and maps whose schema has no name.',
    },
    'min.field.bytes': {
      type: 'INT',
      default: 1024,
      importance: 'LOW',
      valid: atLeast(256),
      doc: 'Fields below this are left alone, and none is cut to less (bytes of JSON).',
    },
    'header.name': {
      type: 'STRING',
      default: 'sluice.shortened',
      importance: 'LOW',
      doc: 'Header that names what was cut or claimed: a JSON list of objects with field, bytes (of the original, as JSON), and for claims url and sha256.',
    },
    'claim.bucket': {
      type: 'STRING',
      default: '',
      importance: 'MEDIUM',
      group: 'Claim check',
      doc: 'Bucket for claims.',
    },
    'claim.prefix': {
      type: 'STRING',
      default: 'claims/',
      importance: 'LOW',
      group: 'Claim check',
      doc: 'Put before the names of objects, which are topic/sha256.',
    },
    'claim.region': {
      type: 'STRING',
      default: 'us-east-1',
      importance: 'MEDIUM',
      group: 'Claim check',
      doc: 'Region of the bucket.',
    },
    'claim.endpoint': {
      type: 'STRING',
      default: null,
      importance: 'LOW',
      group: 'Claim check',
      doc: 'URL of an S3-compatible server; unset: Amazon’s of the region.',
    },
    'claim.path.style': {
      type: 'BOOLEAN',
      default: false,
      importance: 'LOW',
      group: 'Claim check',
      doc: 'Whether the bucket stands in the path rather than in the host name.',
    },
    'claim.encryption': {
      type: 'STRING',
      default: null,
      importance: 'LOW',
      group: 'Claim check',
      doc: 'Server-side encryption: AES256 or aws:kms; unset: the bucket’s default.',
    },
    'claim.kms.key.id': {
      type: 'STRING',
      default: null,
      importance: 'LOW',
      group: 'Claim check',
      doc: 'Key for aws:kms.',
    },
    'claim.timeout.ms': {
      type: 'LONG',
      default: 30_000,
      importance: 'LOW',
      valid: atLeast(1000),
      group: 'Claim check',
      doc: 'Longest wait for one upload, in ms, during which the task does nothing else. After it the transform fails with a retriable error: errors.retry.timeout says how long it is repeated.',
    },
    ...awsCredentialOptions,
  },
  {
    validate(options) {
      if (options.action.toLowerCase() !== 'claim') return []
      const problems: ConfigProblem[] = [...checkAwsCredentials(options)]
      if (options['claim.bucket'] === '')
        problems.push({ option: 'claim.bucket', message: 'The action claim needs a bucket' })
      return problems
    },
  },
)

type Options = ConfigOf<typeof config>

const marker = '…'

/** Sees to it that no record is larger than the topic or the sink can take. */
class MaxRecordSize implements Transformation<Options> {
  #options: Options | null = null
  #paths: ReadonlySet<string> | null = null
  #claims: ClaimStore | null = null

  configure(options: Options): void {
    this.#options = options
    this.#paths = options.fields.length === 0 ? null : new Set(options.fields)
    this.#claims = options.action.toLowerCase() === 'claim' ? openClaims(options) : null
  }

  apply<R extends ConnectRecord>(record: R): R {
    const options = this.#options
    if (options === null) return record
    const limit = options['max.bytes']
    if (recordBytesAtMost(record) <= limit) return record
    const bytes = recordBytes(record)
    if (bytes <= limit) return record
    if (options.action.toLowerCase() === 'dlq') throw tooLarge(bytes, limit, '')
    return this.#shorten(record, options, bytes)
  }

  close(): void {
    this.#claims?.close()
  }

  #shorten<R extends ConnectRecord>(record: R, options: Options, bytes: number): R {
    const limit = options['max.bytes']
    const selection = { paths: this.#paths, minBytes: options['min.field.bytes'] }
    const candidates = largeFields(record.valueSchema, record.value, selection)
    let value = record.value
    let left = bytes + headerBytes(options['header.name'], [])
    const reports: Value[] = []
    for (const field of candidates) {
      if (left <= limit) break
      const { content, report } = this.#shortened(record.topic, field, left - limit, options)
      value = replaceAt(value, field.path, content)
      reports.push(report)
      left += valueBytes(content) - field.bytes + reportBytes(report)
    }
    if (left > limit) {
      const names = candidates.map((field) => field.path.join('.')).join(', ')
      throw tooLarge(bytes, limit, `; shortening ${names === '' ? 'what is allowed' : names} does not suffice`)
    }
    const header = { key: options['header.name'], schema: Schemas.string, value: stringifyJson(reports) }
    return record.with({ value, headers: [...record.headers, header] })
  }

  #shortened(
    topic: string,
    field: LargeField,
    excess: number,
    options: Options,
  ): { readonly content: string | Uint8Array; readonly report: Value } {
    const about = { field: field.path.join('.'), bytes: field.bytes }
    if (this.#claims === null) {
      // Room for its own mention in the header too.
      const target = Math.max(options['min.field.bytes'], field.bytes - excess - reportBytes(about))
      return { content: cut(field.content, target), report: about }
    }
    const { url, sha256 } = this.#claims.put(topic, field.content)
    return { content: typeof field.content === 'string' ? url : Buffer.from(url), report: { ...about, url, sha256 } }
  }
}

function openClaims(options: Options): ClaimStore {
  const keys = awsKeysOf(options)
  return new ClaimStore({
    client: {
      region: options['claim.region'],
      endpoint: options['claim.endpoint'],
      pathStyle: options['claim.path.style'],
      accelerate: false,
      attempts: 3,
      backoffMs: 200,
      checksums: 'WHEN_REQUIRED',
      expectContinue: false,
    },
    keys:
      keys === null
        ? null
        : { id: keys.id, secret: keys.secret.reveal(), sessionToken: keys.sessionToken?.reveal() ?? null },
    bucket: options['claim.bucket'],
    encryption: options['claim.encryption'],
    kmsKeyId: options['claim.kms.key.id'],
    prefix: options['claim.prefix'],
    timeoutMs: options['claim.timeout.ms'],
  })
}

/** The beginning of a text with a mark, or of bytes, of at most `target` bytes of JSON. */
function cut(content: string | Uint8Array, target: number): string | Uint8Array {
  if (typeof content !== 'string') return content.slice(0, Math.floor((target - 2) / 4) * 3)
  let length = content.length
  for (;;) {
    // Not between the halves of a character.
    if (isHighSurrogate(content.charCodeAt(length - 1))) length--
    const text = content.slice(0, length) + marker
    const bytes = textBytes(text)
    if (bytes <= target) return text
    length = Math.min(length - 1, Math.floor((length * target) / bytes))
  }
}

const isHighSurrogate = (code: number): boolean => code >= 0xd800 && code < 0xdc00

/** A header is a text within which the report's quotes are escaped. */
function headerBytes(name: string, reports: readonly Value[]): number {
  return textBytes(name) + textBytes(stringifyJson(reports))
}

function reportBytes(report: Value): number {
  return textBytes(stringifyJson(report))
}

function tooLarge(bytes: number, limit: number, more: string): DataError {
  return new DataError(
    'CONNECT_TRANSFORM_SIZE',
    `The record has ${bytes} bytes as JSON, more than max.bytes allows (${limit})${more}`,
    { context: { bytes, limit } },
  )
}

export const maxRecordSize = defineTransformation({
  name: 'sluice.transforms.MaxRecordSize',
  aliases: ['MaxRecordSize'],
  version: '1.0.0',
  config,
  create: async () => new MaxRecordSize(),
})
