/** Plays one recorded sink case against a running worker and compares everything it leaves behind. */
import { randomBytes } from 'node:crypto'
import type { WorkerUnderTest } from '../../support/worker-process.ts'
import { CaseConnector, type ConnectorAction, comparableResult } from './connect-side.ts'
import {
  type FaultPlan,
  fill,
  loadCase,
  loadExpected,
  type RecordedOutcome,
  type SinkCase,
  type SinkName,
} from './corpus.ts'
import {
  type Difference,
  differences,
  type Json,
  type JsonObject,
  type JsonPath,
  withChange,
  writeJson,
} from './exact-json.ts'
import { FaultProxy } from './fault-proxy.ts'
import { CaseTopics, type KafkaConnections, withoutOwnHeaders } from './kafka-side.ts'
import { Normaliser } from './normalise.ts'

/** The server that a sink writes to, as one case sees it. */
export interface SinkServer {
  /** Before the first step. */
  prepare(): Promise<void>
  /** What shows quickly whether anything has changed: member of a wait's expectation. */
  snapshot(): Promise<JsonObject>
  /** Everything that is there. */
  capture(): Promise<JsonObject>
  /** A step of the case that only this server knows. @returns the result to compare, if there is one */
  step(step: JsonObject): Promise<JsonObject | null>
  /** Removes what the case left behind. */
  cleanUp(): Promise<void>
}

export interface ServerScope {
  readonly prefix: string
  readonly plan: SinkCase
  readonly normaliser: Normaliser
}

export interface PlayerOptions {
  readonly sink: SinkName
  readonly worker: WorkerUnderTest
  readonly kafka: KafkaConnections
  /** Address of the server, which a proxy may stand in front of. */
  readonly serverUrl: string
  /** More variables of the corpus, such as credentials. */
  readonly variables: ReadonlyMap<string, string>
  /** Options for every case that does not set them itself. */
  readonly connectorDefaults?: Readonly<Record<string, string>>
  openServer(scope: ServerScope): SinkServer
}

/** A place where this sink deliberately leaves something else behind; no value: nothing. */
export interface OwnChange {
  readonly path: JsonPath
  readonly value?: Json
}

/** What a case expects of us where the reference stops, loses or doubles data, and why. */
export interface OwnExpectation {
  readonly reason: string
  readonly changes: readonly OwnChange[]
  /** Requests that faults of the case are to meet, by those that the reference makes: small objects take one PUT. */
  readonly faults?: Readonly<Record<string, string>>
}

const waitTimeoutMs = 45_000
/** How long a state must stay: one that was reached, and one that was there at once and might yet change. */
const quietMs = { reached: 1200, unchanged: 4000 }

/**
 * Plays a case.
 * @param own where our outcome is to differ from the recorded one
 * @returns every other difference
 */
export async function playSinkCase(
  options: PlayerOptions,
  name: string,
  own: OwnExpectation | undefined,
): Promise<readonly Difference[]> {
  const expected = expectedOutcome(options.sink, name, own?.changes ?? [])
  const prefix = `cs-${randomBytes(3).toString('hex')}`
  const planned = loadCase(options.sink, name, variablesOf(options, prefix, options.serverUrl))
  await using stack = new AsyncDisposableStack()
  const proxy =
    planned.proxy === undefined ? null : await FaultProxy.open(options.serverUrl, aimed(planned.proxy, own?.faults))
  if (proxy !== null) stack.use(proxy)
  const variables = variablesOf(options, prefix, proxy?.url ?? options.serverUrl)
  const plan = proxy === null ? planned : loadCase(options.sink, name, variables)
  const addresses = new Map([...variables].filter(([variable]) => ['es', 's3', 'bootstrap'].includes(variable)))
  const normaliser = new Normaliser({ prefix, addresses, replace: plan.replace ?? [] })
  const connectorName = `${prefix}-sink`
  const play = new Play({
    plan,
    variables,
    normaliser,
    proxy,
    expected,
    topics: new CaseTopics(options.kafka, plan, `connect-${connectorName}`),
    connector: new CaseConnector(options.worker, connectorName, { ...options.connectorDefaults, ...plan.connector }),
    server: options.openServer({ prefix, plan, normaliser }),
  })
  stack.defer(() => play.cleanUp())
  const found = differences(expected, await play.run())
  return proxy === null ? found : [...found, ...unmetFaults(options.sink, planned, proxy)]
}

/** Faults that the reference met and we did not: then the case proves nothing. */
function unmetFaults(sink: SinkName, { name, proxy: plans = [] }: SinkCase, proxy: FaultProxy): readonly Difference[] {
  const recorded = loadExpected(sink, name).final['faults'] as Readonly<Record<string, number>>
  return plans.flatMap(({ match }, i) => {
    const met = proxy.hits[i] ?? 0
    return met === 0 && (recorded[match] ?? 0) > 0 ? [{ path: ['faults', match], expected: 1, actual: 0 }] : []
  })
}

function aimed(plans: readonly FaultPlan[], targets: OwnExpectation['faults'] = {}): readonly FaultPlan[] {
  return plans.map((plan) => ({ ...plan, match: targets[plan.match] ?? plan.match }))
}

/** The recorded outcome as far as it is compared, with our own changes. @throws Error for a change that changes nothing */
export function expectedOutcome(sink: SinkName, name: string, changes: readonly OwnChange[]): JsonObject {
  const recorded = comparable(loadExpected(sink, name))
  let expected: Json = recorded
  for (const { path, value } of changes) {
    const changed = withChange(expected, path, value)
    if (differences(expected, changed).length === 0) {
      throw new Error(`case ${name}: the recorded outcome is as expected at ${path.join('.')}; remove the change`)
    }
    expected = changed
  }
  return expected as JsonObject
}

