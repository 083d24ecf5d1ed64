/**
 * The order in which Java's `HashMap` gives the members of objects back. Files that this sink writes are read next to
 * files of the Java connector, and equal records must give equal bytes.
 */
import { hashOrder } from '../../../worker/api/java-hash.ts'

interface ShapeNode {
  readonly next: Map<string, ShapeNode>
  order: readonly string[] | null
}

/** Shapes kept before the cache starts anew: members named after ids must not fill the memory. */
const maxShapes = 4096

/**
 * HashMap order of the member names of JSON objects. Records of one topic share few shapes, so each is sorted once
 * and found again by walking its names.
 */
export class MemberOrder {
  #root: ShapeNode = { next: new Map(), order: null }
  #nodes = 0

  of(names: readonly string[]): readonly string[] {
    let node = this.#root
    for (const name of names) {
      let child = node.next.get(name)
      if (child === undefined) {
        if (++this.#nodes > maxShapes) return this.#startAnew(names)
        child = { next: new Map(), order: null }
        node.next.set(name, child)
      }
      node = child
    }
    node.order ??= hashOrder(names)
    return node.order
  }

  #startAnew(names: readonly string[]): readonly string[] {
    this.#root = { next: new Map(), order: null }
    this.#nodes = 0
    return hashOrder(names)
  }
}
