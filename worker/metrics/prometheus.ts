/**
 * Prometheus text format (0.0.4). Names follow the common exporter rules for Connect's MBeans,
 * `kafka_connect_<group>_<attribute>`, with the shortened worker groups and the label gauges of texts as aliases.
 */
import type { MetricSnapshot } from './snapshot.ts'

export const prometheusContentType = 'text/plain; version=0.0.4; charset=utf-8'

/** Groups that widely used rule sets shorten. */
const shortGroups: Readonly<Record<string, string>> = {
  'connect-worker-metrics': 'worker',
  'connect-worker-rebalance-metrics': 'worker_rebalance',
  'connect-coordinator-metrics': 'coordinator',
}

interface Family {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly lines: string[]
}

type Label = readonly [string, string]

/** The text of one scrape. Of two snapshots with the same name and labels the later one counts. */
export function renderPrometheus(snapshots: readonly MetricSnapshot[]): string {
  const families = new Map<string, Family>()
  for (const snapshot of latest(snapshots)) addSnapshot(families, snapshot)
  const parts: string[] = []
  for (const [name, { type, help, lines }] of [...families].sort(([a], [b]) => (a < b ? -1 : 1))) {
    parts.push(`# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n${lines.join('')}`)
  }
  return parts.join('')
}

function latest(snapshots: readonly MetricSnapshot[]): Iterable<MetricSnapshot> {
  const byKey = new Map<string, MetricSnapshot>()
  for (const s of snapshots) byKey.set(JSON.stringify([s.group, s.name, Object.entries(s.labels).sort()]), s)
  return byKey.values()
}

function addSnapshot(families: Map<string, Family>, snapshot: MetricSnapshot): void {
  const { value } = snapshot
  const labels = Object.entries(snapshot.labels).map(([key, text]): Label => [metricName(key), text])
  if (value.kind === 'text') {
    addText(families, snapshot, labels, value.value)
    return
  }
  for (const name of namesOf(snapshot)) {
    const family = familyOf(families, name, value.kind, snapshot.help)
    if (value.kind !== 'histogram') {
      family.lines.push(line(name, labels, value.value))
      continue
    }
    for (const [bound, count] of value.buckets) {
      family.lines.push(line(`${name}_bucket`, [...labels, ['le', number(bound)]], count))
    }
    family.lines.push(line(`${name}_bucket`, [...labels, ['le', '+Inf']], value.count))
    family.lines.push(line(`${name}_sum`, labels, value.sum), line(`${name}_count`, labels, value.count))
  }
}

/** `kafka_connect_connector_metrics{status="running"} 1`, and for states `kafka_connect_connector_status{…} 1`. */
function addText(families: Map<string, Family>, snapshot: MetricSnapshot, labels: Label[], text: string): void {
  const attribute = metricName(snapshot.name)
  const info = `kafka_connect_${metricName(snapshot.group)}`
  const all: Label[] = [...labels, [attribute, text]]
  familyOf(families, info, 'gauge', 'Text attributes as labels').lines.push(line(info, all, 1))
  if (attribute !== 'status') return
  const name = 'kafka_connect_connector_status'
  familyOf(families, name, 'gauge', 'State of connectors and tasks').lines.push(line(name, all, 1))
}

function namesOf({ group, name }: MetricSnapshot): string[] {
  const full = `kafka_connect_${metricName(group)}_${metricName(name)}`
  const short = shortGroups[group]
  return short === undefined ? [full] : [full, `kafka_connect_${short}_${metricName(name)}`]
}

function familyOf(families: Map<string, Family>, name: string, type: Family['type'], help: string): Family {
  let family = families.get(name)
  if (family === undefined) {
    family = { type, help, lines: [] }
    families.set(name, family)
  }
  return family
}

function metricName(text: string): string {
  return text.toLowerCase().replaceAll(/[^a-z0-9_]/gu, '_')
}

function line(name: string, labels: readonly Label[], value: number): string {
  const inner = labels.map(([key, text]) => `${key}="${escapeLabel(text)}"`).join(',')
  return `${name}${inner === '' ? '' : `{${inner}}`} ${number(value)}\n`
}

function number(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf'
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value)
}

function escapeLabel(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}
