import { defineErrorCodes } from '../../worker/api/errors.ts'
import { s3ErrorCodes } from '../common/s3-errors.ts'

export { classifyS3Error as classify } from '../common/s3-errors.ts'

/** Codes of the S3 sink: requests (shared with other users of S3) and records. */
export const s3SinkErrorCodes = defineErrorCodes({
  ...s3ErrorCodes,
  CONNECT_S3_BUCKET_MISSING: {
    meaning: 'The bucket does not exist.',
    remedy: 'Create it, or correct s3.bucket.name, s3.region and store.url.',
  },
  CONNECT_S3_VALUE_NOT_BYTES: {
    meaning: 'ByteArrayFormat got a value that is not bytes.',
    remedy: 'Set the converter to org.apache.kafka.connect.converters.ByteArrayConverter.',
  },
  CONNECT_S3_VALUE_NOT_OBJECT: {
    meaning: 'format.output.meta.fields cannot add members to a value that is not a JSON object.',
    remedy: 'Wrap the value (HoistField), or leave format.output.meta.fields empty.',
  },
  CONNECT_S3_SCHEMA_MISSING: {
    meaning: 'Avro, Parquet or CSV got a record without a schema, so the columns are not known.',
    remedy: 'Use a converter with schemas, or JsonFormat; for CSV, csv.columns will do.',
  },
  CONNECT_S3_META_FIELD_TAKEN: {
    meaning: 'A value has a member of the name that format.output.meta.fields would add.',
    remedy: 'Rename that member by a transform (ReplaceField).',
  },
  CONNECT_S3_VALUE_MISMATCH: {
    meaning: 'A value does not fit its schema.',
    remedy: 'Correct the producer; errors.tolerance=all sends such records to the dead letter queue.',
  },
  CONNECT_S3_NULL_VALUE: {
    meaning: 'A record has no value.',
    remedy: 'Set behavior.on.null.values to ignore or write, or filter such records by a transform.',
  },
  CONNECT_S3_KEY_MISSING: {
    meaning: 'store.kafka.keys is set and a record has no key.',
    remedy: 'Set a key by a transform (ValueToKey), or store.kafka.keys=false.',
  },
  CONNECT_S3_HEADERS_MISSING: {
    meaning: 'store.kafka.headers is set and a record has no headers.',
    remedy: 'Add a header by a transform (InsertHeader), or set store.kafka.headers=false.',
  },
  CONNECT_S3_PARTITION: {
    meaning: 'The partitioner cannot tell the directory of a record: a field is missing or of a wrong type.',
    remedy: 'Correct partition.field.name or timestamp.field, or the producer.',
  },
  CONNECT_S3_SCHEMA_PROJECTION: {
    meaning: 'schema.compatibility needs versions on schemas, or a record cannot be projected to the current schema.',
    remedy: 'Give schemas versions, evolve them compatibly, or set schema.compatibility=NONE.',
  },
  CONNECT_S3_NAMES_TAKEN: {
    meaning: 'Conditional writes found existing objects at every name that may be tried.',
    remedy: 'Remove objects of other origin from topics.dir, or choose another topics.dir.',
  },
  CONNECT_S3_MERGE_CONTENDED: {
    meaning: 'Others changed an object again and again while records were to be merged into it (compact.merge).',
    remedy: 'Nothing: the sink tries again. Else spread the writers, so that a key has one topic partition.',
  },
  CONNECT_S3_MERGE_INVALID: {
    meaning: 'An object into which records are to be merged (compact.merge) is not one that this sink wrote.',
    remedy: 'Move the object away, or choose another topics.dir or file.name.template.',
  },
  CONNECT_S3_JOURNAL_CHANGED: {
    meaning: 'Another task wrote the journal of commits of the same topic partition.',
    remedy: 'Handled by the sink, which reads it again; if it goes on, two connectors share commit.journal.prefix.',
  },
  CONNECT_S3_JOURNAL_INVALID: {
    meaning: 'An object in the place of a journal of commits is not one.',
    remedy: 'Remove it, or choose another commit.journal.prefix.',
  },
  CONNECT_S3_TOO_MANY_PARTS: {
    meaning: 'An object would need more than 10,000 parts.',
    remedy: 'Raise s3.part.size, or lower flush.size or flush.size.bytes.',
  },
  CONNECT_S3_NOTIFY_TIMEOUT: {
    meaning: 'The metadata topic did not acknowledge a message in time. The offsets wait; the sink tries again.',
    remedy: 'Check the brokers of the metadata topic, or raise notify.timeout.ms.',
  },
  CONNECT_S3_COMPRESSION: {
    meaning: 'The compression of an object failed.',
    remedy: 'Check the memory of the worker, then restart the task.',
  },
})
