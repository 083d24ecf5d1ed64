/** Random configs of Connect's own transforms and predicates, about the fields of a record. */
import fc from 'fast-check'
import type { ConnectRecord } from '../../../worker/api/record.ts'
import { fieldNamesOf, headerKeys, oneNameOf, pathsOf, someNamesOf } from './records.ts'

export type Config = Readonly<Record<string, string>>

export interface Subject {
  /** Class in Java; of ours the name or an alias. */
  readonly class: string
  readonly configs: (record: ConnectRecord) => fc.Arbitrary<Config>
  readonly kind: 'transformation' | 'predicate'
  /** Where it needs records of its own kind. */
  readonly records?: fc.Arbitrary<ConnectRecord>
}

const connect = 'org.apache.kafka.connect.transforms.'

/** Options without those that are null. */
export function compact(options: Readonly<Record<string, fc.Arbitrary<string | null>>>): fc.Arbitrary<Config> {
  return fc
    .record(options)
    .map((all) =>
      Object.fromEntries(Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== null)),
    )
}

const replaceNull = fc.constantFrom(null, 'true', 'false')
export const maybe = (texts: fc.Arbitrary<string>): fc.Arbitrary<string | null> => fc.option(texts, { freq: 2 })
export const joined = (names: fc.Arbitrary<readonly string[]>): fc.Arbitrary<string> =>
  names.map((list) => list.join(','))

/** Names in the part of the record that a variant works on. */
interface Part {
  readonly names: readonly string[]
  readonly paths: readonly string[]
}

type PartConfigs = (part: Part) => fc.Arbitrary<Config>

const castTypes = fc.constantFrom('int8', 'int16', 'int32', 'int64', 'float32', 'float64', 'boolean', 'string')
const formats = fc.constantFrom(
  'yyyy-MM-dd',
  "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'",
  'yyyy-MM-dd HH:mm:ss',
  'dd MMM yyyy',
  'EEE, d MMM yyyy h:mm a',
  'yyMMddHHmmssSSS',
  'HH:mm',
)

const onParts: Readonly<Record<string, PartConfigs>> = {
  Cast: ({ names }) =>
    fc.oneof(
      compact({
        spec: joined(
          fc
            .uniqueArray(fc.tuple(oneNameOf(names), castTypes), {
              minLength: 1,
              maxLength: 3,
              selector: ([name]) => name,
            })
            .map((pairs) => pairs.map((pair) => pair.join(':'))),
        ),
        'replace.null.with.default': replaceNull,
      }),
      compact({ spec: castTypes, 'replace.null.with.default': replaceNull }),
    ),
  ExtractField: ({ names, paths }) =>
    fc.oneof(
      compact({ field: oneNameOf(names), 'replace.null.with.default': replaceNull }),
      compact({
        field: oneNameOf(paths),
        'field.syntax.version': fc.constant('V2'),
        'replace.null.with.default': replaceNull,
      }),
    ),
  Flatten: () => compact({ delimiter: fc.constantFrom(null, '_', '', '->') }),
  HeaderFrom: ({ names }) =>
    fc
      .tuple(
        fc.array(fc.tuple(oneNameOf(names), headerKeys), { minLength: 1, maxLength: 3 }),
        fc.constantFrom('move', 'copy'),
        replaceNull,
      )
      .map(([pairs, operation, replace]) => ({
        fields: pairs.map(([field]) => field).join(','),
        headers: pairs.map(([, header]) => header).join(','),
        operation,
        ...(replace === null ? {} : { 'replace.null.with.default': replace }),
      })),
  HoistField: () => compact({ field: fc.constantFrom('wrapped', 'id', '__proto__') }),
  InsertField: ({ names }) => {
    const field = (other: string): fc.Arbitrary<string | null> =>
      maybe(
        fc
          .tuple(
            fc.oneof({ weight: 4, arbitrary: fc.constant(other) }, oneNameOf(names)),
            fc.constantFrom('', '?', '!'),
          )
          .map((p) => p.join('')),
      )
    return compact({
      'topic.field': field('t'),
      'partition.field': field('p'),
      'offset.field': fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, field('o')),
      'timestamp.field': field('ts'),
      'static.field': field('s'),
      'static.value': maybe(fc.constantFrom('x', '', '1')),
      'replace.null.with.default': replaceNull,
    })
  },
  MaskField: ({ names }) =>
    compact({
      fields: joined(someNamesOf(names, { minLength: 1, maxLength: 3 })),
      replacement: maybe(fc.constantFrom('***', '7', '1.5', '', '300', '-1')),
      'replace.null.with.default': replaceNull,
    }),
  ReplaceField: ({ names }) =>
    compact({
      exclude: maybe(joined(someNamesOf(names, { maxLength: 2 }))),
      include: maybe(joined(someNamesOf(names, { maxLength: 3 }))),
      renames: maybe(
        joined(
          fc
            .array(fc.tuple(oneNameOf(names), fc.constantFrom('r', 'id', 'q')), { maxLength: 2 })
            .map((pairs) => pairs.map((p) => p.join(':'))),
        ),
      ),
      'replace.null.with.default': replaceNull,
    }),
  SetSchemaMetadata: () =>
    compact({
      'schema.name': maybe(fc.constantFrom('new.Name', 'N')),
      'schema.version': maybe(fc.constantFrom('1', '7', '-1')),
      'replace.null.with.default': replaceNull,
    }),
  TimestampConverter: ({ names }) =>
    compact({
      field: fc.oneof({ weight: 3, arbitrary: oneNameOf(names) }, fc.constant(null)),
      'target.type': fc.constantFrom('string', 'unix', 'Date', 'Time', 'Timestamp'),
      format: fc.option(formats, { freq: 5 }),
      'unix.precision': fc.constantFrom(null, 'seconds', 'milliseconds', 'microseconds', 'nanoseconds'),
      'replace.null.with.default': replaceNull,
    }),
}

