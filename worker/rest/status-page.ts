/**
 * `GET /ui`: workers, connectors and tasks at a glance. One page without assets of its own or of others; it reads the
 * REST API and `/metrics` of the worker that served it, every two seconds. Values reach the page only as text nodes.
 */
import type { Answer } from './route.ts'

const style = `
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--line:#e4e7ec;--text:#171b24;--soft:#667085;--accent:#2f6feb;
--run:#12875a;--run-bg:#e2f6ec;--pause:#9a6700;--pause-bg:#fdf3d7;--stop:#5b6472;--stop-bg:#eceef2;--fail:#c9252d;--fail-bg:#fde8e8;
--wait:#6941c6;--wait-bg:#efe9fd;--mono:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
@media (prefers-color-scheme:dark){:root{--bg:#0e1116;--card:#161b22;--line:#272e38;--text:#e8ebf0;--soft:#8f9aaa;--accent:#6ea8fe;
--run:#5fd39b;--run-bg:#10301f;--pause:#e9bd4f;--pause-bg:#33290c;--stop:#a3adbb;--stop-bg:#252b34;--fail:#ff8a87;--fail-bg:#3d1618;
--wait:#b9a2f8;--wait-bg:#2a2145}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--text);font:14px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1180px;margin:0 auto;padding:28px 20px 60px}
header{display:flex;align-items:center;gap:12px;flex-wrap:wrap;margin-bottom:22px}
h1{font-size:20px;margin:0;letter-spacing:-.01em}h2{font-size:13px;font-weight:600;color:var(--soft);margin:30px 0 10px}
.mark{width:26px;height:26px;flex:none;color:var(--accent)}.meta{color:var(--soft);font-size:13px}.grow{flex:1}
.beat{display:inline-flex;align-items:center;gap:7px;color:var(--soft);font-size:13px}
.beat i{width:8px;height:8px;border-radius:50%;background:var(--run)}.beat.bad{color:var(--fail)}.beat.bad i{background:var(--fail)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px}
.tile,.card{background:var(--card);border:1px solid var(--line);border-radius:12px}
.tile{padding:14px 16px}.tile b{display:block;font-size:25px;line-height:1.2;font-weight:650;letter-spacing:-.02em;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:12.5px}.tile.alarm b{color:var(--fail)}
.card{overflow:hidden}.row{display:grid;grid-template-columns:minmax(190px,1.6fr) 110px minmax(130px,1fr) 190px 110px;gap:14px;align-items:center;
width:100%;padding:12px 16px;border:0;border-top:1px solid var(--line);background:none;color:inherit;font:inherit;text-align:left}
.row:first-child{border-top:0}button.row{cursor:pointer}button.row:hover{background:color-mix(in srgb,var(--accent) 5%,transparent)}
button.row:focus-visible{outline:2px solid var(--accent);outline-offset:-2px}
.head{color:var(--soft);font-size:12px;padding-block:9px}.name{font-weight:600;overflow-wrap:anywhere}.sub{color:var(--soft);font-size:12.5px;overflow-wrap:anywhere}
.pill{display:inline-block;padding:1px 9px;border-radius:99px;font-size:12px;font-weight:600;white-space:nowrap}
.RUNNING{color:var(--run);background:var(--run-bg)}.PAUSED{color:var(--pause);background:var(--pause-bg)}.STOPPED{color:var(--stop);background:var(--stop-bg)}
.FAILED{color:var(--fail);background:var(--fail-bg)}.UNASSIGNED,.RESTARTING{color:var(--wait);background:var(--wait-bg)}
.tasks{display:flex;flex-wrap:wrap;gap:4px}.tasks span{min-width:24px;padding:1px 6px;border-radius:6px;text-align:center;font-size:12px;font-weight:600}
.num{font-variant-numeric:tabular-nums}.rate{display:flex;align-items:center;gap:10px}.rate svg{width:84px;height:24px;flex:none}
.rate path{fill:none;stroke:var(--accent);stroke-width:1.5;vector-effect:non-scaling-stroke}
.detail{border-top:1px solid var(--line);padding:6px 16px 18px;background:color-mix(in srgb,var(--bg) 55%,transparent)}
.detail h3{font-size:12.5px;color:var(--soft);font-weight:600;margin:14px 0 6px}
table{border-collapse:collapse;width:100%}td,th{padding:5px 14px 5px 0;text-align:left;vertical-align:top;font-size:13px}th{color:var(--soft);font-weight:500;font-size:12px}
td{overflow-wrap:anywhere}pre{margin:6px 0 4px;padding:11px 13px;border-radius:8px;background:var(--fail-bg);color:var(--fail);font:12px/1.55 var(--mono);
white-space:pre-wrap;overflow-wrap:anywhere;max-height:260px;overflow:auto}.mono{font:12.5px/1.5 var(--mono)}
.workers{display:grid;grid-template-columns:repeat(auto-fit,minmax(240px,1fr));gap:12px}.worker{padding:13px 16px}.empty{padding:34px;text-align:center;color:var(--soft)}
@media (max-width:820px){.head{display:none}.row{grid-template-columns:1fr auto;row-gap:8px}.row>:nth-child(3),.row>:nth-child(4){grid-column:1/-1}}
`

