/** Every metric that Connect 4.3 documents has a value at `GET /metrics`, in a worker that does what it measures. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { requireService } from '../support/services.ts'
import { ClusterUnderTest, eventually } from '../support/worker-process.ts'

const kafka = requireService('kafka')

const startups = (kind: string): readonly string[] =>
  ['attempts-total', 'success-total', 'success-percentage', 'failure-total', 'failure-percentage'].map(
    (name) => `${kind}-startup-${name}`,
  )
const timed = (name: string): readonly string[] => ['rate', 'total', 'time-avg', 'time-max'].map((n) => `${name}-${n}`)
const meters = (...names: readonly string[]): readonly string[] =>
  names.flatMap((name) => [`${name}-rate`, `${name}-total`])
const times = (name: string): readonly string[] => [`${name}-max-time-ms`, `${name}-avg-time-ms`]
const active = (kind: string): readonly string[] => ['', '-max', '-avg'].map((n) => `${kind}-record-active-count${n}`)

/** Numbers of each group, by Connect's names. */
const numbers: Readonly<Record<string, readonly string[]>> = {
  'connect-worker-metrics': [
    'connector-count',
    'task-count',
    ...startups('connector'),
    ...startups('task'),
    ...['total', 'running', 'paused', 'failed', 'unassigned', 'destroyed', 'restarting'].map(
      (state) => `connector-${state}-task-count`,
    ),
  ],
  'connect-worker-rebalance-metrics': [
    'epoch',
    'completed-rebalances-total',
    'rebalancing',
    'rebalance-max-time-ms',
    'rebalance-avg-time-ms',
    'time-since-last-rebalance-ms',
  ],
  'connect-metrics': [
    'connection-count',
    ...meters('connection-creation', 'connection-close', 'request', 'response', 'incoming-byte', 'outgoing-byte'),
  ],
  'connect-coordinator-metrics': [
    'assigned-connectors',
    'assigned-tasks',
    ...timed('join'),
    ...timed('sync'),
    ...meters('heartbeat'),
    'heartbeat-response-time-max',
    'last-heartbeat-seconds-ago',
    'rebalance-total',
    'rebalance-rate-per-hour',
    'rebalance-latency-avg',
    'rebalance-latency-max',
    'rebalance-latency-total',
    'failed-rebalance-total',
    'failed-rebalance-rate-per-hour',
    'last-rebalance-seconds-ago',
  ],
  'connector-task-metrics': [
    'running-ratio',
    'pause-ratio',
    ...times('offset-commit'),
    'batch-size-max',
    'batch-size-avg',
    'offset-commit-failure-percentage',
    'offset-commit-success-percentage',
  ],
  'source-task-metrics': [
    ...meters('source-record-poll', 'source-record-write'),
    ...times('poll-batch'),
    ...active('source'),
    'transaction-size-min',
    'transaction-size-max',
    'transaction-size-avg',
  ],
  'sink-task-metrics': [
    ...meters('sink-record-read', 'sink-record-send', 'offset-commit-completion', 'offset-commit-skip'),
    'partition-count',
    'offset-commit-seq-no',
    ...times('put-batch'),
    ...active('sink'),
  ],
  'task-error-metrics': [
    'total-record-failures',
    'total-record-errors',
    'total-records-skipped',
    'total-retries',
    'total-errors-logged',
    'deadletterqueue-produce-requests',
    'deadletterqueue-produce-failures',
    'last-error-timestamp',
  ],
  'app-info': ['start-time-ms'],
}

/** Texts of each group, and what they are here. */
const texts = (worker: {
  readonly url: string
  readonly id: string
}): readonly (readonly [string, string, RegExp])[] => {
  const transforms = 'org.apache.kafka.connect.transforms'
  return [
    ['connect-worker-rebalance-metrics', 'connect-protocol', /^SESSIONED$/],
    ['connect-worker-rebalance-metrics', 'leader-name', new RegExp(`^${worker.url}$`)],
    ['connector-metrics', 'status', /^running$/],
    ['connector-metrics', 'connector-type', /^(?:source|sink)$/],
    ['connector-metrics', 'connector-class', /^org\.apache\.kafka\.connect\.file\.FileStream/],
    ['connector-metrics', 'connector-version', /^\d/],
    ['connector-task-metrics', 'status', /^running$/],
    ['connector-task-metrics', 'connector-class', /FileStreamSinkConnector$/],
    ['connector-task-metrics', 'connector-type', /^sink$/],
    ['connector-task-metrics', 'connector-version', /^\d/],
    ['connector-task-metrics', 'task-class', /FileStreamSourceTask$/],
    ['connector-task-metrics', 'task-version', /^\d/],
    ['connector-task-metrics', 'key-converter-class', /storage\.StringConverter$/],
    ['connector-task-metrics', 'key-converter-version', /^\d/],
    ['connector-task-metrics', 'value-converter-class', /storage\.StringConverter$/],
    ['connector-task-metrics', 'value-converter-version', /^\d/],
    ['connector-task-metrics', 'header-converter-class', /storage\.SimpleHeaderConverter$/],
    ['connector-task-metrics', 'header-converter-version', /^\d/],
    ['connector-transform-metrics', 'transform-class', new RegExp(`^${transforms}\\.Filter$`)],
    ['connector-transform-metrics', 'transform-version', /^\d/],
    ['connector-predicate-metrics', 'predicate-class', new RegExp(`^${transforms}\\.predicates\\.RecordIsTombstone$`)],
    ['connector-predicate-metrics', 'predicate-version', /^\d/],
    ['app-info', 'version', /^4\.3\./],
    ['app-info', 'commit-id', /sluice/],
    ['app-info', 'client-id', new RegExp(`^${worker.id}$`)],
  ]
}