/** Traces name Java classes and faults are no outcome. */
function comparable({ waits, results, final }: RecordedOutcome): JsonObject {
  const { faults: _faults, actions, ...rest } = withoutOwnHeaders(final) as JsonObject
  const status = rest['status'] as JsonObject
  const tasks = (status['tasks'] as readonly JsonObject[]).map(({ state = null }) => ({ state }))
  return {
    waits,
    ...(results !== undefined && { results: results.map(comparableResult) }),
    final: {
      ...rest,
      status: { connector: status['connector'] ?? null, tasks },
      ...(Array.isArray(actions) && { actions: actionSet(actions) }),
    },
  }
}

function variablesOf({ sink, kafka, variables }: PlayerOptions, prefix: string, url: string) {
  return new Map([
    ['p', prefix],
    ['bucket', `${prefix}-bucket`],
    ['bootstrap', kafka.properties['bootstrap.servers'] ?? ''],
    ...variables,
    [sink === 's3' ? 's3' : 'es', url],
  ])
}

interface PlayParts {
  readonly plan: SinkCase
  readonly variables: ReadonlyMap<string, string>
  readonly normaliser: Normaliser
  readonly proxy: FaultProxy | null
  readonly expected: JsonObject
  readonly topics: CaseTopics
  readonly connector: CaseConnector
  readonly server: SinkServer
}

class Play {
  readonly #parts: PlayParts
  readonly #results: JsonObject[] = []

  constructor(parts: PlayParts) {
    this.#parts = parts
  }

  async run(): Promise<JsonObject> {
    const { plan, topics, server, proxy, normaliser } = this.#parts
    await topics.create()
    await server.prepare()
    const waits: Record<string, Json> = {}
    for (const [i, step] of plan.steps.entries()) {
      if ('wait' in step) waits[i] = await this.#wait(i, Number(step['timeout'] ?? 0) * 1000)
      else {
        const result = await this.#step(step)
        if (result !== null) this.#results.push({ step: i, ...result })
      }
    }
    const results = this.#results.map(comparableResult)
    const seen = plan.recordActions === true && proxy !== null ? proxy.actions : null
    const actions = seen === null ? null : actionSet(seen.map((action) => normaliser.json(action)))
    return {
      waits,
      ...(results.length > 0 && { results }),
      final: { ...(await this.#capture()), ...(actions !== null && { actions }) },
    }
  }

  async #step(step: JsonObject): Promise<JsonObject | null> {
    const { topics, connector, server, variables } = this.#parts
    const filled = JSON.parse(fill(JSON.stringify(step), variables)) as JsonObject
    if ('produce' in step) await topics.produce(Number(step['produce']))
    else if ('sleep' in step) await new Promise((resolve) => setTimeout(resolve, Number(step['sleep']) * 1000))
    else if ('action' in step) await connector.act(step['action'] as ConnectorAction, filled['offsets'])
    else if ('validate' in step) return await connector.validate(filled['validate'] as Changes)
    else if ('create' in step) {
      const created = await connector.create((filled['set'] ?? {}) as Changes, step['expectError'] === true)
      return step['expectError'] === true ? { create: created } : null
    } else return await server.step(filled)
    return null
  }

  /** Waits for the expected state and for it to stay. @returns the last state seen */
  async #wait(index: number, timeoutMs: number): Promise<JsonObject> {
    const waits = this.#parts.expected['waits'] as JsonObject
    const wanted = waits[index] ?? {}
    const deadline = performance.now() + Math.max(waitTimeoutMs, timeoutMs)
    let state = await this.#snapshot()
    const quiet = differences(wanted, state).length > 0 ? quietMs.reached : quietMs.unchanged
    let reachedAt: number | null = null
    for (;;) {
      const now = performance.now()
      if (differences(wanted, state).length > 0) reachedAt = null
      else if (reachedAt === null) reachedAt = now
      else if (now - reachedAt >= quiet) return state
      if (now > deadline) return state
      await new Promise((resolve) => setTimeout(resolve, 300))
      state = await this.#snapshot()
    }
  }

  async #snapshot(): Promise<JsonObject> {
    const { topics, connector, server, normaliser } = this.#parts
    const [status, offsets, state] = await Promise.all([connector.status(), topics.offsets(), server.snapshot()])
    const dlq = topics.deadLetterTopics.length > 0 ? { dlq: await topics.deadLetterCount() } : {}
    return { status, offsets: normaliser.json(offsets), ...state, ...dlq }
  }

  async #capture(): Promise<JsonObject> {
    const { topics, connector, server, normaliser } = this.#parts
    const dlq = topics.deadLetterTopics.length > 0 ? { dlq: await topics.deadLetters(normaliser) } : {}
    const offsets = normaliser.json(await topics.offsets())
    return { ...(await server.capture()), ...dlq, status: await connector.status(), offsets }
  }

  async cleanUp(): Promise<void> {
    const { connector, server, topics } = this.#parts
    await connector.delete()
    await server.cleanUp()
    await topics.delete()
  }
}

type Changes = Readonly<Record<string, string | null>>

/** Action lines as a set, in an order of their own; -4 is a client library's way to say "no version". */
function actionSet(actions: readonly Json[]): readonly Json[] {
  const byText = new Map<string, Json>()
  for (const action of actions) {
    const [kind, meta] = Object.entries(action as JsonObject)[0] as [string, JsonObject]
    const members = Object.entries(meta).filter(([name, value]) => name !== 'version' || value !== -4)
    const line = { [kind]: Object.fromEntries(members.sort(([a], [b]) => (a < b ? -1 : 1))) }
    byText.set(writeJson(line), line)
  }
  return [...byText].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, line]) => line)
}
