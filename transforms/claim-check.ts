import { createHash } from 'node:crypto'
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { ConnectError, DataError, type ErrorCode, type ErrorKind, RetriableError } from '../worker/api/errors.ts'

/** Where claims go. Plain data: it crosses to the thread that uploads. */
export interface ClaimThreadData {
  readonly client: {
    readonly region: string
    readonly endpoint: string | null
    readonly pathStyle: boolean
    readonly accelerate: boolean
    readonly attempts: number
    readonly backoffMs: number
    readonly checksums: 'WHEN_REQUIRED' | 'WHEN_SUPPORTED'
    readonly expectContinue: boolean
  }
  readonly keys: { readonly id: string; readonly secret: string; readonly sessionToken: string | null } | null
  readonly bucket: string
  readonly encryption: string | null
  readonly kmsKeyId: string | null
  /** Holds the number of the last request that was answered. */
  readonly signal: Int32Array<SharedArrayBuffer>
  readonly port: MessagePort
}

export interface ClaimRequest {
  readonly number: number
  readonly key: string
  readonly body: Uint8Array
}

export type ClaimAnswer =
  | { readonly kind: 'done' }
  | { readonly kind: ErrorKind; readonly code: ErrorCode; readonly message: string }

export interface Claim {
  readonly url: string
  readonly sha256: string
}

export type ClaimOptions = Omit<ClaimThreadData, 'signal' | 'port'> & {
  readonly prefix: string
  /** Longest wait for one upload, in ms. */
  readonly timeoutMs: number
}

/**
 * Puts contents into S3 and answers when they are there (I1), so that no record refers to an object that does not
 * exist. Objects are named by topic and content: a record that comes again writes the same object.
 *
 * Transforms are synchronous, uploads are not; so a thread of its own uploads and this one sleeps meanwhile. It starts
 * with the first claim, and with it the SDK is loaded.
 */
export class ClaimStore {
  readonly #options: ClaimOptions
  #thread: { readonly worker: Worker; readonly port: MessagePort; readonly signal: Int32Array } | null = null
  #number = 0

  constructor(options: ClaimOptions) {
    this.#options = options
  }

  /** @throws RetriableError when S3 is not there or does not answer in time; DataError, ConnectError as the store says */
  put(topic: string, content: string | Uint8Array): Claim {
    const body = typeof content === 'string' ? Buffer.from(content) : content
    const sha256 = createHash('sha256').update(body).digest('hex')
    const key = `${this.#options.prefix}${topic}/${sha256}`
    const answer = this.#upload(key, body)
    if (answer.kind === 'done') return { url: `s3://${this.#options.bucket}/${key}`, sha256 }
    const message = `The claim check ${key} was not stored: ${answer.message}`
    if (answer.kind === 'retriable') throw new RetriableError(answer.code, message)
    if (answer.kind === 'record') throw new DataError(answer.code, message)
    throw new ConnectError(answer.kind, answer.code, message)
  }

  #upload(key: string, body: Uint8Array): ClaimAnswer {
    const { worker, port, signal } = (this.#thread ??= this.#start())
    const number = ++this.#number
    worker.postMessage({ number, key, body } satisfies ClaimRequest)
    const deadline = performance.now() + this.#options.timeoutMs
    for (;;) {
      const message = receiveMessageOnPort(port)?.message as { number: number; answer: ClaimAnswer } | undefined
      if (message?.number === number) return message.answer
      if (message !== undefined) continue
      const left = deadline - performance.now()
      const last = Atomics.load(signal, 0)
      if (last === number) continue
      if (left <= 0) break
      Atomics.wait(signal, 0, last, left)
    }
    // What a thread does that is late must not be taken for an answer to the next request.
    this.close()
    return {
      kind: 'retriable',
      code: 'CONNECT_TRANSFORM_CLAIM',
      message: `no answer within claim.timeout.ms (${this.#options.timeoutMs})`,
    }
  }

  #start(): { readonly worker: Worker; readonly port: MessagePort; readonly signal: Int32Array } {
    const { prefix: _prefix, timeoutMs: _timeoutMs, ...rest } = this.#options
    const signal = new Int32Array(new SharedArrayBuffer(4))
    const { port1, port2 } = new MessageChannel()
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    const worker = new Worker(new URL(`./claim-check-thread.${extension}`, import.meta.url), {
      workerData: { ...rest, signal, port: port2 } satisfies ClaimThreadData,
      transferList: [port2],
    })
    // A thread that ended answers nothing; the wait for it ends by the deadline.
    worker.on('error', () => this.close())
    worker.unref()
    port1.unref()
    return { worker, port: port1, signal }
  }

  close(): void {
    const thread = this.#thread
    this.#thread = null
    thread?.port.close()
    void thread?.worker.terminate()
  }
}