const prometheus = (name: string): string => name.replaceAll('-', '_')

test('every documented metric is there', { skip: kafka.skip, timeout: 60_000 }, async () => {
  await using cluster = await ClusterUnderTest.open(kafka.settings.brokers)
  const worker = await (await cluster.start()).ready()
  const topic = `t-${cluster.token}`
  await writeFile(join(cluster.folder, 'in'), 'a\nb\n')
  const connectors = {
    in: {
      'connector.class': 'FileStreamSource',
      file: join(cluster.folder, 'in'),
      topic,
      transforms: 'drop',
      'transforms.drop.type': 'org.apache.kafka.connect.transforms.Filter',
      'transforms.drop.predicate': 'empty',
      predicates: 'empty',
      'predicates.empty.type': 'org.apache.kafka.connect.transforms.predicates.RecordIsTombstone',
    },
    out: {
      'connector.class': 'FileStreamSink',
      file: join(cluster.folder, 'out'),
      topics: topic,
      'consumer.override.metadata.max.age.ms': '1000',
    },
  }
  for (const [name, config] of Object.entries(connectors)) {
    await eventually(async () => {
      const { status, body } = await worker.rest('PUT', `/connectors/${name}/config`, config)
      assert.ok(status < 300, JSON.stringify(body))
    }, 10_000)
  }
  const scrape = async (): Promise<string> => await (await fetch(new URL('/metrics', worker.url))).text()
  await eventually(async () => {
    const text = await scrape()
    assert.match(text, /^kafka_connect_sink_task_metrics_offset_commit_completion_total\{.*\} [1-9]/m)
    assert.match(text, /^kafka_connect_connect_coordinator_metrics_heartbeat_total\{.*\} [1-9]/m)
    assert.match(text, /^kafka_connect_connect_worker_rebalance_metrics_rebalancing 0$/m)
    const missing = Object.entries(numbers)
      .flatMap(([group, names]) => names.map((name) => `kafka_connect_${prometheus(group)}_${prometheus(name)}`))
      .filter((name) => !new RegExp(`^${name}(?:\\{.*\\})? \\S+$`, 'm').test(text))
    assert.deepEqual(missing, [])
    const values = (group: string, name: string): readonly string[] =>
      [...text.matchAll(new RegExp(`^kafka_connect_${prometheus(group)}\\{(.*)\\} 1$`, 'gm'))].flatMap(
        ([, labels = '']) => new RegExp(`(?:^|,)${prometheus(name)}="([^"]*)"`).exec(labels)?.[1] ?? [],
      )
    for (const [group, name, expected] of texts({ url: worker.url, id: new URL(worker.url).host })) {
      const found = values(group, name)
      assert.ok(
        found.some((value) => expected.test(value)),
        `${group} ${name}: ${found.join()}`,
      )
    }
  }, 30_000)
  const text = await scrape()
  assert.match(text, /^kafka_connect_connect_worker_metrics_connector_startup_success_total 2$/m)
  assert.match(text, /^kafka_connect_source_task_metrics_source_record_write_total\{connector="in",task="0"\} 2$/m)
  const network = (name: string): number =>
    Number(
      new RegExp(`^kafka_connect_connect_metrics_${name}\\{client_id="connect-[^"]+"\\} (\\S+)$`, 'm').exec(text)?.[1],
    )
  // The first connection asks where the coordinator is, and is given up then.
  assert.equal(network('connection_count'), network('connection_creation_total') - network('connection_close_total'))
  assert.ok(network('connection_count') > 0)
  const unanswered = network('request_total') - network('response_total')
  assert.ok(network('response_total') > 5 && unanswered >= 0 && unanswered <= 1, `${unanswered} unanswered`)
  // A frame has 4 bytes of length and 4 of correlation; a request names its client, too.
  assert.ok(network('incoming_byte_total') > 8 * network('response_total'))
  assert.ok(network('outgoing_byte_total') > 20 * network('request_total'))
  assert.match(text, /^kafka_connect_connect_coordinator_metrics_assigned_tasks\{client_id="connect-[^"]+"\} 2$/m)
})
