import type { TaskId } from '../runtime/worker-types.ts'
import type { Work } from './protocol.ts'

/** Text of a task id, as Connect writes it; unambiguous, since the index is all after the last hyphen. */
export function taskKey(id: TaskId): string {
  return `${id.connector}-${id.task}`
}

export function compareTasks(a: TaskId, b: TaskId): number {
  if (a.connector !== b.connector) return a.connector < b.connector ? -1 : 1
  return a.task - b.task
}

/** An immutable set of connectors and tasks; keeps the order of insertion. */
export class WorkSet {
  static readonly empty = new WorkSet([], [])

  readonly connectors: ReadonlySet<string>
  readonly #tasks: ReadonlyMap<string, TaskId>

  constructor(connectors: Iterable<string>, tasks: Iterable<TaskId>) {
    this.connectors = new Set(connectors)
    this.#tasks = new Map(Array.from(tasks, (id) => [taskKey(id), id]))
  }

  static of(work: Work): WorkSet {
    return new WorkSet(work.connectors, work.tasks)
  }

  static union(sets: Iterable<WorkSet>): WorkSet {
    const connectors: string[] = []
    const tasks: TaskId[] = []
    for (const set of sets) {
      connectors.push(...set.connectors)
      tasks.push(...set.tasks())
    }
    return new WorkSet(connectors, tasks)
  }

  get size(): number {
    return this.connectors.size + this.#tasks.size
  }

  get taskCount(): number {
    return this.#tasks.size
  }

  tasks(): IterableIterator<TaskId> {
    return this.#tasks.values()
  }

  hasConnector(connector: string): boolean {
    return this.connectors.has(connector)
  }

  hasTask(id: TaskId): boolean {
    return this.#tasks.has(taskKey(id))
  }

  union(other: WorkSet): WorkSet {
    return WorkSet.union([this, other])
  }

  minus(other: WorkSet): WorkSet {
    return this.filter(
      (connector) => !other.hasConnector(connector),
      (id) => !other.hasTask(id),
    )
  }

  intersect(other: WorkSet): WorkSet {
    return this.filter(
      (connector) => other.hasConnector(connector),
      (id) => other.hasTask(id),
    )
  }

  filter(connector: (name: string) => boolean, task: (id: TaskId) => boolean): WorkSet {
    return new WorkSet([...this.connectors].filter(connector), [...this.#tasks.values()].filter(task))
  }

  toWork(): Work {
    return { connectors: [...this.connectors], tasks: [...this.#tasks.values()] }
  }

  sorted(): WorkSet {
    return new WorkSet([...this.connectors].sort(), [...this.#tasks.values()].sort(compareTasks))
  }
}
