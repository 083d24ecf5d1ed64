import { defineErrorCodes } from '../worker/api/errors.ts'
import type { PredicatePlugin, TransformationPlugin } from '../worker/api/plugin.ts'
import { cast } from './cast.ts'
import { contentBasedRouter } from './content-based-router.ts'
import { decodeMessageContent } from './decode-message-content.ts'
import { dropHeaders } from './drop-headers.ts'
import { envelope } from './envelope.ts'
import { extractChangedRecordState } from './extract-changed-record-state.ts'
import { extractField } from './extract-field.ts'
import { extractNewRecordState } from './extract-new-record-state.ts'
import { extractSchemaToNewRecord } from './extract-schema-to-new-record.ts'
import { filter } from './filter.ts'
import { flatten } from './flatten.ts'
import { headerFrom } from './header-from.ts'
import { headerToValue } from './header-to-value.ts'
import { hoistField } from './hoist-field.ts'
import { insertField } from './insert-field.ts'
import { insertHeader } from './insert-header.ts'
import { logicalTableRouter } from './logical-table-router.ts'
import { maskField } from './mask-field.ts'
import { maxRecordSize } from './max-record-size.ts'
import { maybeTombstone } from './maybe-tombstone.ts'
import { outboxEventRouter } from './outbox-event-router.ts'
import { partitionRouting } from './partition-routing.ts'
import { hasHeaderKey } from './predicates/has-header-key.ts'
import { recordIsTombstone } from './predicates/record-is-tombstone.ts'
import { topicNameMatches } from './predicates/topic-name-matches.ts'
import { redact } from './redact.ts'
import { regexRouter } from './regex-router.ts'
import { replaceField } from './replace-field.ts'
import { schemaChangeEventFilter } from './schema-change-event-filter.ts'
import { script } from './script.ts'
import { scriptedFilter } from './scripted-filter.ts'
import { setSchemaMetadata } from './set-schema-metadata.ts'
import { timestampConverter } from './timestamp-converter.ts'
import { timestampRouter } from './timestamp-router.ts'
import { timezoneConverter } from './timezone-converter.ts'
import { valueToKey } from './value-to-key.ts'

/** Codes of the data errors that transforms raise. */
export const transformErrorCodes = defineErrorCodes({
  CONNECT_TRANSFORM_CLAIM: {
    meaning: 'What MaxRecordSize leaves out of a record could not be stored in S3 in time.',
    remedy: 'Check claim.endpoint, network and bucket; errors.retry.timeout lets the transform wait for S3.',
  },
  CONNECT_TRANSFORM_EXPRESSION: {
    meaning:
      'An expression of Filter or ContentBasedRouter cannot be compiled, fails for a record, or gives the wrong type.',
    remedy: 'Correct the expression; guard members that may be null with ?. or a condition.',
  },
  CONNECT_TRANSFORM_FIELD: {
    meaning: 'A transform was told of a field that the record does not have.',
    remedy: 'Correct the field name, or let a predicate keep other records away from the transform.',
  },
  CONNECT_TRANSFORM_MASK: {
    meaning: 'A field has a type that MaskField cannot mask, or not with this replacement.',
    remedy: 'Leave the field out with ReplaceField, or give a replacement of its type.',
  },
  CONNECT_TRANSFORM_RECORD: {
    meaning: 'A transform needs what only the records of a sink have.',
    remedy: 'Move the transform to the sink connector.',
  },
  CONNECT_TRANSFORM_SCRIPT: {
    meaning: 'A script of Script threw for a record, or answered with something that is no record.',
    remedy: 'Correct the script; `sluice transform test` shows what it makes of a record.',
  },
  CONNECT_TRANSFORM_SIZE: {
    meaning: 'A record is larger than MaxRecordSize allows, and may not be cut or claimed so far that it fits.',
    remedy: 'Allow more fields or bytes, or let errors.tolerance and a dead letter queue take such records.',
  },
  CONNECT_TRANSFORM_TIMESTAMP: {
    meaning: 'A value is no time, or not in the format that the transform was told; or the record has no timestamp.',
    remedy: 'Correct format or unix.precision, or let a predicate keep other records away from the transform.',
  },
  CONNECT_TRANSFORM_TYPE: {
    meaning: 'A value has a type that the transform cannot cast or flatten, or its text is no such number.',
    remedy: 'Correct the spec, or leave the field out with ReplaceField.',
  },
})

const shipped: readonly (TransformationPlugin | PredicatePlugin)[] = [
  contentBasedRouter,
  decodeMessageContent,
  dropHeaders,
  envelope,
  extractChangedRecordState,
  extractNewRecordState,
  extractSchemaToNewRecord,
  filter,
  insertHeader,
  headerToValue,
  maxRecordSize,
  maybeTombstone,
  outboxEventRouter,
  partitionRouting,
  regexRouter,
  schemaChangeEventFilter,
  script,
  scriptedFilter,
  timestampRouter,
  timezoneConverter,
  valueToKey,
  hasHeaderKey,
  recordIsTombstone,
  topicNameMatches,
  ...logicalTableRouter,
  ...[
    cast,
    extractField,
    flatten,
    headerFrom,
    hoistField,
    insertField,
    maskField,
    redact,
    replaceField,
    setSchemaMetadata,
    timestampConverter,
  ].flat(),
]

/** The transformations and predicates that come with the worker. */
export const builtinTransforms: readonly (TransformationPlugin | PredicatePlugin)[] = shipped.map((plugin) => ({
  ...plugin,
  errorCodes: transformErrorCodes,
}))
