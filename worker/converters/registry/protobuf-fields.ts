import type { Value } from '../../api/data.ts'
import { type ProtoInput, WireType } from './protobuf-wire.ts'

/** Reads one value, without its tag. @throws DataError */
export type Read = (input: ProtoInput) => Value

/** What a field adds to the struct; several of one number are one list or map. */
export interface FieldPlan {
  readonly name: string
  /** Member of the union struct in which the value goes; null for ordinary fields. */
  readonly union: UnionPlan | null
  readonly kind: 'single' | 'list' | 'map'
  readonly wireType: number
  readonly read: Read
}

/** The fields of a oneof. */
export interface UnionPlan {
  /** Field of the struct that holds the branches; null where they are fields of the message. */
  readonly name: string | null
  readonly branches: readonly string[]
}

/** Stand for absent lists and maps: shared, so that nothing is put into them. */
export const emptyList: readonly Value[] = Object.freeze([])
export const emptyMap: ReadonlyMap<Value, Value> = new Map()

/** Reads a message into a struct, which already holds what stands for absent fields. @throws DataError */
export function readFields(
  input: ProtoInput,
  plans: ReadonlyMap<number, FieldPlan>,
  struct: Record<string, Value>,
): void {
  while (!input.done) {
    const tag = input.uint32()
    const plan = plans.get(tag >>> 3)
    const wireType = tag & 7
    // A field of another wire type is an unknown one.
    if (plan === undefined || !fits(plan, wireType)) input.skip(wireType)
    else if (plan.kind === 'single') put(struct, plan, plan.read(input))
    else if (plan.kind === 'map') {
      const [key = null, item = null] = plan.read(input) as readonly Value[]
      const known = struct[plan.name]
      const map = known === emptyMap ? new Map<Value, Value>() : (known as Map<Value, Value>)
      map.set(key, item)
      struct[plan.name] = map
    } else readItems(input, plan, wireType, struct)
  }
}

/** Numbers of a list may stand together in one field of bytes. */
function fits(plan: FieldPlan, wireType: number): boolean {
  return wireType === plan.wireType || (plan.kind === 'list' && wireType === WireType.bytes)
}

function put(struct: Record<string, Value>, { name, union }: FieldPlan, value: Value): void {
  if (union === null) {
    struct[name] = value
    return
  }
  // Of a oneof the last one counts.
  const branches = Object.fromEntries(union.branches.map((branch) => [branch, branch === name ? value : null]))
  if (union.name === null) Object.assign(struct, branches)
  else struct[union.name] = branches
}

/** One item, or several of a number's type in one field. */
function readItems(input: ProtoInput, plan: FieldPlan, wireType: number, struct: Record<string, Value>): void {
  const known = struct[plan.name]
  const list = (known === emptyList || known === null || known === undefined ? [] : known) as Value[]
  if (wireType === WireType.bytes && plan.wireType !== WireType.bytes) {
    const packed = input.nested()
    while (!packed.done) list.push(plan.read(packed))
  } else list.push(plan.read(input))
  struct[plan.name] = list
}
