import { type ConfigOf, defineConfig, javaRegex, oneOfIgnoringCase } from '../worker/api/config.ts'
import type { ConfigProblem } from '../worker/api/errors.ts'

const placements = ['header', 'envelope', 'partition'] as const
export type Placement = (typeof placements)[number]

/** A further column of the outbox table and where its value goes. */
export interface AdditionalField {
  readonly column: string
  readonly placement: Placement
  readonly alias: string
}

const column = (name: string | null, doc: string) =>
  ({ type: 'STRING', default: name, importance: 'MEDIUM', group: 'Table', doc }) as const

export const outboxConfig = defineConfig(
  {
    'table.field.event.id': column('id', 'Column with the unique id of the event, which becomes the header `id`.'),
    'table.field.event.key': column('aggregateid', 'Column that becomes the key of the record.'),
    'table.field.event.type': column('type', 'Column with the type of the event. Has no effect by itself.'),
    'table.field.event.payload': column('payload', 'Column that becomes the value.'),
    'table.field.event.timestamp': column(null, 'Column for the timestamp of the record; unset: time of the change.'),
    'table.field.event.schema.version': column(null, 'Column for the version of the schema of the value.'),
    'table.fields.additional.placement': {
      type: 'STRING',
      default: null,
      importance: 'HIGH',
      group: 'Table',
      doc: 'Further columns: `column:placement[:alias]`, placement being header, envelope or partition.',
    },
    'table.field.additional.missing': {
      type: 'STRING',
      default: 'error',
      importance: 'MEDIUM',
      group: 'Table',
      valid: oneOfIgnoringCase('error', 'ignore'),
      doc: 'What to do where an additional column does not exist: fail the record, or leave the column out.',
    },
    'table.op.invalid.behavior': {
      type: 'STRING',
      default: 'warn',
      importance: 'MEDIUM',
      group: 'Table',
      valid: oneOfIgnoringCase('warn', 'error', 'fatal'),
      doc: 'What to do with updates of the outbox table: warn and error drop them, fatal fails the record.',
    },
    'table.expand.json.payload': {
      type: 'BOOLEAN',
      default: false,
      importance: 'MEDIUM',
      group: 'Table',
      doc: 'Whether a payload with a JSON object or array becomes a struct or array with a schema.',
    },
    'table.json.payload.null.behavior': {
      type: 'STRING',
      default: 'ignore',
      importance: 'MEDIUM',
      group: 'Table',
      valid: oneOfIgnoringCase('ignore', 'optional_bytes'),
      doc: 'What null members of an expanded payload become: nothing, or optional bytes.',
    },
    'table.json.payload.empty.array.behavior': {
      type: 'STRING',
      default: 'ignore',
      importance: 'MEDIUM',
      group: 'Table',
      valid: oneOfIgnoringCase('ignore', 'optional_string'),
      doc: 'What empty arrays of an expanded payload become: nothing, or an array of optional strings.',
    },
    'route.by.field': {
      type: 'STRING',
      default: 'aggregatetype',
      importance: 'HIGH',
      group: 'Router',
      doc: 'Column whose value decides about the topic.',
    },
    'route.topic.regex': {
      type: 'STRING',
      default: '(?<routedByValue>.*)',
      importance: 'LOW',
      group: 'Router',
      valid: javaRegex,
      doc: 'Regular expression for that value.',
    },
    'route.topic.replacement': {
      type: 'STRING',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: Java's notation of a named group
      default: 'outbox.event.${routedByValue}',
      importance: 'HIGH',
      group: 'Router',
      doc: 'The topic; a group of the expression stands as $1 or ${name}.',
    },
    'route.tombstone.on.empty.payload': {
      type: 'BOOLEAN',
      default: false,
      importance: 'HIGH',
      group: 'Router',
      doc: 'Whether an empty or null payload becomes a tombstone.',
    },
  },
  {
    validate: (options) =>
      placementsOf(options['table.fields.additional.placement']).flatMap((text): readonly ConfigProblem[] =>
        parseAdditionalField(text) === null
          ? [
              {
                option: 'table.fields.additional.placement',
                message: `Invalid placement ${text}: write column:placement or column:placement:alias, with one of ${placements.join(', ')}`,
              },
            ]
          : [],
      ),
  },
)

export type OutboxOptions = ConfigOf<typeof outboxConfig>

/** Further columns of the outbox table, as the options say; what is no placement is left out. */
export function additionalFields(options: OutboxOptions): readonly AdditionalField[] {
  return placementsOf(options['table.fields.additional.placement'])
    .map(parseAdditionalField)
    .filter((field) => field !== null)
}

/** As in Java, commas at the end count for nothing. */
function placementsOf(list: string | null): readonly string[] {
  return list?.replace(/,+$/, '').split(',') ?? []
}

/** Null for what is no placement. */
function parseAdditionalField(text: string): AdditionalField | null {
  const [name = '', where = '', alias, ...rest] = text.split(':').map((part) => part.trim())
  const placement = placements.find((candidate) => candidate === where.toLowerCase())
  if (name === '' || placement === undefined || rest.length > 0) return null
  return { column: name, placement, alias: alias || name }
}
