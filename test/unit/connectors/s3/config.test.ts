import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { s3SinkConfig } from '../../../../connectors/s3/config.ts'
import { compatibilityOf } from '../../../../connectors/s3/config-rules.ts'
import { clientOptions } from '../../../../connectors/s3/settings.ts'
import { ConfigError } from '../../../../worker/api/errors.ts'
import { parseConfig, validateConfig } from '../../../../worker/config/config-def.ts'

const base = {
  's3.bucket.name': 'lake',
  'storage.class': 'io.confluent.connect.s3.storage.S3Storage',
  'format.class': 'io.confluent.connect.s3.format.json.JsonFormat',
  'flush.size': '3',
}

/** Options in error, sorted; empty when the config is fine. */
function refused(changes: Readonly<Record<string, string | null>>): readonly string[] {
  const raw: Record<string, string> = { ...base }
  for (const [option, value] of Object.entries(changes)) {
    if (value === null) delete raw[option]
    else raw[option] = value
  }
  try {
    parseConfig(s3SinkConfig, raw)
    return []
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return [...new Set(error.problems.map((problem) => problem.option))].sort()
  }
}

const partitioner = (name: string) => `io.confluent.connect.storage.partitioner.${name}Partitioner`

const format = (name: string) => `io.confluent.connect.s3.format.${name.toLowerCase()}.${name}Format`
const gzip = { 's3.compression.type': 'gzip' }
const role = 's3.credentials.provider.sts.role'
const assumeRole = { 's3.credentials.provider.class': 'io.confluent.connect.s3.auth.AwsAssumeRoleCredentialsProvider' }
const timeBased = {
  'partitioner.class': partitioner('TimeBased'),
  'partition.duration.ms': '3600000',
  locale: 'en',
  timezone: 'UTC',
}

