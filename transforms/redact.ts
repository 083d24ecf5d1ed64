import { createHmac } from 'node:crypto'
import { type ConfigOf, defineConfig, oneOfIgnoringCase, type Password, type Validator } from '../worker/api/config.ts'
import type { Struct, Value } from '../worker/api/data.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { isStruct } from '../worker/api/values.ts'
import { keyAndValue, type RecordPart, setMember } from './record-part.ts'
import { replaceSensitive, type SensitiveKind, sensitiveKinds } from './sensitive-text.ts'

const isKind = (text: string): text is SensitiveKind => sensitiveKinds.some((kind) => kind === text)

const knownPatterns: Validator = {
  description: `some of ${sensitiveKinds.join(', ')}`,
  check: (_, value) => {
    const unknown = ((value ?? []) as readonly string[]).find((name) => !isKind(name))
    return unknown === undefined ? null : `There is no pattern ${unknown}; use some of ${sensitiveKinds.join(', ')}`
  },
}

const config = defineConfig(
  {
    patterns: {
      type: 'LIST',
      default: [...sensitiveKinds],
      importance: 'HIGH',
      valid: knownPatterns,
      doc: 'What is looked for in texts: e-mail addresses; card numbers (known networks, Luhn); IBANs (modulo 97); access tokens (JSON web tokens, those of well-known services, what follows Bearer).',
    },
    fields: {
      type: 'LIST',
      default: [],
      importance: 'MEDIUM',
      doc: 'Only these fields and what is below them, as paths with dots; empty: all texts, however deep. Names of fields and keys of maps are not looked at, nor are numbers: use MaskField for those.',
    },
    action: {
      type: 'STRING',
      default: 'mask',
      importance: 'HIGH',
      valid: oneOfIgnoringCase('mask', 'hash'),
      doc: 'mask puts `[email]` and so on in place of what was found, hash a keyed hash (`email:` and 32 hexadecimal digits of HMAC-SHA-256): equal things stay equal, however they are spelled, and nobody without the key can test a guess.',
    },
    'hash.key': {
      type: 'PASSWORD',
      default: null,
      importance: 'HIGH',
      doc: 'Key of hash, at least 16 characters; keep it outside the config, e.g. ${file:…}.',
    },
  },
  {
    validate(options) {
      if (options.action.toLowerCase() !== 'hash' || (options['hash.key']?.reveal().length ?? 0) >= 16) return []
      return [{ option: 'hash.key', message: 'The action hash needs a key of at least 16 characters' }]
    },
  },
)

/** Names of fields to look into; null: everything from here on. */
type Selection = ReadonlyMap<string, Selection> | null

/** Replaces personal data and secrets within texts of the key or value, at any depth. */
class Redact implements Transformation<ConfigOf<typeof config>> {
  readonly #part: RecordPart
  #kinds: readonly SensitiveKind[] = []
  #selection: Selection = null
  #replacement: (kind: SensitiveKind, found: string) => string = maskOf

  constructor(part: RecordPart) {
    this.#part = part
  }

  configure(options: ConfigOf<typeof config>): void {
    this.#kinds = options.patterns.filter(isKind)
    this.#selection = options.fields.length === 0 ? null : selectionOf(options.fields)
    const key = options['hash.key']
    this.#replacement = options.action.toLowerCase() === 'hash' && key !== null ? hasher(key) : maskOf
  }

  apply<R extends ConnectRecord>(record: R): R {
    const value = this.#part.value(record)
    const redacted = this.#redact(value, this.#selection)
    return redacted === value ? record : this.#part.replace(record, this.#part.schema(record), redacted)
  }

  /** The same value when nothing in it was replaced. */
  #redact(value: Value, selection: Selection): Value {
    if (typeof value === 'string') {
      return selection === null ? replaceSensitive(value, this.#kinds, this.#replacement) : value
    }
    if (value === null || typeof value !== 'object') return value
    // Members of lists are reached by the path of the list.
    if (Array.isArray(value)) return this.#redactList(value as readonly Value[], selection)
    if (value instanceof Map) return this.#redactMap(value as ReadonlyMap<Value, Value>, selection)
    return isStruct(value) ? this.#redactStruct(value, selection) : value
  }

  #redactList(list: readonly Value[], selection: Selection): readonly Value[] {
    let changed: Value[] | null = null
    for (let i = 0; i < list.length; i++) {
      const item = list[i] ?? null
      const redacted = this.#redact(item, selection)
      if (redacted === item) continue
      changed ??= [...list]
      changed[i] = redacted
    }
    return changed ?? list
  }

  #redactMap(map: ReadonlyMap<Value, Value>, selection: Selection): ReadonlyMap<Value, Value> {
    let changed: Map<Value, Value> | null = null
    for (const [key, item] of map) {
      const below = selection === null ? null : selection.get(String(key))
      const redacted = below === undefined ? item : this.#redact(item, below)
      if (redacted === item) continue
      changed ??= new Map(map)
      changed.set(key, redacted)
    }
    return changed ?? map
  }

  #redactStruct(struct: Struct, selection: Selection): Struct {
    let changed: Record<string, Value> | null = null
    for (const name in struct) {
      const item = struct[name] ?? null
      const below = selection === null ? null : selection.get(name)
      const redacted = below === undefined ? item : this.#redact(item, below)
      if (redacted === item) continue
      changed ??= copyOf(struct)
      setMember(changed, name, redacted)
    }
    return changed ?? struct
  }
}

function copyOf(struct: Struct): Record<string, Value> {
  const copy: Record<string, Value> = {}
  for (const name in struct) setMember(copy, name, struct[name] ?? null)
  return copy
}

function selectionOf(paths: readonly string[]): Selection {
  const root = new Map<string, Selection>()
  for (const path of paths) {
    const steps = path.split('.')
    const last = steps.pop() ?? ''
    let at: Map<string, Selection> | null = root
    for (const step of steps) {
      const below: Selection | undefined = at.get(step)
      // A path above this one selects everything below it already.
      if (below === null) {
        at = null
        break
      }
      const next: Map<string, Selection> = new Map(below)
      at.set(step, next)
      at = next
    }
    at?.set(last, null)
  }
  return root
}

function maskOf(kind: SensitiveKind): string {
  return `[${kind}]`
}

function hasher(key: Password): (kind: SensitiveKind, found: string) => string {
  const secret = key.reveal()
  return (kind, found) =>
    `${kind}:${createHmac('sha256', secret).update(`${kind}\0${found}`).digest('hex').slice(0, 32)}`
}

export const redact = keyAndValue({
  name: 'sluice.transforms.Redact',
  version: '1.0.0',
  config,
  create: (part) => new Redact(part),
})
