/** Column defaults of the catalog (`pg_get_expr`) as schema defaults. */
import type { Value } from '../../../worker/api/data.ts'
import type { PgType } from '../types.ts'
import type { ValueCodec } from './codec.ts'

/** Types whose literals Debezium parses. */
const parsed = new Set(
  (
    'bit varbit bool bpchar varchar text numeric float4 float8 int2 int4 int8 json jsonb xml uuid date time timestamp ' +
    'timestamptz interval'
  ).split(' '),
)

const numbers = new Set(['numeric', 'float4', 'float8', 'int2', 'int4', 'int8'])

/** What stands for the result of a function call, per type. */
const ofFunction: Readonly<Record<string, string>> = {
  bit: '00',
  varbit: '0',
  bool: 'f',
  bpchar: '',
  varchar: '',
  text: '',
  xml: '',
  json: '{}',
  jsonb: '{}',
  uuid: '00000000-0000-0000-0000-000000000000',
  date: '1970-01-01',
  time: '00:00:00',
  timestamp: '1970-01-01 00:00:00',
  timestamptz: '1970-01-01 00:00:00+00',
  interval: '00:00:00',
}

const functionCall = /^\(?[A-Za-z0-9_.]+\(.*\)/s
const currentTime = /^(?:CURRENT_TIMESTAMP|CURRENT_TIME|CURRENT_DATE|LOCALTIME|LOCALTIMESTAMP)\b/i

/**
 * Schema default of a column, or null. Quirks kept: an expression that starts with a string literal yields that
 * literal, quotes inside enum labels stay doubled, `CURRENT_USER` is a text.
 */
export function schemaDefault(expression: string, type: PgType, codec: ValueCodec): Value {
  if (codec.spec.type === 'STRUCT' || codec.spec.type === 'ARRAY' || codec.spec.type === 'MAP') return null
  const isEnum = type.kind === 'e'
  if (!isEnum && !parsed.has(type.name)) return null
  if (/^NULL(?:::|$)/i.test(expression)) return null
  const text = literalText(expression, type, isEnum)
  if (text === null) return null
  const bytes = Buffer.from(text, 'utf8')
  try {
    return codec.read(bytes, 0, bytes.length)
  } catch {
    // Not a literal after all: such an expression has no schema default.
    return null
  }
}

function literalText(expression: string, type: PgType, isEnum: boolean): string | null {
  const quoted = /^\(?B?'((?:[^']|'')*)'/s.exec(expression)
  if (quoted !== null) {
    const inner = quoted[1] as string
    if (isEnum) return inner
    const text = inner.replaceAll("''", "'")
    return type.name === 'bool' ? booleanText(text) : normalised(text, type)
  }
  if (isEnum) return null
  if (functionCall.test(expression) || currentTime.test(expression)) return ofFunction[type.name] ?? '0'
  const bare = expression.replace(/::.*$/s, '').replace(/^\((.*)\)$/s, '$1')
  switch (type.name) {
    case 'bool':
      return booleanText(bare)
    case 'text':
    case 'varchar':
    case 'bpchar':
    case 'xml':
      return bare
    case 'int2':
    case 'int4':
    case 'int8':
      return /^-?\d+$/.test(bare) ? bare : null
    case 'numeric':
    case 'float4':
    case 'float8':
      return /^-?\d+(?:\.\d*)?(?:e[+-]?\d+)?$/i.test(bare) ? bare : null
    default:
      return null
  }
}

function booleanText(text: string): string {
  return /^t/i.test(text) ? 't' : 'f'
}

/** Text of a literal as the server would write the value. */
function normalised(text: string, type: PgType): string | null {
  if (numbers.has(type.name)) {
    const trimmed = text.trim()
    return /^[+-]?(?:\d|\.\d|NaN|Infinity)/.test(trimmed) ? trimmed : null
  }
  if (type.name === 'bpchar') return text.replace(/ +$/, '')
  return text
}