for (const [statement, changes, options] of [
  ['', { 'behavior.on.null.values': 'row', 'format.output.meta.fields': 'op' }, []],
  ['', { 'behavior.on.null.values': 'row' }, ['behavior.on.null.values', 'format.output.meta.fields']],
  [
    '',
    {
      'behavior.on.null.values': 'row',
      'format.output.meta.fields': 'op',
      'partitioner.class': partitioner('Field'),
      'partition.field.name': 'a',
    },
    ['behavior.on.null.values', 'partitioner.class'],
  ],
  ['', {}, []],
  ['S2', { 'flush.size': null }, ['flush.size']],
  ['S2', { 's3.bucket.name': null }, ['s3.bucket.name']],
  ['S2', { 'format.class': null }, ['format.class']],
  ['S2', { 'storage.class': null }, ['storage.class']],
  ['S3', { 's3.part.size': '5242879' }, ['s3.part.size']],
  ['S3', { 's3.part.size': '5242880' }, []],
  ['S4', { 's3.compression.level': '10' }, ['s3.compression.level']],
  ['S4', { 's3.compression.level': '-2' }, ['s3.compression.level']],
  ['S4', { 's3.compression.level': '-1' }, []],
  ['S4', { 's3.compression.level': '9' }, []],
  ['S4', { 's3.compression.type': 'zip' }, ['s3.compression.type']],
  ['S5', { 's3.part.retries': '-1' }, ['s3.part.retries']],
  ['S5', { 's3.retry.backoff.ms': '-1' }, ['s3.retry.backoff.ms']],
  ['S5', { 'retry.backoff.ms': '-1' }, ['retry.backoff.ms']],
  ['S6', { 'parquet.codec': 'uncompressed' }, ['parquet.codec']],
  ['S6', { 'parquet.codec': 'shrink' }, ['parquet.codec']],
  ['S6', { 'parquet.codec': 'ZSTD' }, ['parquet.codec']],
  ...['none', 'snappy', 'gzip', 'lzo', 'brotli', 'lz4', 'lz4_raw', 'zstd'].map(
    (codec) => ['S6', { 'parquet.codec': codec }, []] as const,
  ),
  ['S7', { ...gzip, 'format.class': format('Avro') }, ['format.class', 's3.compression.type']],
  ['S7', { ...gzip, 'format.class': format('Parquet') }, ['format.class', 's3.compression.type']],
  ['S7', { ...gzip, 'format.class': format('ByteArray') }, []],
  ['S7', { ...gzip, 'store.kafka.keys': 'true' }, ['keys.format.class', 's3.compression.type', 'store.kafka.keys']],
  ['S7', { ...gzip, 'store.kafka.keys': 'true', 'keys.format.class': format('Json') }, []],
  ['S7', { ...gzip, 'headers.format.class': format('Parquet') }, []],
  ['S8', { 'rotate.schedule.interval.ms': '1000' }, ['rotate.schedule.interval.ms', 'timezone']],
  ['S9', { 'behavior.on.null.values': 'write' }, ['behavior.on.null.values', 'store.kafka.keys']],
  ['S9', { 'behavior.on.null.values': 'write', 'store.kafka.keys': 'true' }, []],
  ['S10', { 'partitioner.class': partitioner('Field') }, ['partition.field.name']],
  ['S10', { 'partitioner.class': partitioner('Field'), 'partition.field.name': 'a,b..c' }, ['partition.field.name']],
  ['S10', { 'partitioner.class': partitioner('Field'), 'partition.field.name': 'a,b.c' }, []],
  ['S11', { 's3.schema.partition.affix.type': 'MIDDLE' }, ['s3.schema.partition.affix.type']],
  ['S12', assumeRole, [`${role}.arn`, `${role}.external.id`, `${role}.session.name`]],
  ['S12', { ...assumeRole, [`${role}.arn`]: 'a', [`${role}.external.id`]: 'b', [`${role}.session.name`]: 'c' }, []],
  ['S12', { 's3.credentials.provider.class': 'com.acme.Mine' }, ['s3.credentials.provider.class']],
  ['S13', { 's3.wan.mode': 'true' }, ['s3.path.style.access.enabled', 's3.wan.mode']],
  ['S13', { 's3.wan.mode': 'true', 's3.path.style.access.enabled': 'false' }, []],
  ['S17', { 's3.object.tagging.key.value.pairs': 'a' }, ['s3.object.tagging.key.value.pairs']],
  ['S17', { 's3.object.tagging.key.value.pairs': 'a:b,c:d' }, []],
  ['S17', { 's3.object.tagging.key.value.pairs': 'a:b:c' }, []],
  ['S67', { 's3.ssea.name': 'aes256' }, ['s3.ssea.name']],
  ['S67', { 's3.ssea.name': 'aws:kms:dsse' }, []],
  ['S68', { 's3.acl.canned': 'everyone' }, ['s3.acl.canned']],
  ['S68', { 's3.acl.canned': 'bucket-owner-full-control' }, []],
  ['S57', { 'format.class': format('Parquet'), 'parquet.codec': 'lzo' }, ['parquet.codec']],
  ['S56', { 'format.class': format('Avro'), 'avro.codec': 'bzip2' }, ['avro.codec']],
  ['S56', { 'store.kafka.keys': 'true', 'avro.codec': 'bzip2' }, ['avro.codec']],
  ['S56', { 'avro.codec': 'bzip2' }, []],
  ['', { 'max.write.duration.ms': '9223372036854775807' }, []],
  ['section 3.9', { 'aws.s3.prefix': 'lake/' }, ['topics.dir']],
  ['section 3.9', { 'file.max.records': '0' }, ['flush.size']],
  ['section 3.9', { 'format.output.type': 'jsonl' }, ['format.class']],
  ['section 3.9', { 'format.output.fields': 'key,value' }, ['format.output.meta.fields']],
  ['section 3.9', { 'format.output.envelope': 'false' }, ['format.class']],
  ['S27', { ...timeBased, 'path.format': "'year'=YYYY/" }, []],
  ['S27', { ...timeBased, 'path.format': '/' }, ['path.format']],
  ['S18', { 'json.decimal.format': 'TEXT' }, ['json.decimal.format']],
  ['S18', { 'json.decimal.format': 'NUMERIC' }, []],
  ['S19', { 'schema.compatibility': 'SOMETHING' }, []],
  ['', { 'format.class': 'com.acme.MyFormat' }, ['format.class']],
  ['', { 'store.kafka.keys': 'true' }, []],
  [
    '',
    { 'partitioner.class': partitioner('TimeBased') },
    ['locale', 'partition.duration.ms', 'path.format', 'timezone'],
  ],
  ['', { 'partitioner.class': partitioner('Daily'), locale: 'en', timezone: 'Mars/Base' }, ['timezone']],
  ['', { 'partitioner.class': 'com.acme.Mine' }, ['partitioner.class']],
  ['', { 'aws.access.key.id': 'x' }, ['aws.secret.access.key']],
  ['', { 's3.proxy.url': 'http://p' }, []],
  ['', { 's3.proxy.url': 'http://[' }, ['s3.proxy.url']],
  ['', { 'format.output.meta.fields': 'offset,other' }, ['format.output.meta.fields']],
  ['', { 'notify.topic': 'files', 'notify.group.from': 'value' }, ['notify.group.from']],
  ['', { 'flush.size': '0' }, []],
  ['', { 'file.name.template': '{{key}}' }, []],
  ['', { 'file.name.template': '{{topic}}-{{start_offset}}' }, ['file.name.template']],
  ['', { 'file.name.template': '{{key}}-{{topic}}' }, ['file.name.template']],
  ['', { 'file.name.template': '{{topic}}-{{partition}}-{{start_offset}}' }, []],
  ['', { 'file.name.template': '{{topic}}-{{partition}}-{{start_offset}}-{{end_offset}}' }, ['file.name.template']],
  ['', { 'file.name.template': '{{topic}}-{{partition}}-{{start_offset:padding=yes}}' }, ['file.name.template']],
  ['', { 'file.name.template': '{{topic}}-{{partition}}-{{start_offset' }, ['file.name.template']],
  ['', { 'file.name.template': '{{topic}}{{partition}}{{start_offset}}{{timestamp:unit=ss}}' }, ['file.name.template']],
  ['', { 'file.name.template': '{{key}}', 'file.name.timestamp.timezone': 'Mars' }, ['file.name.timestamp.timezone']],
  [
    '',
    {
      'file.name.template': '{{topic}}{{partition}}{{start_offset}}{{key}}',
      'notify.topic': 'f',
      'notify.group.from': 'topic',
    },
    ['notify.topic'],
  ],
  ['', { 'file.name.template': '{{topic}}{{partition}}{{start_offset}}', 'notify.topic': 'f' }, ['notify.group.from']],
  [
    '',
    {
      'file.name.template': '{{topic}}{{partition}}{{start_offset}}',
      'notify.topic': 'f',
      'notify.group.from': 'topic',
    },
    [],
  ],
  ['', { 'compact.merge': 'true' }, ['compact.merge']],
  [
    '',
    { 'compact.merge': 'true', 'file.name.template': '{{key}}', 's3.compression.type': 'gzip' },
    ['s3.compression.type'],
  ],
  ['', { 'notify.topic': 'files', 'notify.group.from': 'key' }, ['notify.group.from']],
  ['', { 'notify.topic': 'files', 'notify.group.from': 'key', 'partitioner.class': 'KeyPartitioner' }, []],
  ['', { 'notify.topic': 'files', 'notify.group.from': 'header:x' }, ['notify.group.from']],
  [
    '',
    {
      'notify.topic': 'f',
      'notify.group.from': 'header:x',
      'partitioner.class': 'HeaderPartitioner',
      'partition.field.name': 'x',
    },
    [],
  ],
  ['', { 'partitioner.class': 'HeaderPartitioner' }, ['partition.field.name']],
  ['', { 'file.name.template': '{{key}}', 'notify.topic': 'files' }, ['notify.topic']],
  ['', { 'behavior.on.null.values': 'delete' }, ['behavior.on.null.values']],
] as const) {
  const cited = statement === '' ? '' : ` (${statement})`
  test(`S3 config ${JSON.stringify(changes)} refuses ${options.length === 0 ? 'nothing' : options.join(', ')}${cited}`, () => {
    assert.deepEqual(refused(changes), options)
  })
}

