/** Written by `npm run docs` from the manifests of the built-in plugins; do not edit. */
import type { BuiltinModule } from './builtin-modules.ts'
import type { PluginName } from './registry.ts'

export const builtinNames: Readonly<Record<BuiltinModule, readonly PluginName[]>> = {
  'connectors/file-stream': [
    { type: 'sink', name: 'org.apache.kafka.connect.file.FileStreamSinkConnector', aliases: [], version: '4.3.0' },
    { type: 'source', name: 'org.apache.kafka.connect.file.FileStreamSourceConnector', aliases: [], version: '4.3.0' },
  ],
  'connectors/postgres-cdc': [
    { type: 'source', name: 'io.debezium.connector.postgresql.PostgresConnector', aliases: ['PostgresConnector', 'Postgres'], version: '3.7.0.Final' },
  ],
  'connectors/elasticsearch': [
    { type: 'sink', name: 'io.confluent.connect.elasticsearch.ElasticsearchSinkConnector', aliases: ['ElasticsearchSinkConnector', 'ElasticsearchSink'], version: '0.1.0' },
  ],
  'connectors/s3': [
    { type: 'sink', name: 'io.confluent.connect.s3.S3SinkConnector', aliases: ['S3SinkConnector', 'S3Sink'], version: '0.1.0' },
  ],
  'connectors/redshift': [
    { type: 'sink', name: 'RedshiftCopySinkConnector', aliases: ['RedshiftCopySink', 'RedshiftSink'], version: '0.1.0' },
  ],
  'converters/connect': [
    { type: 'converter', name: 'org.apache.kafka.connect.json.JsonConverter', aliases: [], version: '4.3.0' },
    { type: 'header_converter', name: 'org.apache.kafka.connect.json.JsonConverter', aliases: [], version: '4.3.0' },
    { type: 'converter', name: 'org.apache.kafka.connect.storage.StringConverter', aliases: [], version: '4.3.0' },
    { type: 'header_converter', name: 'org.apache.kafka.connect.storage.StringConverter', aliases: [], version: '4.3.0' },
    { type: 'converter', name: 'org.apache.kafka.connect.converters.ByteArrayConverter', aliases: [], version: '4.3.0' },
    { type: 'header_converter', name: 'org.apache.kafka.connect.converters.ByteArrayConverter', aliases: [], version: '4.3.0' },
    { type: 'converter', name: 'org.apache.kafka.connect.converters.ShortConverter', aliases: [], version: '4.3.0' },
    { type: 'header_converter', name: 'org.apache.kafka.connect.converters.ShortConverter', aliases: [], version: '4.3.0' },
    { type: 'converter', name: 'org.apache.kafka.connect.converters.IntegerConverter', aliases: [], version: '4.3.0' },
    { type: 'header_converter', name: 'org.apache.kafka.connect.converters.IntegerConverter', aliases: [], version: '4.3.0' },
    { type: 'converter', name: 'org.apache.kafka.connect.converters.LongConverter', aliases: [], version: '4.3.0' },
    { type: 'header_converter', name: 'org.apache.kafka.connect.converters.LongConverter', aliases: [], version: '4.3.0' },
    { type: 'converter', name: 'org.apache.kafka.connect.converters.FloatConverter', aliases: [], version: '4.3.0' },
    { type: 'header_converter', name: 'org.apache.kafka.connect.converters.FloatConverter', aliases: [], version: '4.3.0' },
    { type: 'converter', name: 'org.apache.kafka.connect.converters.DoubleConverter', aliases: [], version: '4.3.0' },
    { type: 'header_converter', name: 'org.apache.kafka.connect.converters.DoubleConverter', aliases: [], version: '4.3.0' },
    { type: 'converter', name: 'org.apache.kafka.connect.converters.BooleanConverter', aliases: [], version: '4.3.0' },
    { type: 'header_converter', name: 'org.apache.kafka.connect.converters.BooleanConverter', aliases: [], version: '4.3.0' },
    { type: 'header_converter', name: 'org.apache.kafka.connect.storage.SimpleHeaderConverter', aliases: [], version: '4.3.0' },
  ],
  'converters/registry': [
    { type: 'converter', name: 'io.confluent.connect.avro.AvroConverter', aliases: [], version: '4.3.0' },
    { type: 'converter', name: 'io.confluent.connect.protobuf.ProtobufConverter', aliases: [], version: '4.3.0' },
    { type: 'converter', name: 'io.confluent.connect.json.JsonSchemaConverter', aliases: [], version: '4.3.0' },
  ],
  'converters/cloud-events': [
    { type: 'converter', name: 'io.debezium.converters.CloudEventsConverter', aliases: [], version: '3.7.0.Final' },
  ],
  'transforms/cast': [
    { type: 'transformation', name: 'org.apache.kafka.connect.transforms.Cast$Key', aliases: [], version: '4.3.0' },
    { type: 'transformation', name: 'org.apache.kafka.connect.transforms.Cast$Value', aliases: [], version: '4.3.0' },
  ],
  'transforms/content-based-router': [
    { type: 'transformation', name: 'io.debezium.transforms.ContentBasedRouter', aliases: [], version: '3.7.0' },
  ],
  'transforms/decode-message-content': [
    { type: 'transformation', name: 'io.debezium.connector.postgresql.transforms.DecodeLogicalDecodingMessageContent', aliases: [], version: '3.7.0' },
  ],
  'transforms/drop-headers': [
    { type: 'transformation', name: 'org.apache.kafka.connect.transforms.DropHeaders', aliases: [], version: '4.3.0' },
  ],
  'transforms/envelope': [
    { type: 'transformation', name: 'sluice.transforms.Envelope', aliases: ['Envelope'], version: '1.0.0' },
  ],
  'transforms/extract-changed-record-state': [
    { type: 'transformation', name: 'io.debezium.transforms.ExtractChangedRecordState', aliases: [], version: '3.7.0' },
  ],
  'transforms/extract-field': [
    { type: 'transformation', name: 'org.apache.kafka.connect.transforms.ExtractField$Key', aliases: [], version: '4.3.0' },
    { type: 'transformation', name: 'org.apache.kafka.connect.transforms.ExtractField$Value', aliases: [], version: '4.3.0' },
  ],
  'transforms/extract-new-record-state': [
    { type: 'transformation', name: 'io.debezium.transforms.ExtractNewRecordState', aliases: [], version: '3.7.0' },
  ],
  'transforms/extract-schema-to-new-record': [
    { type: 'transformation', name: 'io.debezium.transforms.ExtractSchemaToNewRecord', aliases: [], version: '3.7.0' },
  ],
  'transforms/filter': [
    { type: 'transformation', name: 'org.apache.kafka.connect.transforms.Filter', aliases: ['Filter'], version: '4.3.0' },
  ],
  'transforms/flatten': [
    { type: 'transformation', name: 'org.apache.kafka.connect.transforms.Flatten$Key', aliases: [], version: '4.3.0' },
    { type: 'transformation', name: 'org.apache.kafka.connect.transforms.Flatten$Value', aliases: [], version: '4.3.0' },
  ],
  'transforms/header-from': [
    { type: 'transformation', name: 'org.apache.kafka.connect.transforms.HeaderFrom$Key', aliases: [], version: '4.3.0' },
    { type: 'transformation', name: 'org.apache.kafka.connect.transforms.HeaderFrom$Value', aliases: [], version: '4.3.0' },
  ],
  'transforms/header-to-value': [
    { type: 'transformation', name: 'io.debezium.transforms.HeaderToValue', aliases: [], version: '3.7.0' },
  ],
  'transforms/hoist-field': [
    { type: 'transformation', name: 'org.apache.kafka.connect.transforms.HoistField$Key', aliases: [], version: '4.3.0' },
    { type: 'transformation', name: 'org.apache.kafka.connect.transforms.HoistField$Value', aliases: [], version: '4.3.0' },
  ],
  'transforms/insert-field': [
    { type: 'transformation', name: 'org.apache.kafka.connect.transforms.InsertField$Key', aliases: [], version: '4.3.0' },
    { type: 'transformation', name: 'org.apache.kafka.connect.transforms.InsertField$Value', aliases: [], version: '4.3.0' },
  ],
  'transforms/insert-header': [
    { type: 'transformation', name: 'org.apache.kafka.connect.transforms.InsertHeader', aliases: [], version: '4.3.0' },
  ],
  'transforms/logical-table-router': [
    { type: 'transformation', name: 'io.debezium.transforms.ByLogicalTableRouter', aliases: [], version: '3.7.0' },
    { type: 'transformation', name: 'io.debezium.transforms.ToLogicalTopicRouter', aliases: [], version: '3.7.0' },
  ],
  'transforms/mask-field': [
    { type: 'transformation', name: 'org.apache.kafka.connect.transforms.MaskField$Key', aliases: [], version: '4.3.0' },
    { type: 'transformation', name: 'org.apache.kafka.connect.transforms.MaskField$Value', aliases: [], version: '4.3.0' },
  ],
  'transforms/max-record-size': [
    { type: 'transformation', name: 'sluice.transforms.MaxRecordSize', aliases: ['MaxRecordSize'], version: '1.0.0' },
  ],
  'transforms/maybe-tombstone': [
    { type: 'transformation', name: 'sluice.transforms.MaybeTombstone', aliases: ['MaybeTombstone'], version: '1.0.0' },
  ],
  'transforms/outbox-event-router': [
    { type: 'transformation', name: 'io.debezium.transforms.outbox.EventRouter', aliases: [], version: '3.7.0' },
  ],
  'transforms/partition-routing': [
    { type: 'transformation', name: 'io.debezium.transforms.partitions.PartitionRouting', aliases: [], version: '3.7.0' },
  ],
  'transforms/predicates/has-header-key': [
    { type: 'predicate', name: 'org.apache.kafka.connect.transforms.predicates.HasHeaderKey', aliases: [], version: '4.3.0' },
  ],
  'transforms/predicates/record-is-tombstone': [
    { type: 'predicate', name: 'org.apache.kafka.connect.transforms.predicates.RecordIsTombstone', aliases: [], version: '4.3.0' },
  ],
  'transforms/predicates/topic-name-matches': [
    { type: 'predicate', name: 'org.apache.kafka.connect.transforms.predicates.TopicNameMatches', aliases: [], version: '4.3.0' },
  ],
  'transforms/redact': [
    { type: 'transformation', name: 'sluice.transforms.Redact$Key', aliases: [], version: '1.0.0' },
    { type: 'transformation', name: 'sluice.transforms.Redact$Value', aliases: [], version: '1.0.0' },
  ],
  'transforms/regex-router': [
    { type: 'transformation', name: 'org.apache.kafka.connect.transforms.RegexRouter', aliases: [], version: '4.3.0' },
  ],
  'transforms/replace-field': [
    { type: 'transformation', name: 'org.apache.kafka.connect.transforms.ReplaceField$Key', aliases: [], version: '4.3.0' },
    { type: 'transformation', name: 'org.apache.kafka.connect.transforms.ReplaceField$Value', aliases: [], version: '4.3.0' },
  ],
  'transforms/schema-change-event-filter': [
    { type: 'transformation', name: 'io.debezium.transforms.SchemaChangeEventFilter', aliases: [], version: '3.7.0' },
  ],
  'transforms/script': [
    { type: 'transformation', name: 'sluice.transforms.Script', aliases: ['Script'], version: '1.0.0' },
  ],
  'transforms/scripted-filter': [
    { type: 'transformation', name: 'io.debezium.transforms.Filter', aliases: [], version: '3.7.0' },
  ],
  'transforms/set-schema-metadata': [
    { type: 'transformation', name: 'org.apache.kafka.connect.transforms.SetSchemaMetadata$Key', aliases: [], version: '4.3.0' },
    { type: 'transformation', name: 'org.apache.kafka.connect.transforms.SetSchemaMetadata$Value', aliases: [], version: '4.3.0' },
  ],
  'transforms/timestamp-converter': [
    { type: 'transformation', name: 'org.apache.kafka.connect.transforms.TimestampConverter$Key', aliases: [], version: '4.3.0' },
    { type: 'transformation', name: 'org.apache.kafka.connect.transforms.TimestampConverter$Value', aliases: [], version: '4.3.0' },
  ],
  'transforms/timestamp-router': [
    { type: 'transformation', name: 'org.apache.kafka.connect.transforms.TimestampRouter', aliases: [], version: '4.3.0' },
  ],
  'transforms/timezone-converter': [
    { type: 'transformation', name: 'io.debezium.transforms.TimezoneConverter', aliases: [], version: '3.7.0' },
  ],
  'transforms/value-to-key': [
    { type: 'transformation', name: 'org.apache.kafka.connect.transforms.ValueToKey', aliases: [], version: '4.3.0' },
  ],
}
