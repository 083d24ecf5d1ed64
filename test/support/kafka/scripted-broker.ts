/**
 * A broker on a TCP port that speaks just enough of the protocol for producers: it checks checksums and sequence
 * numbers as a real one does, keeps what was written, and fails as its script says. For what no real broker does on
 * demand: a lost answer, an error in the middle of five requests under way, a sequence near 2^31.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { readBatchHeader, readRecords } from '../../../worker/kafka/record-batch.ts'
import { addSequence } from '../../../worker/kafka/record-batch-builder.ts'
import { WireReader, WireWriter } from '../../../worker/kafka/wire.ts'

/** What happens to one partition of one Produce request. */
export type ProduceFault =
  | { readonly kind: 'none' }
  /** Refused with a protocol error; nothing is written. */
  | { readonly kind: 'error'; readonly code: number }
  /** The connection breaks before, or after, the batch was written. */
  | { readonly kind: 'drop'; readonly written: boolean }

export interface WrittenRecord {
  readonly value: string
  readonly sequence: number
}

interface PartitionLog {
  readonly records: WrittenRecord[]
  /** Per producer id: sequence expected next and the last batches, by which repeats are known. */
  readonly producers: Map<bigint, { expected: number; recent: { base: number; count: number; offset: bigint }[] }>
}

export interface ScriptedBrokerOptions {
  readonly partitions: number
  /** Asked for each partition of each Produce request. */
  readonly fault?: (partition: number) => ProduceFault
  /** Error code of InitProducerId answers, in order; 0 afterwards. */
  readonly initErrors?: readonly number[]
  /** Largest batch taken, in bytes. */
  readonly maxBatchBytes?: number
  /** Sequence that the first batch of every producer must have. */
  readonly firstSequence?: number
}

const OUT_OF_ORDER = 45
const MESSAGE_TOO_LARGE = 10
const REMEMBERED = 5

export class ScriptedBroker implements AsyncDisposable {
  readonly #server: Server
  readonly #options: ScriptedBrokerOptions
  readonly #sockets = new Set<Socket>()
  readonly #logs: PartitionLog[]
  readonly #initErrors: number[]
  #producerIds = 1n
  /** Produce requests received. */
  produceRequests = 0
  /** Most Produce requests that were waiting for an answer at once. */
  mostInFlight = 0
  #inFlight = 0

  constructor(options: ScriptedBrokerOptions) {
    this.#options = options
    this.#initErrors = [...(options.initErrors ?? [])]
    this.#logs = Array.from({ length: options.partitions }, () => ({ records: [], producers: new Map() }))
    this.#server = createServer((socket) => this.#serve(socket))
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return `127.0.0.1:${this.#port()}`
  }

