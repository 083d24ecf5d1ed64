import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { postgresConfig } from '../../../../connectors/postgres-cdc/config.ts'
import { projectRoot } from '../../../support/project-root.ts'

/** What the definition of Debezium 3.7.0's connector names, but for patterns and the notification channel `http`. */
const debezium = `
  binary.handling.mode column.exclude.list column.include.list column.propagate.source.type
  connection.validation.timeout.ms converters custom.metric.tags custom.sanitize.pattern database.dbname
  database.exclude.list database.hostname database.include.list database.initial.statements database.password
  database.port database.query.timeout.ms database.sslcert database.sslfactory database.sslkey database.sslmode
  database.sslpassword database.sslrootcert database.tcpKeepAlive database.user datatype.propagate.source.type
  decimal.handling.mode errors.max.retries event.converting.failure.handling.mode
  event.processing.failure.handling.mode executor.shutdown.timeout.ms extended.headers.enabled
  field.name.adjustment.mode flush.lsn.source guardrail.collections.limit.action guardrail.collections.max
  heartbeat.action.query heartbeat.interval.ms heartbeat.topics.prefix hstore.handling.mode include.schema.comments
  include.unknown.datatypes incremental.snapshot.allow.schema.changes incremental.snapshot.chunk.size
  incremental.snapshot.watermarking.strategy internal.advanced.metrics.enable internal.legacy.snapshot.max.threads
  internal.log.position.check.enable internal.offset.activity.monitor.interval.ms
  internal.signal.processor.semaphore.wait.ms internal.signal.synchronous.batch.size
  internal.snapshot.scan.all.columns.force interval.handling.mode legacy.snapshot.max.threads lsn.flush.mode
  lsn.flush.timeout.action lsn.flush.timeout.ms max.batch.size max.queue.size max.queue.size.in.bytes
  memory.management.schemas.class memory.management.tables.class message.key.columns message.prefix.exclude.list
  message.prefix.include.list notification.enabled.channels notification.sink.topic.name
  openlineage.integration.config.file.path openlineage.integration.dataset.kafka.bootstrap.servers
  openlineage.integration.enabled openlineage.integration.job.description openlineage.integration.job.namespace
  openlineage.integration.job.owners openlineage.integration.job.tags plugin.name poll.interval.ms post.processors
  provide.transaction.metadata publication.autocreate.mode publication.name publish.via.partition.root
  query.fetch.size replica.identity.autoset.values retriable.restart.connector.wait.ms schema.exclude.list
  schema.include.list schema.name.adjustment.mode schema.refresh.mode signal.data.collection
  signal.emit.failure.backoff.ms signal.emit.failure.max.retries signal.enabled.channels signal.poll.interval.ms
  skip.messages.without.change skipped.operations slot.drop.on.stop slot.failover slot.max.retries slot.name
  slot.retry.delay.ms slot.stream.params snapshot.delay.ms snapshot.fetch.size snapshot.include.collection.list
  snapshot.isolation.mode snapshot.lock.timeout.ms snapshot.locking.mode snapshot.locking.mode.custom.name
  snapshot.max.threads snapshot.max.threads.multiplier snapshot.mode snapshot.mode.configuration.based.snapshot.data
  snapshot.mode.configuration.based.snapshot.on.data.error snapshot.mode.configuration.based.snapshot.on.schema.error
  snapshot.mode.configuration.based.snapshot.schema snapshot.mode.configuration.based.start.stream
  snapshot.mode.custom.name snapshot.query.mode snapshot.query.mode.custom.name snapshot.select.statement.overrides
  snapshot.tables.order.by.row.count sourceinfo.struct.maker statistics.metrics.enabled status.update.interval.ms
  streaming.delay.ms table.exclude.list table.ignore.builtin table.include.list time.precision.mode
  tombstones.on.delete topic.naming.strategy topic.prefix transaction.metadata.factory unavailable.value.placeholder
  xmin.fetch.interval.ms
`

/** Read under a name that is put together, or by the definition alone. */
const elsewhere: Readonly<Record<string, string>> = {
  'plugin.name': 'admits one value',
  'snapshot.query.mode.custom.name': 'admits one value',
  'snapshot.select.statement.overrides': 'the options that it names are read by their prefix',
  'snapshot.mode.configuration.based.snapshot.data': 'snapshot-mode.ts',
  'snapshot.mode.configuration.based.snapshot.schema': 'snapshot-mode.ts',
  'snapshot.mode.configuration.based.start.stream': 'snapshot-mode.ts',
  'snapshot.mode.configuration.based.snapshot.on.data.error': 'snapshot-mode.ts',
}

suite('options of the connector', () => {
  const { keys } = postgresConfig
  /** Inside of Debezium's, which nobody is told of. */
  const isInside = (option: string) => /^(?:internal|memory\.management|openlineage)\./.test(option)

  test('every option of Debezium is known, and what is not is its inside', () => {
    const known = new Set(
      Object.entries(keys).flatMap(([name, key]) => [name, ...('alternatives' in key ? (key.alternatives ?? []) : [])]),
    )
    const missing = debezium
      .trim()
      .split(/\s+/)
      .filter((option) => !known.has(option) && !isInside(option))
    assert.deepEqual(missing, [])
  })

  test('an option is used, or its documentation says that it has no effect, and why', () => {
    const folder = join(projectRoot, 'connectors/postgres-cdc')
    const files = globSync('**/*.ts', { cwd: folder }).filter((file) => !file.startsWith('options'))
    const sources = files.map((file) => readFileSync(join(folder, file), 'utf8')).join('\n')
    const isUsed = (option: string) => sources.includes(`'${option}'`) || sources.includes(`config.${option}`)
    const wrong = Object.entries(keys)
      .filter(([option, { doc }]) => {
        const saysNone = /^Has no effect[^.]*[:,;] ?\S|; has no effect here/.test(doc)
        return !saysNone && !isUsed(option) && elsewhere[option] === undefined
      })
      .map(([option]) => option)
    assert.deepEqual(wrong, [])
  })
})
