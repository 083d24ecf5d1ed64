/** Random combinations of the connector's options that fit a database. */
import type { Random } from '../../../support/random.ts'
import { named, nameOf, type RandomDatabase, type Table } from './tables.ts'
import { pickFrom } from './types.ts'

export type Options = Readonly<Record<string, string>>

/** A regular expression for exactly this text, as an item of a list. */
const exactly = (text: string): string => text.replaceAll(/[^\w]/gu, (c) => (c === ' ' || c > '\x7f' ? c : `\\${c}`))

const tableId = ({ schema, name }: Table): string => exactly(`${schema}.${name}`)

function someColumns(
  random: Random,
  tables: readonly Table[],
  isChosen: (table: Table, column: string) => boolean,
): string {
  const chosen = tables.flatMap((table) =>
    table.columns
      .filter(({ name }) => isChosen(table, name) && random.next() < 0.3)
      .map(({ name }) => exactly(`${table.schema}.${table.name}.${name}`)),
  )
  const broad = ['.*\\.c[0-3]', 'public\\..*\\.c1', '.*added.*']
  if (chosen.length === 0 || random.next() < 0.2) chosen.push(pickFrom(random, broad))
  return chosen.join(random.next() < 0.5 ? ',' : ' , ')
}

interface Choice {
  readonly chance: number
  readonly choose: (random: Random, database: RandomDatabase) => Options
}

const oneOf =
  (name: string, ...values: readonly string[]) =>
  (random: Random): Options => ({ [name]: pickFrom(random, values) })

const adjustments = ['none', 'avro', 'avro_unicode']
const strategies = [
  'io.debezium.schema.SchemaTopicNamingStrategy',
  'io.debezium.schema.DefaultTopicNamingStrategy',
  'io.debezium.schema.SchemaUnicodeTopicNamingStrategy',
  'io.debezium.schema.DefaultUnicodeTopicNamingStrategy',
]
const hashes = ['SHA-256', 'MD5', 'SHA-1', 'SHA-512']