  written(partition: number): readonly WrittenRecord[] {
    return this.#logs[partition]?.records ?? []
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #port(): number {
    const address = this.#server.address()
    return address !== null && typeof address === 'object' ? address.port : 0
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket)
    socket.setNoDelay(true)
    let buffered = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      buffered = Buffer.concat([buffered, Buffer.from(chunk)])
      while (buffered.length >= 4 && buffered.length >= 4 + buffered.readInt32BE(0)) {
        const size = buffered.readInt32BE(0)
        const request = buffered.subarray(4, 4 + size)
        buffered = buffered.subarray(4 + size)
        this.#answer(socket, request)
      }
    })
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.#sockets.delete(socket))
  }

  #answer(socket: Socket, request: Buffer): void {
    const reader = new WireReader(request, 'request')
    const apiKey = reader.int16()
    reader.int16()
    const correlationId = reader.int32()
    reader.nullableString()
    const answer = new WireWriter().int32(0).int32(correlationId)
    switch (apiKey) {
      case 18:
        this.#apiVersions(answer)
        break
      case 3:
        this.#metadata(answer)
        break
      case 22:
        this.#initProducerId(answer)
        break
      case 0:
        this.#produceLater(socket, reader, answer)
        return
      default:
        socket.destroy()
        return
    }
    send(socket, answer)
  }

  #apiVersions(answer: WireWriter): void {
    const ranges = [
      [0, 3, 8],
      [3, 0, 6],
      [18, 0, 2],
      [22, 0, 1],
    ] as const
    answer
      .int16(0)
      .array(ranges, ([key, least, most], w) => w.int16(key).int16(least).int16(most))
      .int32(0)
  }

  #metadata(answer: WireWriter): void {
    const partitions = this.#logs.map((_, index) => index)
    answer
      .int32(0)
      .array([1], (id, w) => w.int32(id).string('127.0.0.1').int32(this.#port()).string(null))
      .string('scripted')
      .int32(1)
      .array(['t'], (topic, w) => {
        w.int16(0).string(topic).bool(false)
        w.array(partitions, (p, x) => x.int16(0).int32(p).int32(1).int32(0).int32(0).int32(0))
      })
  }

  #initProducerId(answer: WireWriter): void {
    const error = this.#initErrors.shift() ?? 0
    answer
      .int32(0)
      .int16(error)
      .int64(error === 0 ? this.#producerIds++ : -1n)
      .int16(0)
  }

  /** A turn later, so that requests pile up as over a network; one after the other, as a broker does. */
  #produceLater(socket: Socket, reader: WireReader, answer: WireWriter): void {
    this.produceRequests++
    this.#inFlight++
    this.mostInFlight = Math.max(this.mostInFlight, this.#inFlight)
    const body = { transactionalId: reader.nullableString(), acks: reader.int16(), timeout: reader.int32() }
    const topics = reader.array((r) => {
      const topic = r.string()
      return { topic, partitions: r.array((p) => ({ partition: p.int32(), batch: Buffer.from(p.bytes()) })) }
    })
    setTimeout(() => {
      this.#inFlight--
      // What a broken connection had sent before may be lost with it.
      if (socket.destroyed) return
      let drop = false
      answer.array(topics, ({ topic, partitions }, w) => {
        w.string(topic).array(partitions, ({ partition, batch }, x) => {
          const fault = this.#options.fault?.(partition) ?? { kind: 'none' }
          drop ||= fault.kind === 'drop'
          const unwritten = fault.kind === 'error' || (fault.kind === 'drop' && !fault.written)
          const result = unwritten
            ? { error: fault.kind === 'error' ? fault.code : 0, offset: -1n }
            : this.#write(partition, batch)
          x.int32(partition).int16(result.error).int64(result.offset).int64(-1n).int64(0n).int32(0).string(null)
        })
      })
      answer.int32(0)
      if (drop) socket.destroy()
      else if (body.acks !== 0) send(socket, answer)
    }, 1)
  }

  #write(partition: number, bytes: Buffer): { readonly error: number; readonly offset: bigint } {
    const log = this.#logs[partition]
    const header = readBatchHeader(bytes, 0)
    if (log === undefined || header === null) return { error: 2, offset: -1n }
    if (bytes.length > (this.#options.maxBatchBytes ?? Number.POSITIVE_INFINITY))
      return { error: MESSAGE_TOO_LARGE, offset: -1n }
    const offset = BigInt(log.records.length)
    const { baseSequence: base, count, producerId } = header
    if (producerId >= 0n) {
      let producer = log.producers.get(producerId)
      if (producer === undefined) {
        producer = { expected: producerId === 1n ? (this.#options.firstSequence ?? 0) : 0, recent: [] }
        log.producers.set(producerId, producer)
      }
      const repeat = producer.recent.find((batch) => batch.base === base && batch.count === count)
      if (repeat !== undefined) return { error: 0, offset: repeat.offset }
      if (base !== producer.expected) return { error: OUT_OF_ORDER, offset: -1n }
      producer.expected = addSequence(base, count)
      producer.recent = [...producer.recent, { base, count, offset }].slice(-REMEMBERED)
    }
    for (const [index, record] of readRecords(bytes, header).entries()) {
      log.records.push({
        value: Buffer.from(record.value ?? []).toString(),
        sequence: base < 0 ? -1 : addSequence(base, index),
      })
    }
    return { error: 0, offset }
  }
}

function send(socket: Socket, answer: WireWriter): void {
  const bytes = answer.done()
  bytes.writeInt32BE(bytes.length - 4, 0)
  socket.write(bytes)
}