// Statements S2, S3, S4, S5, S6, S7, S9, S10, S11, S13, S18 are the rows above.

test('the schedule without a time zone says what to set (S8)', () => {
  assert.throws(
    () => parseConfig(s3SinkConfig, { ...base, 'rotate.schedule.interval.ms': '1000' }),
    /timezone configuration must be set when using rotate.schedule.interval.ms/,
  )
})

test('an address without a scheme is https (S14)', () => {
  const endpoint = (url: string) => clientOptions(parseConfig(s3SinkConfig, { ...base, 'store.url': url })).endpoint
  assert.equal(endpoint('minio.local:9000'), 'https://minio.local:9000')
  assert.equal(endpoint('http://minio.local:9000'), 'http://minio.local:9000')
  assert.equal(endpoint(''), null)
})

test('options that mean the same in Aiven’s connector go by its names, too; our own win', () => {
  const { 's3.bucket.name': bucket, ...rest } = base
  const aiven = {
    ...rest,
    'aws.s3.bucket.name': 'pond',
    'aws.s3.region': 'eu-north-1',
    'aws.s3.endpoint': 'http://minio:9000',
    'file.compression.type': 'zstd',
  }
  const read = (raw: Readonly<Record<string, string>>) => {
    const config = parseConfig(s3SinkConfig, raw)
    return [config['s3.bucket.name'], config['s3.region'], config['store.url'], config['s3.compression.type']]
  }
  assert.deepEqual(read(aiven), ['pond', 'eu-north-1', 'http://minio:9000', 'zstd'])
  assert.deepEqual(read({ ...aiven, 's3.bucket.name': bucket, 's3.region': 'x', 's3.compression.type': 'none' }), [
    'lake',
    'x',
    'http://minio:9000',
    'none',
  ])
  assert.throws(() => parseConfig(s3SinkConfig, { ...aiven, 'file.compression.type': 'lzma' }), /s3\.compression\.type/)
})