const choices: readonly Choice[] = [
  {
    chance: 0.6,
    choose: oneOf(
      'time.precision.mode',
      'adaptive',
      'adaptive_time_microseconds',
      'connect',
      'isostring',
      'microseconds',
      'nanoseconds',
      'structured',
    ),
  },
  { chance: 0.5, choose: oneOf('decimal.handling.mode', 'precise', 'string', 'double') },
  { chance: 0.3, choose: oneOf('hstore.handling.mode', 'map', 'json') },
  { chance: 0.4, choose: oneOf('interval.handling.mode', 'string', 'numeric') },
  { chance: 0.4, choose: oneOf('binary.handling.mode', 'bytes', 'base64', 'base64-url-safe', 'hex') },
  { chance: 0.3, choose: oneOf('money.fraction.digits', '0', '1', '2', '4', '10') },
  { chance: 0.4, choose: oneOf('include.unknown.datatypes', 'true') },
  { chance: 0.3, choose: oneOf('tombstones.on.delete', 'false') },
  { chance: 0.25, choose: oneOf('skip.messages.without.change', 'true') },
  { chance: 0.3, choose: oneOf('provide.transaction.metadata', 'true') },
  { chance: 0.5, choose: oneOf('skipped.operations', 'none', 't', 'c', 'u', 'd', 'r', 'c,u', 'd , t', 'u,r', 'none') },
  { chance: 0.3, choose: oneOf('unavailable.value.placeholder', 'gone', 'hex:6e2f61', '') },
  { chance: 0.2, choose: oneOf('extended.headers.enabled', 'false') },
  { chance: 0.3, choose: oneOf('schema.name.adjustment.mode', ...adjustments) },
  { chance: 0.3, choose: oneOf('field.name.adjustment.mode', ...adjustments) },
  { chance: 0.25, choose: oneOf('topic.naming.strategy', ...strategies) },
  { chance: 0.2, choose: oneOf('topic.delimiter', '_', '-', '..') },
  { chance: 0.1, choose: oneOf('topic.transaction', 'tx', 'odd-name') },
  { chance: 0.3, choose: oneOf('publication.autocreate.mode', 'all_tables', 'filtered') },
  { chance: 0.2, choose: oneOf('publish.via.partition.root', 'true') },
  { chance: 0.2, choose: oneOf('include.schema.comments', 'true') },
  { chance: 0.4, choose: oneOf('snapshot.mode', 'initial', 'always', 'no_data', 'when_needed', 'initial_only') },
  {
    chance: 0.2,
    choose: oneOf('snapshot.isolation.mode', 'repeatable_read', 'read_committed', 'read_uncommitted', 'serializable'),
  },
  { chance: 0.15, choose: oneOf('snapshot.locking.mode', 'shared') },
  { chance: 0.2, choose: oneOf('snapshot.fetch.size', '1', '2') },
  { chance: 0.2, choose: oneOf('event.converting.failure.handling.mode', 'skip', 'warn') },
  { chance: 0.15, choose: oneOf('schema.refresh.mode', 'columns_diff_exclude_unchanged_toast') },
  { chance: 0.1, choose: oneOf('lsn.flush.mode', 'manual', 'connector') },
  { chance: 0.15, choose: oneOf('value.converter.schemas.enable', 'false') },
  { chance: 0.1, choose: oneOf('key.converter.schemas.enable', 'false') },
  { chance: 0.15, choose: oneOf('value.converter.replace.null.with.default', 'false') },
  { chance: 0.1, choose: oneOf('value.converter.decimal.format', 'NUMERIC') },
  {
    chance: 0.2,
    choose: (random) => ({
      'heartbeat.interval.ms': '200',
      ...(random.next() < 0.3 ? { 'topic.heartbeat.prefix': '__beat' } : {}),
    }),
  },
  {
    chance: 0.3,
    choose: (random, { tables }) => {
      const some = tables.filter(() => random.next() < 0.6).map(tableId)
      return some.length === 0 ? {} : { [`table.${random.next() < 0.5 ? 'include' : 'exclude'}.list`]: some.join(',') }
    },
  },
  { chance: 0.1, choose: oneOf('schema.include.list', 'public,Odd Schema', 'PUBLIC', 'other,public') },
  {
    chance: 0.3,
    choose: (random, { tables }) => {
      const columns = someColumns(random, tables, (table, column) => !table.key.includes(column))
      return { 'column.exclude.list': columns }
    },
  },
  {
    chance: 0.12,
    choose: (random, { tables }) => {
      const keys = tables.flatMap((t) => t.key.map((key) => exactly(`${t.schema}.${t.name}.${key}`)))
      return { 'column.include.list': [...keys, someColumns(random, tables, () => true)].join(',') }
    },
  },
  {
    chance: 0.3,
    choose: (random, { tables }) => ({
      [`column.mask.with.${random.pick(['0', '5', '12'])}.chars`]: someColumns(random, tables, () => true),
    }),
  },
  {
    chance: 0.3,
    choose: (random, { tables }) => ({
      [`column.mask.hash.${random.pick(['', 'v2.'])}${pickFrom(random, hashes)}.with.salt.CzQMA0cB5K`]: someColumns(
        random,
        tables,
        () => true,
      ),
    }),
  },
  {
    chance: 0.3,
    choose: (random, { tables }) => ({
      [`column.truncate.to.${random.pick(['1', '3', '20'])}.chars`]: someColumns(random, tables, () => true),
    }),
  },
  {
    chance: 0.3,
    choose: (random, { tables }) => ({
      'column.propagate.source.type': random.next() < 0.5 ? '.*' : someColumns(random, tables, () => true),
    }),
  },
  {
    chance: 0.25,
    choose: (random) => ({
      'datatype.propagate.source.type': random.pick([
        '.+\\.NUMERIC',
        '.+\\.varchar,.+\\.int4',
        '.*\\.(?:int8|timestamp|_text)',
        'public.own0',
        '.*',
      ]),
    }),
  },
  {
    chance: 0.25,
    choose: (random, { tables }) => {
      const items = tables
        .filter(({ columns }) => random.next() < 0.5 && columns.length > 0)
        .map((table) => {
          const count = random.integer(1, 2)
          const names = [...new Set(Array.from({ length: count }, () => pickFrom(random, table.columns).name))].filter(
            (name) => !/[,;:\\]/.test(name),
          )
          return names.length === 0 ? null : `${tableId(table)}:${names.join(',')}`
        })
        .filter((item) => item !== null)
      return items.length === 0 ? {} : { 'message.key.columns': items.join(';') }
    },
  },
  {
    chance: 0.2,
    choose: (random, { tables }) => {
      const table = pickFrom(random, tables)
      const id = `${table.schema}.${table.name}`
      // The names of such options stand in a list, and in a name.
      if (/[^\w.]/.test(id)) return {}
      const columns = random.next() < 0.7 ? '*' : table.columns.map(({ name }) => named(name)).join(', ')
      return {
        'snapshot.select.statement.overrides': id,
        [`snapshot.select.statement.overrides.${id}`]: `SELECT ${columns} FROM ${nameOf(table)} OFFSET 1`,
      }
    },
  },
  {
    chance: 0.15,
    choose: (random, { tables }) => ({
      'snapshot.include.collection.list':
        tables
          .filter(() => random.next() < 0.5)
          .map(tableId)
          .join(',') || 'public.*',
    }),
  },
  {
    chance: 0.15,
    choose: (random, { tables }) => ({
      'replica.identity.autoset.values': tables
        .filter(() => random.next() < 0.5)
        .map((table) =>
          /[\s:,]/.test(`${table.schema}${table.name}`)
            ? 'none.none:FULL'
            : `${tableId(table)}:${random.pick(['FULL', 'DEFAULT', 'NOTHING'])}`,
        )
        .concat('none.such:FULL')
        .join(','),
    }),
  },
  {
    chance: 0.2,
    choose: (random) => ({
      [`message.prefix.${random.next() < 0.5 ? 'include' : 'exclude'}.list`]: random.pick(['sync,audit', 'sync']),
    }),
  },
  {
    chance: 0.15,
    choose: (random) => ({
      'topic.naming.strategy': 'io.debezium.schema.DefaultRegexTopicNamingStrategy',
      'topic.regex': '(.*)\\.t([0-9])',
      'topic.replacement': '$1.all',
      ...(random.next() < 0.4 ? { 'topic.key.enforce.uniqueness': 'false' } : {}),
      ...(random.next() < 0.3 ? { 'topic.key.field.name': 'origin' } : {}),
      ...(random.next() < 0.4 ? { 'topic.key.field.regex': '(.*)\\.t(.*)', 'topic.key.field.replacement': '$2' } : {}),
    }),
  },
]

/** An option never excludes the messages by which a round sees how far a connector is. */
function withoutClashes(options: Record<string, string>): Options {
  const kept = { ...options }
  if (kept['message.prefix.exclude.list'] !== undefined) kept['message.prefix.exclude.list'] = 'audit'
  for (const what of ['column', 'table'] as const) {
    if (kept[`${what}.include.list`] !== undefined) delete kept[`${what}.exclude.list`]
  }
  return kept
}

export function randomOptions(random: Random, database: RandomDatabase): Options {
  const options: Record<string, string> = {}
  // Each choice draws the same numbers whether it is taken or not: a seed shrinks by leaving options out.
  for (const { chance, choose } of choices) {
    const taken = random.next() < chance
    const chosen = choose(random, database)
    if (taken) Object.assign(options, chosen)
  }
  return withoutClashes(options)
}
