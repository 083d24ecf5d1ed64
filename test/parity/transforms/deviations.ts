/**
 * Where ours keeps data that Java changes or loses, on purpose (I6). Each rule takes away just what it is about and
 * compares again, so that nothing else hides behind it.
 */
import type { SchemaAndValue } from '../../../worker/api/converter.ts'
import { LogicalName, Schemas } from '../../../worker/api/data.ts'
import { parseHeaderText } from '../../../worker/api/header-text.ts'
import { type ConnectRecord, SinkRecord } from '../../../worker/api/record.ts'
import { isStruct } from '../../../worker/api/values.ts'
import { javaTrim } from '../../../worker/config/config-def.ts'
import { schemaToWire, valueToWire } from '../../conformance/java/wire.ts'
import type { Difference, Outcome } from './case.ts'
import { dataText } from './record-text.ts'

interface Deviation {
  readonly why: string
  readonly explains: (difference: Difference) => boolean
}

const textOf = (outcome: Outcome): string => (outcome.kind === 'result' ? outcome.text : outcome.message)

/** Whether both are results that are equal once `blur` has taken something away. */
function equalWithout(blur: (text: string) => string): (difference: Difference) => boolean {
  return ({ ours, java }) =>
    ours.kind === 'result' && java.kind === 'result' && blur(textOf(ours)) === blur(textOf(java))
}

const logicalNames: readonly (string | null)[] = Object.values(LogicalName)

