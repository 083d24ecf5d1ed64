import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { s3SinkConfig } from '../../../../connectors/s3/config.ts'
import { ConfigError } from '../../../../worker/api/errors.ts'
import { parseConfig } from '../../../../worker/config/config-def.ts'

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

for (const [changes, options] of [
  [{}, []],
  [{ 'flush.size': null }, ['flush.size']],
  [{ 's3.bucket.name': null }, ['s3.bucket.name']],
  [{ 's3.part.size': '5242879' }, ['s3.part.size']],
  [{ 's3.compression.level': '10' }, ['s3.compression.level']],
  [{ 's3.compression.type': 'zip' }, ['s3.compression.type']],
  [{ 's3.part.retries': '-1' }, ['s3.part.retries']],
  [{ 'format.class': 'io.confluent.connect.s3.format.avro.AvroFormat' }, []],
  [{ 'format.class': 'com.acme.MyFormat' }, ['format.class']],
  [{ 'store.kafka.keys': 'true' }, []],
  [{ 'rotate.schedule.interval.ms': '1000' }, ['rotate.schedule.interval.ms', 'timezone']],
  [{ 'behavior.on.null.values': 'write' }, ['behavior.on.null.values', 'store.kafka.keys']],
  [{ 'partitioner.class': partitioner('Field') }, ['partition.field.name']],
  [{ 'partitioner.class': partitioner('Field'), 'partition.field.name': 'a,b..c' }, ['partition.field.name']],
  [{ 'partitioner.class': partitioner('TimeBased') }, ['locale', 'partition.duration.ms', 'path.format', 'timezone']],
  [{ 'partitioner.class': partitioner('Daily'), locale: 'en', timezone: 'Mars/Base' }, ['timezone']],
  [{ 'partitioner.class': 'com.acme.Mine' }, ['partitioner.class']],
  [{ 's3.wan.mode': 'true' }, ['s3.path.style.access.enabled', 's3.wan.mode']],
  [{ 's3.object.tagging.key.value.pairs': 'a' }, ['s3.object.tagging.key.value.pairs']],
  [{ 'aws.access.key.id': 'x' }, ['aws.secret.access.key']],
  [{ 'file.name.template': '{{key}}' }, ['file.name.template']],
  [{ 's3.proxy.url': 'http://p' }, ['s3.proxy.url']],
  [{ 's3.credentials.provider.class': 'com.acme.Mine' }, ['s3.credentials.provider.class']],
  [{ 'format.output.meta.fields': 'offset,other' }, ['format.output.meta.fields']],
  [{ 'notify.topic': 'files', 'notify.group.from': 'value' }, ['notify.group.from']],
  [{ 'schema.compatibility': 'SOMETHING' }, []],
  [{ 'flush.size': '0' }, []],
  [{ 'store.url': 'localhost:1' }, []],
] as const) {
  test(`S3 config ${JSON.stringify(changes)} refuses ${options.length === 0 ? 'nothing' : options.join(', ')}`, () => {
    assert.deepEqual(refused(changes), options)
  })
}

/** Every option that a recorded configuration uses exists here: none is ignored in silence. */
test('options of the recorded cases are known', () => {
  const folder = new URL('../../../conformance/golden/sinks/s3/', import.meta.url)
  const raw = JSON.parse(readFileSync(new URL('033-schedule/connector.json', folder), 'utf8')) as Record<string, string>
  const framework = /^(connector\.class|tasks\.max|topics|(key|value)\.converter.*)$/
  const unknown = Object.keys(raw).filter((option) => !framework.test(option) && !(option in s3SinkConfig.keys))
  assert.deepEqual(unknown, [])
})
