import type { Counter, Gauge, Metrics } from '../../worker/api/context.ts'

/** What both writers count. */
export interface BulkMetrics {
  readonly requests: Counter
  readonly bytes: Counter
  readonly done: Counter
  readonly retries: Counter
  readonly conflicts: Counter
  readonly malformed: Counter
  readonly inFlight: Gauge
}

export function bulkMetrics(metrics: Metrics): BulkMetrics {
  return {
    requests: metrics.counter('elasticsearch-bulk-requests', 'Bulk requests sent, repeats included'),
    bytes: metrics.counter('elasticsearch-bulk-bytes', 'Bytes of bulk requests, before compression'),
    done: metrics.counter('elasticsearch-actions-done', 'Records whose effect is in the index, or that were reported'),
    retries: metrics.counter('elasticsearch-actions-retried', 'Records sent again'),
    conflicts: metrics.counter(
      'elasticsearch-version-conflicts',
      'Records whose document was there in this or a later version, or had merged them before',
    ),
    malformed: metrics.counter('elasticsearch-malformed-documents', 'Documents that the server refused'),
    inFlight: metrics.gauge('elasticsearch-requests-in-flight', 'Bulk requests waiting for their answer'),
  }
}