test('{{end_offset}} is refused with its reason', () => {
  const raw = { ...base, 'file.name.template': '{{topic}}-{{partition}}-{{start_offset}}-{{end_offset}}' }
  assert.throws(() => parseConfig(s3SinkConfig, raw), /'\{\{end_offset\}\}' is not known when a file begins: use /)
})

test('an unknown compatibility is NONE (S19)', () => {
  assert.equal(compatibilityOf('SOMETHING'), 'NONE')
  assert.equal(compatibilityOf('BACKWARD'), 'BACKWARD')
  assert.equal(compatibilityOf('backward'), 'NONE')
})

test('defaults are those of the Java connector (S1)', () => {
  const config: Readonly<Record<string, unknown>> = parseConfig(s3SinkConfig, base)
  for (const [option, value] of Object.entries({
    's3.region': 'us-west-2',
    'store.url': null,
    'topics.dir': 'topics',
    'directory.delim': '/',
    'file.delim': '+',
    'rotate.interval.ms': -1,
    'rotate.schedule.interval.ms': -1,
    'rotate.file.on.partition.change': true,
    's3.compression.type': 'none',
    's3.compression.level': -1,
    'avro.codec': 'null',
    'parquet.codec': 'snappy',
    'json.decimal.format': 'BASE64',
    'format.bytearray.extension': '.bin',
    'schema.compatibility': 'NONE',
    'schemas.cache.config': 1000,
    'enhanced.avro.schema.support': true,
    'connect.meta.data': true,
    'allow.optional.map.keys': false,
    'partitioner.class': partitioner('Default'),
    'partition.field.name': [],
    'partition.duration.ms': -1,
    'path.format': '',
    locale: '',
    timezone: '',
    'timestamp.extractor': 'Wallclock',
    'timestamp.field': 'timestamp',
    's3.schema.partition.affix.type': 'NONE',
    'behavior.on.null.values': 'fail',
    'tombstone.encoded.partition': 'tombstone',
    'report.null.values.to.dlq': true,
    'store.kafka.keys': false,
    'store.kafka.headers': false,
    'keys.format.class': format('Avro'),
    'headers.format.class': format('Avro'),
    'filename.offset.zero.pad.width': 10,
    's3.part.size': 26_214_400,
    's3.elastic.buffer.enable': false,
    's3.elastic.buffer.init.capacity': 131_072,
    's3.part.retries': 3,
    's3.retry.backoff.ms': 200,
    'retry.backoff.ms': 5000,
    'shutdown.timeout.ms': 3000,
    's3.ssea.name': '',
    's3.sse.kms.key.id': '',
    's3.acl.canned': null,
    's3.path.style.access.enabled': true,
    's3.wan.mode': false,
    's3.send.digest': false,
    's3.http.send.expect.continue': true,
    's3.proxy.url': '',
    's3.object.tagging': false,
    's3.object.tagging.key.value.pairs': [],
    's3.object.behavior.on.tagging.error': 'ignore',
    'enable.conditional.writes': true,
    'partitioner.max.open.files': -1,
    'max.files.scan.limit': 100,
  })) {
    assert.deepEqual(config[option], value, option)
  }
})

