import assert from 'node:assert/strict'
import test from 'node:test'
import { renderPrometheus } from '../../../../worker/metrics/prometheus.ts'
import { MetricRegistry } from '../../../../worker/metrics/registry.ts'
import { Samples } from '../../../../worker/metrics/samples.ts'

function registryAt(time: { ms: number }): MetricRegistry {
  return new MetricRegistry({ windowMs: 1000, samples: 2, nowMs: () => time.ms })
}

test('asking twice for a name gives the same instrument, and labels tell groups apart', () => {
  const registry = registryAt({ ms: 0 })
  const a = registry.group('source-task-metrics', { connector: 'a', task: '0' })
  a.counter('x-total', 'x').add(1)
  registry.group('source-task-metrics', { task: '0', connector: 'a' }).counter('x-total', 'x').add(2)
  registry.group('source-task-metrics', { connector: 'b', task: '0' }).counter('x-total', 'x').add(5)
  assert.deepEqual(
    registry.snapshot().map((s) => [s.labels['connector'], s.value]),
    [
      ['a', { kind: 'counter', value: 3 }],
      ['b', { kind: 'counter', value: 5 }],
    ],
  )
  registry.remove({ connector: 'a' })
  assert.equal(registry.snapshot().length, 1)
  assert.throws(() => a.gauge('x-total', 'x'), /another kind/u)
})

test('rates and averages cover the sample windows and forget what is older', () => {
  const time = { ms: 0 }
  const samples = new Samples({ windowMs: 1000, samples: 2, nowMs: () => time.ms })
  samples.observe(10)
  time.ms = 1000
  samples.observe(30)
  time.ms = 1500
  assert.equal(samples.average(), 20)
  assert.equal(samples.max(), 30)
  assert.ok(Math.abs(samples.ratePerSecond() - 40 / 1.5) < 1e-9)
  time.ms = 2500
  assert.equal(samples.average(), 30, 'the first window dropped out')
  time.ms = 10_000
  assert.ok(Number.isNaN(samples.average()))
  assert.equal(samples.ratePerSecond(), 0)
})

test('Prometheus names, aliases, label gauges, histograms and escapes', () => {
  const time = { ms: 0 }
  const registry = registryAt(time)
  registry.group('connect-worker-metrics').gauge('task-count', 'Tasks of this worker').set(3)
  const group = registry.group('connector-task-metrics', { connector: 'a"b', task: '0' })
  group.text('status', 'State').set('running')
  const histogram = group.histogram('put-time-ms', 'Time of put', [1, 10])
  histogram.observe(0.5)
  histogram.observe(5)
  histogram.observe(50)
  assert.equal(
    renderPrometheus(registry.snapshot()),
    `# HELP kafka_connect_connect_worker_metrics_task_count Tasks of this worker
# TYPE kafka_connect_connect_worker_metrics_task_count gauge
kafka_connect_connect_worker_metrics_task_count 3
# HELP kafka_connect_connector_status State of connectors and tasks
# TYPE kafka_connect_connector_status gauge
kafka_connect_connector_status{connector="a\\"b",task="0",status="running"} 1
# HELP kafka_connect_connector_task_metrics Text attributes as labels
# TYPE kafka_connect_connector_task_metrics gauge
kafka_connect_connector_task_metrics{connector="a\\"b",task="0",status="running"} 1
# HELP kafka_connect_connector_task_metrics_put_time_ms Time of put
# TYPE kafka_connect_connector_task_metrics_put_time_ms histogram
kafka_connect_connector_task_metrics_put_time_ms_bucket{connector="a\\"b",task="0",le="1"} 1
kafka_connect_connector_task_metrics_put_time_ms_bucket{connector="a\\"b",task="0",le="10"} 2
kafka_connect_connector_task_metrics_put_time_ms_bucket{connector="a\\"b",task="0",le="+Inf"} 3
kafka_connect_connector_task_metrics_put_time_ms_sum{connector="a\\"b",task="0"} 55.5
kafka_connect_connector_task_metrics_put_time_ms_count{connector="a\\"b",task="0"} 3
# HELP kafka_connect_worker_task_count Tasks of this worker
# TYPE kafka_connect_worker_task_count gauge
kafka_connect_worker_task_count 3
`,
  )
})
