import { isDeepStrictEqual } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { emptyBucket, listObjects, readObject, s3Client } from '../support/bucket.ts'
import { deleteGroups, groupLag, kafkaFor, recreateTopics } from '../support/kafka-topics.ts'
import { killWorkerOf } from '../support/kill.ts'
import type { Pipeline, PipelineRun, Services } from '../support/pipeline.ts'
import { percentile, type Report } from '../support/report.ts'
import { waitFor } from '../support/wait.ts'
import { expectedLeads, type Fragment, fragmentAt, leadCount } from './fragments.ts'
import { prefixOf } from './lead-fields.ts'
import { LeadIndex } from './lead-index.ts'

const kills = 3
const probes = 100

/** Fragments of two topics → one document per lead, counters exact; and the raw history in S3 by id. */
export class LeadsPipeline implements Pipeline {
  readonly name = 'leads'
  readonly plugins = [new URL('lead-fields.ts', import.meta.url)]
  /** Index, and first part of topics and bucket; `leads` in the JSON files. */
  readonly leads: string
  readonly merge: string
  readonly history: string
  #produced = 0
  #delays: number[] = []
  #killed = 0

  constructor(instance: string) {
    this.leads = `leads${instance}`
    this.merge = `leads-merge${instance}`
    this.history = `leads-history${instance}`
  }

