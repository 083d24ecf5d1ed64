interface Closable {
  close(): void
}

interface Node<Connection> {
  readonly connection: Connection
  failures: number
  /** Monotonic ms until which other nodes are asked. */
  restsUntil: number
}

const firstRestMs = 1000
const longestRestMs = 60_000

/**
 * Decides which node a request goes to: each in its turn. One that could not be reached or is not ready (502 to 504)
 * is left alone for a second, twice as long after each further failure, up to a minute; where all rest, the one whose
 * rest ends first is asked. The methods are those that the client's transport calls.
 */
export class NodePool<Connection extends Closable> {
  readonly #nodes: readonly Node<Connection>[]
  readonly #nowMs: () => number
  #next = 0

  /** @param connections at least one */
  constructor(connections: readonly Connection[], nowMs: () => number = () => performance.now()) {
    this.#nodes = connections.map((connection) => ({ connection, failures: 0, restsUntil: 0 }))
    this.#nowMs = nowMs
  }

  get size(): number {
    return this.#nodes.length
  }

  getConnection(): Connection | null {
    const now = this.#nowMs()
    const { length } = this.#nodes
    let soonest: Node<Connection> | null = null
    for (let i = 0; i < length; i++) {
      const index = (this.#next + i) % length
      const node = this.#nodes[index] as Node<Connection>
      if (node.restsUntil <= now) {
        this.#next = index + 1
        return node.connection
      }
      if (soonest === null || node.restsUntil < soonest.restsUntil) soonest = node
    }
    return soonest?.connection ?? null
  }

  markAlive(connection: Connection): void {
    const node = this.#nodeOf(connection)
    if (node === undefined) return
    node.failures = 0
    node.restsUntil = 0
  }

  markDead(connection: Connection): void {
    const node = this.#nodeOf(connection)
    if (node === undefined) return
    node.restsUntil = this.#nowMs() + Math.min(longestRestMs, firstRestMs * 2 ** node.failures)
    node.failures++
  }

  async close(): Promise<void> {
    for (const { connection } of this.#nodes) connection.close()
  }

  #nodeOf(connection: Connection): Node<Connection> | undefined {
    return this.#nodes.find((node) => node.connection === connection)
  }
}