/** Every option that a recorded configuration uses exists here: none is ignored in silence. */
test('options of the recorded cases are known', () => {
  const folder = new URL('../../../conformance/golden/sinks/s3/', import.meta.url)
  const raw = JSON.parse(readFileSync(new URL('033-schedule/connector.json', folder), 'utf8')) as Record<string, string>
  const framework = /^(connector\.class|tasks\.max|topics|(key|value)\.converter.*)$/
  const unknown = Object.keys(raw).filter((option) => !framework.test(option) && !(option in s3SinkConfig.keys))
  assert.deepEqual(unknown, [])
})

/** What `config/validate` tells of one option. */
function told(option: string, changes: Readonly<Record<string, string>>) {
  const infos = validateConfig(s3SinkConfig, { ...base, ...changes })
  const info = infos.find(({ value }) => value.name === option)
  assert.ok(info !== undefined, option)
  return info
}

test('refusals have the words of the Java connector', () => {
  const field = { 'partitioner.class': partitioner('Field') }
  const refusals: readonly (readonly [string, Readonly<Record<string, string>>, string])[] = [
    [
      's3.part.size',
      { 's3.part.size': '1' },
      'Invalid value 1 for configuration s3.part.size: Part size must be at least: 5242880 bytes (5MB)',
    ],
    [
      'parquet.codec',
      { 'parquet.codec': 'GZIP' },
      'Invalid value GZIP for configuration parquet.codec: Value must be one of: [none, gzip, snappy, lz4, brotli, lz4_raw, zstd, lzo]',
    ],
    [
      's3.schema.partition.affix.type',
      { 's3.schema.partition.affix.type': 'prefix' },
      'Invalid value prefix for configuration s3.schema.partition.affix.type: String must be one of: SUFFIX, PREFIX, NONE',
    ],
    [
      's3.object.behavior.on.tagging.error',
      { 's3.object.behavior.on.tagging.error': 'x' },
      'Invalid value x for configuration s3.object.behavior.on.tagging.error: String must be one of: ignore, fail',
    ],
    [
      'partition.field.name',
      { ...field, 'partition.field.name': 'a,b. .c' },
      'Invalid value b. .c for configuration partition.field.name: Field name cannot contain an empty or whitespace-only path segment',
    ],
    ['partition.field.name', field, 'Partition field name cannot be null or empty when using FieldPartitioner.'],
    [
      'format.class',
      { ...gzip, 'format.class': format('Avro') },
      'Compression Type gzip not valid for data format class: ( io.confluent.connect.s3.format.avro.AvroFormat ).',
    ],
  ]
  for (const [option, changes, message] of refusals) assert.deepEqual(told(option, changes).value.errors, [message])
})

test('validation proposes values, and shows the options that the others leave to choose', () => {
  const shown = (option: string, changes: Readonly<Record<string, string>>) => told(option, changes).value.visible
  assert.deepEqual(told('s3.schema.partition.affix.type', {}).value.recommended_values, ['SUFFIX', 'PREFIX', 'NONE'])
  assert.equal(shown('avro.codec', {}), false)
  assert.equal(shown('avro.codec', { 'format.class': format('Avro') }), true)
  assert.equal(shown('keys.format.class', {}), false)
  assert.equal(shown('keys.format.class', { 'store.kafka.keys': 'true' }), true)
  assert.equal(shown('path.format', { 'partitioner.class': partitioner('Daily') }), false)
  assert.equal(shown('path.format', { 'partitioner.class': partitioner('TimeBased') }), true)
  assert.equal(shown('partition.field.name', { 'partitioner.class': partitioner('Header') }), true)
  assert.equal(shown('s3.sse.kms.key.id', { 's3.ssea.name': 'aws:kms' }), true)
  const { definition } = told('partitioner.class', {})
  assert.deepEqual(
    [definition?.group, definition?.order_in_group, definition?.width, definition?.display_name],
    ['Partitioner', 1, 'LONG', 'Partitioner Class'],
  )
})