const deviations: readonly Deviation[] = [
  {
    why: 'an option of blanks or commas alone is an empty one, as everywhere in Connect; Debezium takes it as it stands',
    explains: ({ case: { subject, config } }) =>
      subject.class.startsWith('io.debezium.') && Object.values(config).some((text) => /^[ ,]+$/.test(text)),
  },
  {
    why: 'ExtractNewRecordState: what is dropped needs no headers; Java adds them first and falls over one of no struct',
    explains: ({ case: { subject, config }, ours, java }) =>
      subject.class.endsWith('.ExtractNewRecordState') &&
      config['add.headers']?.includes('1.5') === true &&
      ours.kind === 'result' &&
      ours.text.startsWith('dropped ') &&
      java.kind === 'failed' &&
      java.message.includes('Schema.field(String)" is null'),
  },
  {
    why: 'a pattern or path that is none is refused at the start; Java fails with each record',
    explains: ({ case: { subject }, ours, java }) =>
      /\.TimestampRouter$|\.ExtractField\$/.test(subject.class) &&
      ours.kind === 'refused' &&
      java.kind !== 'refused' &&
      /Illegal pattern character|Unterminated quote|at least one step/.test(ours.message),
  },
  {
    why: 'TimezoneConverter: a list of nothing is none, and one of empty rules is refused; Java has it the other way round',
    explains: ({ case: { subject, config } }) =>
      subject.class.endsWith('.TimezoneConverter') &&
      [config['include.list'], config['exclude.list']].some((list) => list?.replaceAll(',', '').trim() === ''),
  },
  {
    why: "a wrong boolean, or a name that is none of an option's, is refused; Debezium takes the default",
    explains: ({ case: { subject }, ours, java }) =>
      subject.class.startsWith('io.debezium.') &&
      ours.kind === 'refused' &&
      java.kind !== 'refused' &&
      /Expected value to be either true or false|Not a number of type|String must be one of|no kind of schema change/.test(
        ours.message,
      ),
  },
  {
    why: 'Cast of a whole Decimal, Date, Time or Timestamp: the result is no longer of that logical type, under whose name no converter could write it',
    explains: ({ case: { subject, config, record } }) => {
      if (!subject.class.includes('.Cast$') || (config['spec'] ?? '').includes(':')) return false
      const schema = subject.class.endsWith('$Key') ? record.keySchema : record.valueSchema
      return logicalNames.includes(schema?.name ?? '')
    },
  },
  {
    why: 'MaskField of a Decimal: the replacement gets the scale of the schema, without which no converter could write it',
    explains: (difference) =>
      difference.case.subject.class.includes('.MaskField$') &&
      equalWithout((text) =>
        text.replaceAll(/\["dec","(-?\d+)",(-?\d+)\]/g, (_, digits: string, scale: string) => plain(digits, scale)),
      )(difference),
  },
  {
    why: 'a time beyond the range of Date, or without a unix timestamp in 64 bits, fails; Java goes on with another time',
    explains: ({ ours }) => ours.kind === 'failed' && /beyond the year 275760|has no unix timestamp/.test(ours.message),
  },
  {
    why: 'text of a time before 1970 keeps its day; Java writes the time of day alone',
    explains: (difference) =>
      difference.case.subject.class.includes('.Cast$') &&
      equalWithout((text) =>
        text
          .replaceAll(/\["str","-?\d{1,6}-\d\d-\d\dT(\d\d:\d\d:\d\d\.\d{3}Z)"\]/g, '["str","$1"]')
          .replaceAll(/\["str","-?\d{1,6}-\d\d-\d\d"\]/g, '["str","00:00:00.000Z"]'),
      )(difference),
  },
  {
    why: 'a map with keys that are no texts is refused; Java keeps the keys, or fails too',
    explains: ({ ours }) => ours.kind === 'failed' && ours.message.startsWith('Only Map objects with String keys'),
  },
  {
    why: 'InsertHeader of a text that goes on behind a value: the whole text; Java takes the value and drops the rest',
    explains: (difference) => {
      const { subject, config } = difference.case
      return (
        subject.class.endsWith('.InsertHeader') && isOnlyBeginning(difference, javaTrim(config['value.literal'] ?? ''))
      )
    },
  },
  {
    why: 'ReplaceField with a rename to a name that another field has or gets: that field; Java takes the value of the renamed one, also where it is excluded',
    explains: ({ case: { subject, config, record } }) => {
      if (!subject.class.includes('.ReplaceField$')) return false
      const targets = (config['renames'] ?? '').split(',').map((pair) => pair.split(':')[1] ?? '')
      const schema = subject.class.endsWith('$Key') ? record.keySchema : record.valueSchema
      return new Set(targets).size < targets.length || targets.some((name) => schema?.fieldsByName.has(name))
    },
  },
  {
    why: 'ExtractNewRecordState with drop.fields.header.name: a delete that becomes a tombstone passes; Java falls over its missing schema',
    explains: ({ case: { config }, ours, java }) =>
      ours.kind === 'result' &&
      config['delete.tombstone.handling.mode'] === 'delete-to-tombstone' &&
      java.kind === 'failed' &&
      java.message.includes('"schema" is null'),
  },
  {
    why: 'ExtractNewRecordState with drop.fields.header.name: an empty name names no field; Java fails',
    explains: ({ case: { config }, ours, java }) =>
      ours.kind === 'result' &&
      config['drop.fields.header.name'] !== undefined &&
      java.kind === 'failed' &&
      java.message.includes("Configuration 'exclude' values must not be empty."),
  },
  {
    why: 'HeaderToValue: a struct that may be null still may be; Java requires it from then on',
    explains: (difference) =>
      difference.case.subject.class.endsWith('.HeaderToValue') &&
      equalWithout((text) => text.replaceAll('"type":"STRUCT","optional":true', '"type":"STRUCT","optional":false'))(
        difference,
      ),
  },
  {
    why: 'ExtractChangedRecordState: bytes are compared by content; in Java no two are equal',
    explains: (difference) => {
      const { subject, record } = difference.case
      if (!subject.class.endsWith('.ExtractChangedRecordState')) return false
      const row = record.valueSchema?.fieldsByName.get('after')?.schema.fields ?? []
      const bytes = row.filter(({ schema }) => schema.type === 'BYTES' && schema.name === null)
      const blur = (text: string): string =>
        bytes
          .reduce((rest, { name }) => rest.replaceAll(new RegExp(`,?\\["str","${name}"\\]`, 'g'), ''), text)
          .replaceAll('[,', '[')
      return bytes.length > 0 && equalWithout(blur)(difference)
    },
  },
  {
    why: 'EventRouter: in a sink the partition stays, and a truncated outbox table is passed over; Java fails',
    explains: ({ case: { subject, record }, ours, java }) =>
      subject.class.endsWith('.EventRouter') &&
      ours.kind === 'result' &&
      java.kind === 'failed' &&
      ((record instanceof SinkRecord && java.message.includes('"kafkaPartition" is null')) ||
        (ours.text === 'dropped then dropped' && java.message.includes('[Read Outbox Event], found: null'))),
  },
  {
    why: 'EventRouter: an unknown placement is refused at the start; Java fails with each event',
    explains: ({ case: { subject, config }, ours }) =>
      subject.class.endsWith('.EventRouter') &&
      ours.kind === 'refused' &&
      /:other\b/.test(config['table.fields.additional.placement'] ?? ''),
  },
  {
    why: 'EventRouter: the time of the event may be a timestamptz, or a Timestamp of Connect; Java takes INT64 alone',
    explains: ({ case: { subject, config, record }, ours, java }) => {
      const row = record.valueSchema?.fieldsByName.get('after')?.schema
      const name = row?.fieldsByName.get(config['table.field.event.timestamp'] ?? '')?.schema.name ?? ''
      return (
        subject.class.endsWith('.EventRouter') &&
        ['io.debezium.time.ZonedTimestamp', LogicalName.timestamp].includes(name) &&
        ours.kind === 'result' &&
        java.kind === 'failed' &&
        /is not of type INT64|class java.util.Date cannot be cast/.test(java.message)
      )
    },
  },
  {
    why: 'EventRouter: JSON that gets no value keeps its own schema, and arrays get one; in Java schema and text do not fit',
    explains: ({ case: { subject, config }, java }) =>
      subject.class.endsWith('.EventRouter') &&
      config['table.expand.json.payload'] === 'true' &&
      (/"value":\[(?:null|\{"type":"(?:ARRAY|STRUCT)".*\}),\["str",/.test(textOf(java)) ||
        /schema (?:"[^"]*" )?with type \w+: class java.lang.String for field: "payload"|"Object.hashCode\(\)" because "key" is null/.test(
          textOf(java),
        )),
  },
  {
    why: 'JSON whose arrays have objects that differ: fields in the order of the text; in Java in that of a hash, whose first schema counts',
    explains: ({ case: { record } }) => /\[[^\]]*\{[^\]]*\{/.test(payloadOf(record) ?? ''),
  },
  {
    why: 'JSON with text behind it is no JSON; Java drops the text',
    explains: ({ case: { record } }) => payloadOf(record)?.endsWith(' x') === true,
  },
  {
    why: 'DecodeLogicalDecodingMessageContent: a tombstone passes; Java falls over its missing schema',
    explains: ({ case: { subject }, ours, java }) => {
      if (!subject.class.endsWith('.DecodeLogicalDecodingMessageContent') || ours.kind !== 'result') return false
      if (java.kind === 'failed') return java.message.includes('valueSchema()" is null')
      const [first, second] = textOf(java).split(/ then (?=[^ ]*$)/)
      return second === 'failed' && ours.text.startsWith(`${first} then {`)
    },
  },
  {
    why: 'PartitionRouting by bytes fails; Java takes the address of the array, another with each record',
    explains: ({ ours }) => ours.kind === 'failed' && ours.message.includes('has a type without a hash'),
  },
]

/** Whether Java's record is ours with, in place of the text, the value that the text begins with. */
function isOnlyBeginning({ ours, java }: Difference, text: string): boolean {
  const whole = headerDataText({ schema: Schemas.string, value: text })
  for (let end = 1; end < text.length; end++) {
    const beginning = parseHeaderText(text.slice(0, end))
    if (beginning.schema?.type === 'STRING') continue
    if (textOf(ours).replaceAll(whole, () => headerDataText(beginning)) === textOf(java)) return true
  }
  return false
}

function headerDataText({ schema, value }: SchemaAndValue): string {
  return JSON.stringify(dataText(schemaToWire(schema), valueToWire(schema, value)))
}

/** Text of the payload of an outbox event or of the content of a message, where there is one. */
function payloadOf(record: ConnectRecord): string | undefined {
  const { after, message } = isStruct(record.value) ? record.value : {}
  const part = after ?? message ?? null
  const values = isStruct(part) ? Object.values(part) : []
  const texts = values.map((value) => (value instanceof Uint8Array ? Buffer.from(value).toString() : value))
  return texts.find((text): text is string => typeof text === 'string' && /^[[{]/.test(text))
}

/** A decimal without zeros at its end, whatever its scale. */
function plain(digits: string, scale: string): string {
  const zeros = /0*$/.exec(digits)?.[0].length ?? 0
  const stripped = digits.slice(0, digits.length - zeros)
  return stripped === '' || stripped === '-' ? '0' : `${stripped}e${-Number(scale) + zeros}`
}

/** Why a difference is meant, or null. */
export function deviationOf(difference: Difference): string | null {
  return deviations.find(({ explains }) => explains(difference))?.why ?? null
}