  get #topics(): readonly string[] {
    return [`${this.leads}.requests`, `${this.leads}.events`]
  }

  get #bucket(): string {
    return `${this.leads}-raw`
  }

  /** What stands in the JSON files → what this instance calls it. */
  get #names(): Readonly<Record<string, string>> {
    return {
      'leads-merge': this.merge,
      'leads-history': this.history,
      'leads-raw': this.#bucket,
      '"leads"': `"${this.leads}"`,
      'leads.requests,leads.events': this.#topics.join(),
      'leads.dlq': `${this.leads}.dlq`,
    }
  }

  async prepare(run: PipelineRun): Promise<void> {
    const { services, connect } = run
    for (const name of [this.merge, this.history]) await connect.remove(name)
    await waitFor('old consumer groups to be empty', 60_000, async () => {
      await deleteGroups(services.kafkaBrokers, [`connect-${this.merge}`, `connect-${this.history}`])
      return true
    })
    await recreateTopics(services.kafkaBrokers, Object.fromEntries(this.#topics.map((topic) => [topic, 4])))
    await emptyBucket(services, this.#bucket)
    // The fence in the documents knows offsets of the topics as they were: index and topics begin together.
    await new LeadIndex(services.esUrl, this.leads).remove()
  }

  async execute(run: PipelineRun): Promise<void> {
    const { services, connect } = run
    const index = new LeadIndex(services.esUrl, this.leads)
    run.step('creates the connectors: merge into Elasticsearch, raw history to S3')
    for (const [file, name] of [
      ['merge-sink.json', this.merge],
      ['history-sink.json', this.history],
    ] as const) {
      await connect.apply(new URL(file, import.meta.url), this.#names)
      await connect.running(name, 2)
    }
    const fragments = Math.round(200_000 * run.scale)
    this.#produced = fragments
    run.step(`two applications write ${fragments} fragments of ${leadCount} leads`)
    const part = Math.ceil(fragments / (kills + 1))
    let clicks = 0
    for (let from = 0; from < fragments; from += part) {
      await produce(services, this.leads, from, Math.min(fragments, from + part))
      if (!run.kill || this.#killed === kills) continue
      const before = clicks
      clicks = await waitFor('more of it to be merged', 60_000, async () => await countedBeyond(index, before), 20)
      this.#killed++
      await killWorkerOf(run, this.merge)
    }
    run.step('waits until both sinks have committed everything')
    await this.#settle(run)
    run.step(`measures the delay of ${probes} single fragments`)
    this.#delays = await measureDelay(services, this.leads, index)
    await this.#settle(run)
  }

  async #settle({ services }: PipelineRun): Promise<void> {
    for (const group of [this.merge, this.history]) {
      for (const topic of this.#topics) {
        await waitFor(`${group} to commit ${topic}`, 240_000, async () =>
          (await groupLag(services.kafkaBrokers, `connect-${group}`, topic)) === 0 ? true : null,
        )
      }
    }
  }

  async check(run: PipelineRun): Promise<Report> {
    const expected = expectedLeads(this.#produced)
    const actual = await new LeadIndex(run.services.esUrl, this.leads).all()
    const differences: string[] = []
    let counted = 0
    for (const [id, lead] of expected) {
      const found = actual.get(id)
      counted += found?.clicks ?? 0
      for (const [field, value] of Object.entries(lead)) {
        const own = (found as Readonly<Record<string, unknown>> | undefined)?.[field]
        if (!isDeepStrictEqual(own, value)) {
          differences.push(`${id}.${field}: ${JSON.stringify(own)} instead of ${JSON.stringify(value)}`)
        }
      }
    }
    for (const id of actual.keys())
      if (!expected.has(id) && !id.startsWith('probe')) differences.push(`document ${id} should not exist`)
    const history = await this.#readHistory(run.services)
    const total = this.#produced + probes
    if (history.positions !== total) differences.push(`S3 has ${history.positions} of ${total} fragments`)
    differences.push(...history.misplaced.slice(0, 3))
    const p99 = percentile(this.#delays, 0.99)
    if (p99 > 2_000) differences.push(`p99 from produced to visible is ${p99.toFixed(0)} ms, above 2 s`)
    return {
      title: 'leads: fragments of two topics → one document per id, raw history by id',
      rows: [
        {
          fragments: this.#produced,
          leads: actual.size - probes,
          clicks: counted,
          'workers killed': this.#killed,
          differences: differences.length,
          'p50 / p99 to visible, ms': `${percentile(this.#delays, 0.5).toFixed(0)} / ${p99.toFixed(0)}`,
          'fragments in S3': history.positions,
          objects: history.objects,
        },
      ],
      differences: differences.slice(0, 10),
      notes: [
        `${history.lines - history.positions} fragments stand in S3 more than once: objects are cut by the clock, so a killed worker's are written again`,
      ],
    }
  }

  async close(): Promise<void> {}

  /** Positions of all fragments in the bucket, and those under a prefix that is not theirs. */
  async #readHistory(services: Services) {
    const objects = await listObjects(services, this.#bucket)
    const client = s3Client(services)
    const positions = new Set<string>()
    const misplaced: string[] = []
    let lines = 0
    try {
      for (let at = 0; at < objects.length; at += 16) {
        const some = objects.slice(at, at + 16)
        const bodies = await Promise.all(some.map(({ key }) => readObject(client, this.#bucket, key)))
        for (const [i, body] of bodies.entries()) {
          const key = some[i]?.key ?? ''
          const topic = this.#topics.find((name) => key.includes(`/${name}/`)) ?? ''
          for (const line of gunzipSync(body).toString('utf8').trimEnd().split('\n')) {
            const fragment = JSON.parse(line) as { id: string; __partition: number; __offset: number }
            lines++
            positions.add(`${topic}-${fragment.__partition}-${fragment.__offset}`)
            if (!key.includes(`/prefix=${prefixOf(fragment.id)}/id=${fragment.id}/`))
              misplaced.push(`${fragment.id} stands in ${key}`)
          }
        }
      }
    } finally {
      client.destroy()
    }
    return { positions: positions.size, lines, objects: objects.length, misplaced }
  }
}

/** Fragments `from … to`, in their order, keyed by the id of their lead. */
async function produce(services: Services, leads: string, from: number, to: number): Promise<void> {
  const producer = kafkaFor(services.kafkaBrokers, 'leads-app').producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  try {
    for (let start = from; start < to; start += 2_000) {
      const fragments = Array.from({ length: Math.min(to, start + 2_000) - start }, (_, i) => fragmentAt(start + i))
      const topicMessages = (['requests', 'events'] as const).map((topic) => ({
        topic: `${leads}.${topic}`,
        messages: fragments.filter((fragment) => fragment.topic === topic).map(message),
      }))
      await producer.sendBatch({ topicMessages })
    }
  } finally {
    await producer.disconnect()
  }
}

function message({ id, timestamp, value }: Fragment) {
  return { key: id, value: JSON.stringify(value), timestamp: String(timestamp) }
}

/** Clicks in all documents, once they are more than before: a worker is killed while it merges. */
async function countedBeyond(index: LeadIndex, before: number): Promise<number | null> {
  const clicks = [...(await index.all()).values()].reduce((sum, lead) => sum + (lead.clicks ?? 0), 0)
  return clicks > before ? clicks : null
}

/** Sent → counted in the document, in ms, for leads that nobody else writes; one every 20 ms. */
async function measureDelay(services: Services, leads: string, index: LeadIndex): Promise<number[]> {
  const producer = kafkaFor(services.kafkaBrokers, 'leads-probe').producer()
  await producer.connect()
  try {
    const delays: Promise<number>[] = []
    for (let i = 0; i < probes; i++) {
      const id = `probe-${i}`
      const sentAt = performance.now()
      await producer.send({
        topic: `${leads}.events`,
        messages: [{ key: id, value: JSON.stringify({ id, clicks: '+1' }) }],
      })
      const visible = async () => ((await index.get(id))?.clicks === 1 ? true : null)
      delays.push(waitFor(id, 30_000, visible, 5).then(() => performance.now() - sentAt))
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    return await Promise.all(delays)
  } finally {
    await producer.disconnect()
  }
}
