import { prometheusContentType, renderPrometheus } from '../../metrics/prometheus.ts'
import type { MetricRegistry } from '../../metrics/registry.ts'
import type { Route } from '../route.ts'

/** `GET /metrics` in Prometheus's text format: everything of this worker, its threads included. */
export function metricRoutes(registry: MetricRegistry): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/metrics',
      anyType: true,
      handle: async (herder) => {
        const content = renderPrometheus([...registry.snapshot(), ...(await herder.metrics())])
        return { status: 200, text: { contentType: prometheusContentType, content } }
      },
    },
  ]
}