const literals = fc.oneof(
  fc.constantFrom(
    '1',
    '300',
    '70000',
    '9007199254740993',
    '1.5',
    '1e400',
    'true',
    'null',
    'text',
    '2024-01-02',
    '',
    ' ',
  ),
  fc.constantFrom(
    '10:11:12.000Z',
    '2024-01-02T03:04:05.006Z',
    '[1,2]',
    '[1,"a"]',
    '{"a":1}',
    '{a:b}',
    '"q"',
    '[',
    '-',
    '+1',
  ),
  // A value with something behind it.
  fc.constantFrom('{}?', '1,2', 'true,x', '[1] 2', 'null:', '{"a":1}}', '2024-01-02,', '[] []'),
  fc.string({ maxLength: 8 }),
  fc.string({ unit: fc.constantFrom(...Array.from('[]{},:"\\ 10.-+eTZ')), maxLength: 8 }),
)

const onRecords: Readonly<Record<string, (record: ConnectRecord) => fc.Arbitrary<Config>>> = {
  DropHeaders: () => compact({ headers: joined(fc.uniqueArray(headerKeys, { minLength: 1, maxLength: 3 })) }),
  Filter: () => fc.constant({}),
  InsertHeader: () => compact({ header: headerKeys, 'value.literal': literals }),
  RegexRouter: () =>
    compact({
      regex: fc.constantFrom(
        '.*',
        '(.*)-(\\d+)',
        '([^.]*)\\.(.*)',
        'topic',
        '(?i)topic',
        '(?<name>[a-z]+).*',
        'a|b',
        '[',
        'x_(\\d{4})',
      ),
      replacement: fc.constantFrom('$1', 'new', '$0-x', '${name}', '$2_$1', '\\$1', '$', '', '$10'),
    }),
  TimestampRouter: () =>
    compact({
      'topic.format': fc.constantFrom(
        null,
        '${topic}',
        '${timestamp}',
        'x-${topic}-${timestamp}',
        'fixed',
        '${topic}${topic}',
      ),
      'timestamp.format': fc.option(formats, { freq: 2 }),
    }),
  ValueToKey: (record) =>
    compact({
      fields: joined(someNamesOf(fieldNamesOf(record.valueSchema, record.value), { minLength: 1, maxLength: 3 })),
      'replace.null.with.default': replaceNull,
    }),
}

const predicates: Readonly<Record<string, fc.Arbitrary<Config>>> = {
  HasHeaderKey: compact({ name: fc.oneof(headerKeys, fc.constant('')) }),
  RecordIsTombstone: fc.constant({}),
  TopicNameMatches: compact({
    pattern: fc.constantFrom('topic', '.*', 'top', '[a-z]+', '(?i)topic', 'x_\\d+', '', '(', 'db\\..*'),
  }),
}

/** All of them; those for keys and values twice. */
export const connectSubjects: readonly Subject[] = [
  ...Object.entries(onParts).flatMap(([name, configs]) => [
    {
      class: `${connect}${name}$Key`,
      kind: 'transformation' as const,
      configs: ({ keySchema, key }: ConnectRecord) =>
        configs({ names: fieldNamesOf(keySchema, key), paths: pathsOf(keySchema, key) }),
    },
    {
      class: `${connect}${name}$Value`,
      kind: 'transformation' as const,
      configs: ({ valueSchema, value }: ConnectRecord) =>
        configs({ names: fieldNamesOf(valueSchema, value), paths: pathsOf(valueSchema, value) }),
    },
  ]),
  ...Object.entries(onRecords).map(([name, configs]) => ({
    class: connect + name,
    kind: 'transformation' as const,
    configs,
  })),
  ...Object.entries(predicates).map(([name, configs]) => ({
    class: `${connect}predicates.${name}`,
    kind: 'predicate' as const,
    configs: () => configs,
  })),
]
