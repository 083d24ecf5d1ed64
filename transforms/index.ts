import { defineErrorCodes } from '../worker/api/errors.ts'
import type { PredicatePlugin, TransformationPlugin } from '../worker/api/plugin.ts'
import { extractChangedRecordState } from './extract-changed-record-state.ts'
import { extractField } from './extract-field.ts'
import { extractNewRecordState } from './extract-new-record-state.ts'
import { filter } from './filter.ts'
import { headerToValue } from './header-to-value.ts'
import { hoistField } from './hoist-field.ts'
import { insertField } from './insert-field.ts'
import { logicalTableRouter } from './logical-table-router.ts'
import { maskField } from './mask-field.ts'
import { maybeTombstone } from './maybe-tombstone.ts'
import { outboxEventRouter } from './outbox-event-router.ts'
import { partitionRouting } from './partition-routing.ts'
import { hasHeaderKey } from './predicates/has-header-key.ts'
import { recordIsTombstone } from './predicates/record-is-tombstone.ts'
import { topicNameMatches } from './predicates/topic-name-matches.ts'
import { regexRouter } from './regex-router.ts'
import { replaceField } from './replace-field.ts'
import { valueToKey } from './value-to-key.ts'

/** Codes of the data errors that transforms raise. */
export const transformErrorCodes = defineErrorCodes({
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
})

const shipped: readonly (TransformationPlugin | PredicatePlugin)[] = [
  extractChangedRecordState,
  extractNewRecordState,
  filter,
  headerToValue,
  maybeTombstone,
  outboxEventRouter,
  partitionRouting,
  regexRouter,
  valueToKey,
  hasHeaderKey,
  recordIsTombstone,
  topicNameMatches,
  ...logicalTableRouter,
  ...[extractField, hoistField, insertField, maskField, replaceField].flat(),
]

/** The transformations and predicates that come with the worker. */
export const builtinTransforms: readonly (TransformationPlugin | PredicatePlugin)[] = shipped.map((plugin) => ({
  ...plugin,
  errorCodes: transformErrorCodes,
}))
