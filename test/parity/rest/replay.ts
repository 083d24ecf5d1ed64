/** Plays the recorded requests against a worker, in order, as the recording did against Connect. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RecordedStep, Verdict } from '../../conformance/rest-golden.ts'
import {
  type Answer,
  type CompareOptions,
  compareAnswer,
  type Json,
  loadGolden,
} from '../../conformance/rest-golden.ts'
import { deletedBeforeList, isAwaited, requestBody, requestHeaders, settled } from './requests.ts'

export interface StepOutcome {
  readonly step: RecordedStep
  readonly answer: Answer
  readonly verdict: Verdict
  /** From the first try to the last answer. */
  readonly durationMs: number
}

export interface ReplayOptions extends CompareOptions {
  /** Of the worker; it must see the local file system. */
  readonly baseUrl: string
  /** Per step that is waited for; 30 000 unless told. */
  readonly timeoutMs?: number
}

const retryMs = 100
const answerTimeoutMs = 100_000
/** So many waits in vain, and the others are cut short: a worker that far off is not worth half a minute per step. */
const maxLongWaits = 5
const shortWaitMs = 3000

/** What the three source lines of the recording's input file look like. */
const inputLines = 'one\ntwo\nthree\n'

class Replay {
  readonly #options: ReplayOptions
  readonly #token: string
  readonly #folder: string
  #timeoutMs: number
  #waitsInVain = 0

  constructor(options: ReplayOptions, token: string, folder: string) {
    this.#options = options
    this.#token = token
    this.#folder = folder
    this.#timeoutMs = options.timeoutMs ?? 30_000
  }

  /** Repeats while the worker is momentarily busy, and while an awaited state is not reached. */
  async play(step: RecordedStep): Promise<StepOutcome> {
    if (settled.has(step.id)) await sleep(1000)
    const start = performance.now()
    const awaited = isAwaited(step)
    for (;;) {
      const answer = await this.#send(step)
      const verdict = compareAnswer(step, answer, this.#options)
      const durationMs = performance.now() - start
      const again = isMomentary(answer) || (awaited && verdict !== 'equal')
      if (!again || durationMs > this.#timeoutMs) {
        if (again && ++this.#waitsInVain === maxLongWaits) this.#timeoutMs = Math.min(this.#timeoutMs, shortWaitMs)
        return { step, answer, verdict, durationMs }
      }
      await sleep(retryMs)
    }
  }

  /** The recording deletes some connectors without a record of it. */
  async deleteUnrecorded(): Promise<void> {
    for (const name of deletedBeforeList) {
      await this.play({
        id: `delete-${name}`,
        method: 'DELETE',
        path: `/connectors/rd-TOKEN-${name}`,
        status: 204,
        headers: {},
      })
    }
    const deadline = performance.now() + this.#timeoutMs
    for (;;) {
      const { json } = await this.#send({ id: 'list', method: 'GET', path: '/connectors', status: 200, headers: {} })
      if (Array.isArray(json) && !json.some((name) => deletedBeforeList.some((d) => name === `rd-TOKEN-${d}`))) return
      if (performance.now() > deadline) return
      await sleep(retryMs)
    }
  }

  #fill(text: string): string {
    return text.replaceAll('TOKEN', this.#token).replaceAll('/DATA', this.#folder)
  }

  #clean(text: string): string {
    const { host, port } = new URL(this.#options.baseUrl)
    let result = text
    for (const name of [host, `127.0.0.1:${port}`, `localhost:${port}`]) result = result.replaceAll(name, 'HOST:PORT')
    return result.replaceAll(this.#folder, '/DATA').replaceAll(this.#token, 'TOKEN')
  }

  async #send(step: RecordedStep): Promise<Answer> {
    const body = requestBody(step)
    const { status, headers, text } = await exchange({
      url: new URL(this.#options.baseUrl),
      method: step.method,
      path: this.#fill(step.path),
      headers: requestHeaders(step),
      body: body === undefined ? undefined : this.#fill(body),
    })
    const cleaned = this.#clean(text)
    const kept = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, this.#clean(value)]))
    if (cleaned === '') return { status, headers: kept, json: null }
    try {
      return { status, headers: kept, json: JSON.parse(cleaned) as Json }
    } catch {
      return { status, headers: kept, text: cleaned }
    }
  }
}

export interface Exchange {
  readonly url: URL
  readonly method: string
  /** Sent as it is: no normalisation of `//`, `..` or bad escapes. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
}

export interface RawAnswer {
  readonly status: number
  readonly headers: Record<string, string>
  readonly text: string
}

/** One request on a connection of its own; a broken connection is status 0. */
export function exchange({ url, method, path, headers, body }: Exchange): Promise<RawAnswer> {
  return new Promise((resolve) => {
    const failed = (error: Error): void => resolve({ status: 0, headers: {}, text: String(error) })
    const sent = httpRequest(
      { host: url.hostname, port: url.port, method, path, headers, agent: false, timeout: answerTimeoutMs },
      (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => (text += chunk))
        response.on('error', failed)
        response.on('end', () => {
          const kept: Record<string, string> = {}
          for (const name of ['content-type', 'location', 'allow'] as const) {
            const value = response.headers[name]
            if (typeof value === 'string') kept[name] = value
          }
          resolve({ status: response.statusCode ?? 0, headers: kept, text })
        })
      },
    )
    sent.on('timeout', () => sent.destroy(new Error(`no answer within ${answerTimeoutMs} ms`)))
    sent.on('error', failed)
    sent.end(body)
  })
}

/** Refusals that clients repeat: a rebalance is due, or tasks of the connector still stop. */
function isMomentary({ status, json }: Answer): boolean {
  if (json === null || json === undefined || typeof json !== 'object' || Array.isArray(json)) return false
  const text = json['message']
  if (typeof text !== 'string') return false
  if (status === 409 && text.includes('Cannot complete request')) return true
  return text.includes('a rebalance is expected') || text.includes("haven't stopped completely")
}

/** A random word of eight letters, as every name of the recording holds one. */
const randomToken = (): string =>
  Array.from({ length: 8 }, () => String.fromCharCode(97 + Math.floor(Math.random() * 26))).join('')

/** Plays all recorded steps; gives each outcome as soon as it is there. */
export async function* replay(options: ReplayOptions): AsyncGenerator<StepOutcome> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-rest-'))
  try {
    await writeFile(join(folder, 'in.txt'), inputLines)
    const run = new Replay(options, randomToken(), folder)
    let section = ''
    for (const step of loadGolden()) {
      const entered = sectionOf(step)
      if (entered === 'list' && section !== 'list') await run.deleteUnrecorded()
      section = entered
      yield await run.play(step)
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

export const sectionOf = (step: RecordedStep): string => step.id.split('.')[0] ?? ''
