/** What goes over the connections of one client, for the metrics of its network. */
import type { Socket } from 'node:net'
import type { ConnectionMeter, PushedRequest } from './kafkajs-internals.ts'
import type { TrafficListener } from './types.ts'

interface Counted {
  incoming: number
  outgoing: number
}

/** Watches the connections of one client. Bytes are counted with each request and answer, and at the end. */
export class Traffic implements ConnectionMeter {
  readonly #listener: TrafficListener
  readonly #open = new Map<Socket, Counted>()

  constructor(listener: TrafficListener) {
    this.#listener = listener
  }

  /** @returns the same socket, which may still be connecting */
  watch(socket: Socket): Socket {
    socket.once('connect', () => {
      this.#open.set(socket, { incoming: 0, outgoing: 0 })
      this.#listener.connected()
    })
    socket.once('close', () => {
      this.#count()
      if (this.#open.delete(socket)) this.#listener.disconnected()
    })
    return socket
  }

  /** The same request, counted when it is sent and when it is answered. */
  metered(request: PushedRequest): PushedRequest {
    const { entry, expectResponse, sendRequest } = request
    return {
      ...request,
      sendRequest: () => {
        sendRequest()
        this.#listener.request()
        this.#count()
      },
      entry: {
        ...entry,
        resolve: (answer) => {
          if (expectResponse) this.#listener.response()
          this.#count()
          entry.resolve(answer)
        },
      },
    }
  }

  #count(): void {
    for (const [{ bytesRead, bytesWritten }, counted] of this.#open) {
      const [incoming, outgoing] = [bytesRead - counted.incoming, bytesWritten - counted.outgoing]
      if (incoming <= 0 && outgoing <= 0) continue
      counted.incoming = bytesRead
      counted.outgoing = bytesWritten
      this.#listener.bytes(incoming, outgoing)
    }
  }
}