const script = `
'use strict'
const everyMs = 2000, keep = 60
const open = new Set(), alarmed = new Set(), history = new Map()
let lastTotals = new Map(), lastMs = 0

function el(tag, attributes, ...children) {
  const node = document.createElement(tag)
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === 'onclick') node.onclick = value
    else if (value !== null && value !== undefined) node.setAttribute(key, value)
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) node.append(child)
  return node
}
const pill = (state) => el('span', { class: 'pill ' + state }, state.toLowerCase())
const count = (value) => new Intl.NumberFormat('en', { maximumFractionDigits: value < 10 ? 1 : 0 }).format(value)
const compact = (value) => new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 }).format(value)
const shortClass = (name) => String(name || '').split('.').pop()
const plural = (n, one) => n + ' ' + one + (n === 1 ? '' : 's')

async function get(path, type) {
  const response = await fetch(path, { headers: { accept: type || 'application/json' } })
  if (!response.ok) throw new Error('the worker answers ' + response.status)
  return type ? response.text() : response.json()
}

/** Prometheus text to [{name, labels, value}]. */
function parseMetrics(text) {
  const samples = []
  for (const line of text.split('\\n')) {
    const match = /^([a-z0-9_]+)(?:\\{(.*)\\})? (\\S+)$/.exec(line)
    if (!match) continue
    const labels = {}
    for (const [, key, value] of (match[2] || '').matchAll(/([a-z0-9_]+)="((?:[^"\\\\]|\\\\.)*)"/g)) {
      labels[key] = value.replace(/\\\\(.)/g, (_, c) => (c === 'n' ? '\\n' : c))
    }
    samples.push({ name: match[1], labels, value: Number(match[3]) })
  }
  return samples
}

/** Rates from differences of totals, so that they show what happens now. */
function measure(samples) {
  const now = performance.now(), totals = new Map(), result = new Map()
  const of = (labels) => {
    const key = JSON.stringify([labels.connector, labels.task])
    if (!result.has(key)) result.set(key, { rate: null, total: 0, lag: null, errors: 0 })
    return [key, result.get(key)]
  }
  for (const { name, labels, value } of samples) {
    if (!labels.connector || labels.task === undefined || !Number.isFinite(value)) continue
    if (/_(source_record_write|sink_record_send)_total$/.test(name)) {
      const [key, task] = of(labels)
      task.total += value
      totals.set(key, task.total)
      if (lastTotals.has(key) && now > lastMs) task.rate = Math.max(0, (value - lastTotals.get(key)) * 1000 / (now - lastMs))
    } else if (behindOf(name) && value > 0) {
      const task = of(labels)[1], found = { ...behindOf(name), value }
      if (isWorse(found, task.lag)) task.lag = found
    } else if (/_total_record_failures$/.test(name)) of(labels)[1].errors += value
  }
  lastTotals = totals
  lastMs = now
  return result
}

/** Metrics that say how far a task is behind, the most telling first. */
const behind = [
  [/_snapshot_estimated_rows_left$/, (v) => compact(v) + ' rows to snapshot'],
  [/lag.*_ms$|behind.*(_ms$|milli)/, (v) => (v < 1000 ? Math.round(v) + ' ms behind' : compact(v / 1000) + ' s behind')],
  [/lag|behind/, (v) => compact(v) + ' records behind'],
  [/_slot_unconfirmed_bytes$/, (v) => bytes(v) + ' of log'],
  [/_sink_task_metrics_sink_record_active_count$/, (v) => compact(v) + ' in flight'],
]
const bytes = (v) => (v < 1e6 ? count(v / 1e3) + ' kB' : v < 1e9 ? count(v / 1e6) + ' MB' : count(v / 1e9) + ' GB')
function behindOf(name) {
  if (/_bucket$|_sum$/.test(name)) return null
  const rank = behind.findIndex(([pattern]) => pattern.test(name))
  return rank < 0 ? null : { rank, text: behind[rank][1] }
}
const isWorse = (a, b) => b === null || a.rank < b.rank || (a.rank === b.rank && a.value > b.value)
const lagText = (lag) => (lag ? lag.text(lag.value) : null)

function spark(values) {
  const ns = 'http://www.w3.org/2000/svg', svg = document.createElementNS(ns, 'svg'), path = document.createElementNS(ns, 'path')
  svg.setAttribute('viewBox', '0 0 84 24')
  svg.setAttribute('aria-hidden', 'true')
  const top = Math.max(1, ...values)
  path.setAttribute('d', values.map((v, i) => (i ? 'L' : 'M') + (84 - (values.length - 1 - i) * 84 / (keep - 1)).toFixed(1) + ' ' + (22 - v / top * 20).toFixed(1)).join(''))
  svg.append(path)
  return svg
}

function summary(name, tasks, measured) {
  let rate = null, lag = null, errors = 0
  for (const task of tasks) {
    const m = measured.get(JSON.stringify([name, String(task.id)]))
    if (!m) continue
    if (m.rate !== null) rate = (rate || 0) + m.rate
    if (m.lag && isWorse(m.lag, lag)) lag = m.lag
    errors += m.errors
  }
  const values = history.get(name) || []
  if (rate !== null) values.push(rate)
  history.set(name, values.slice(-keep))
  return { rate, lag, errors }
}

function connectorRow(name, { status, info }, measured) {
  const { rate, lag, errors } = summary(name, status.tasks, measured)
  const failed = status.connector.state === 'FAILED' || status.tasks.some((t) => t.state === 'FAILED')
  // A failure opens its row once, trace and all; whoever closes it has seen it.
  if (failed && !alarmed.has(name)) open.add(name)
  failed ? alarmed.add(name) : alarmed.delete(name)
  const toggle = () => { open.has(name) ? open.delete(name) : open.add(name); refresh() }
  const row = el('button', { class: 'row', 'aria-expanded': String(open.has(name)), onclick: toggle, 'data-key': name },
    el('span', {}, el('span', { class: 'name' }, name), el('br'), el('span', { class: 'sub' }, status.type + ' · ' + shortClass(info && info.config['connector.class']))),
    el('span', {}, pill(status.connector.state)),
    el('span', { class: 'tasks' }, status.tasks.length ? status.tasks.map((t) => el('span', { class: t.state, title: 'task ' + t.id + ': ' + t.state.toLowerCase() }, String(t.id))) : el('span', { class: 'sub' }, 'no tasks')),
    el('span', { class: 'rate num' }, spark(history.get(name) || []), rate === null ? el('span', { class: 'sub' }, '–') : count(rate) + '/s'),
    el('span', { class: 'num sub' }, lagText(lag) || (errors ? compact(errors) + ' errors' : '')))
  return open.has(name) ? [row, detail(name, { status, info }, measured)] : [row]
}

function detail(name, { status, info }, measured) {
  const box = el('div', { class: 'detail' })
  if (status.connector.trace) box.append(el('h3', {}, 'Connector'), el('pre', {}, status.connector.trace))
  if (status.tasks.length) {
    const rows = status.tasks.map((task) => {
      const m = measured.get(JSON.stringify([name, String(task.id)]))
      return el('tr', {}, el('td', { class: 'num' }, String(task.id)), el('td', {}, pill(task.state)), el('td', { class: 'mono' }, task.worker_id),
        el('td', { class: 'num' }, m && m.rate !== null ? count(m.rate) + '/s' : '–'), el('td', { class: 'num' }, m ? compact(m.total) : '–'), el('td', {}, (m && lagText(m.lag)) || '–'))
    })
    box.append(el('h3', {}, 'Tasks'), el('table', {}, el('tr', {}, ...['Task', 'State', 'Worker', 'Records/s', 'Records', 'Behind'].map((h) => el('th', {}, h))), ...rows))
    for (const task of status.tasks) if (task.trace) box.append(el('h3', {}, 'Task ' + task.id), el('pre', {}, task.trace))
  }
  if (info) {
    const shown = Object.entries(info.config).sort(([a], [b]) => (a < b ? -1 : 1))
    const secret = /password|secret|token|credential|jaas|private|passphrase|access\\.key|api\\.key/i
    box.append(el('h3', {}, 'Config'), el('table', { class: 'mono' }, ...shown.map(([key, value]) =>
      el('tr', {}, el('td', {}, key), el('td', {}, secret.test(key) && !/^\\$\\{/.test(value) ? '[hidden]' : String(value))))))
  }
  return box
}

function workers(connectors, self) {
  const found = new Map([[self, { connectors: 0, tasks: 0, failed: 0 }]])
  const at = (id) => found.get(id) || found.set(id, { connectors: 0, tasks: 0, failed: 0 }).get(id)
  for (const { status } of connectors) {
    if (status.connector.worker_id) at(status.connector.worker_id).connectors++
    for (const task of status.tasks) { const w = at(task.worker_id); w.tasks++; if (task.state === 'FAILED') w.failed++ }
  }
  found.delete('')
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1))
}

function tile(value, label, alarm) {
  return el('div', { class: 'tile' + (alarm ? ' alarm' : '') }, el('b', {}, value), el('span', {}, label))
}

function render(root, connectors, measured) {
  const entries = Object.entries(connectors).filter(([, c]) => c.status).sort(([a], [b]) => (a < b ? -1 : 1))
  const list = entries.map(([, c]) => c), tasks = list.flatMap((c) => c.status.tasks)
  const failed = tasks.filter((t) => t.state === 'FAILED').length + list.filter((c) => c.status.connector.state === 'FAILED').length
  const body = entries.flatMap(([name, c]) => connectorRow(name, c, measured))
  const rate = [...measured.values()].reduce((sum, m) => sum + (m.rate || 0), 0), all = workers(list, location.host)
  document.getElementById('version').textContent = 'Connect API ' + root.version + ' · cluster ' + (root.kafka_cluster_id || 'unknown')
  document.getElementById('tiles').replaceChildren(tile(String(all.length), all.length === 1 ? 'worker' : 'workers'), tile(String(list.length), list.length === 1 ? 'connector' : 'connectors'),
    tile(tasks.filter((t) => t.state === 'RUNNING').length + ' / ' + tasks.length, 'tasks running'), tile(String(failed), 'failed', failed > 0), tile(count(rate), 'records/s on this worker'))
  const focused = document.activeElement && document.activeElement.dataset.key
  document.getElementById('connectors').replaceChildren(...(body.length
    ? [el('div', { class: 'row head' }, ...['Connector', 'State', 'Tasks', 'Records/s', 'Behind'].map((h) => el('span', {}, h))), ...body]
    : [el('div', { class: 'empty' }, 'No connectors yet. Create one with POST /connectors.')]))
  if (focused) for (const row of document.querySelectorAll('button.row')) if (row.dataset.key === focused) row.focus({ preventScroll: true })
  document.getElementById('workers').replaceChildren(...all.map(([id, w]) => el('div', { class: 'card worker' }, el('div', { class: 'name mono' }, id),
    el('div', { class: 'sub' }, plural(w.connectors, 'connector') + ', ' + plural(w.tasks, 'task') + (w.failed ? ', ' + w.failed + ' failed' : '')))))
}

let last = null
async function refresh() { if (last) render(...last) }
async function poll() {
  const beat = document.getElementById('beat'), label = beat.lastElementChild
  try {
    const [root, connectors, metrics] = await Promise.all([get('/'), get('/connectors?expand=status&expand=info'), get('/metrics', 'text/plain')])
    last = [root, connectors, measure(parseMetrics(metrics))]
    render(...last)
    beat.className = 'beat'
    label.textContent = 'live'
  } catch (error) {
    beat.className = 'beat bad'
    label.textContent = 'not reachable: ' + error.message
  }
  setTimeout(poll, everyMs)
}
poll()
`

const page = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:">
<title>Sluice</title><link rel="icon" href="data:,"><style>${style}</style></head>
<body><main>
<header>
<svg class="mark" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" aria-hidden="true"><path d="M5 3v18M19 3v18M5 8h14M9 8v5M15 8v5"/><path d="M8 17c1.3-1.2 2.7-1.2 4 0s2.7 1.2 4 0"/></svg>
<h1>Sluice</h1><span class="meta" id="version"></span><span class="grow"></span>
<span class="beat" id="beat" role="status"><i></i><span>loading</span></span>
</header>
<section class="tiles" id="tiles" aria-label="Summary"></section>
<h2>Connectors</h2><section class="card" id="connectors"></section>
<h2>Workers</h2><section class="workers" id="workers"></section>
<noscript>This page needs JavaScript; the same is at GET /connectors?expand=status.</noscript>
</main><script>${script}</script></body></html>
`

export const statusPage: Answer = { status: 200, text: { contentType: 'text/html; charset=utf-8', content: page } }
