/** Random combinations of the connector's options that fit a database. */
import { type Random, seededRandom } from '../../../support/random.ts'
import { type Column, named, nameOf, type RandomDatabase, type Table } from './tables.ts'
import { pickFrom } from './types.ts'

export type Options = Readonly<Record<string, string>>

/** Whether some tables may not be captured. */
export const hasLists = (options: Options): boolean =>
  Object.keys(options).some((name) => /^(?:schema|table)\.(?:in|ex)clude/.test(name))

export const leavesColumnsOut = (options: Options): boolean =>
  Object.keys(options).some((name) => /^column\.(?:in|ex)clude/.test(name))

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
      // The columns of signals are read as events have them, too.
      return {
        'column.include.list': ['public\\.asked\\..*', ...keys, someColumns(random, tables, () => true)].join(','),
      }
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

/** An item of a list that a team might write: one pattern for several names, in other letters, or with blanks and escapes. */
function looseItem(random: Random, table: Table, column: string): string {
  const exact = `${tableId(table)}\\.${exactly(column)}`
  return random.pick([
    exact.toUpperCase().replaceAll(/\\[A-Z]/g, (escape) => escape.toLowerCase()),
    `  ${exact} `,
    `(?:${exact}|none\\.such\\.x)`,
    `.*\\.${exactly(table.name)}\\.(?:c[02-4]|${exactly(column)})`,
    `[^.]+\\.[^.]+\\.c\\d{1\\,2}`,
    `(?i)public\\.T\\d\\.C[0-2]`,
    // Debezium takes signals from the columns as events have them.
    `(?!public\\.asked).*`,
  ])
}

/**
 * Debezium reads columns again by parameters of the driver's, which most types refuse as a key (the row then stays as it
 * is), and takes the driver's own objects for values: those of other types come out differently from the stream's. Ours
 * reads the texts of any type.
 */
const isReread = ({ type }: Column): boolean => /^(?:smallint|integer|bigint|text|character varying)$/.test(type.sql)

const neutral: readonly Options[] = [
  { 'max.batch.size': '3', 'max.queue.size': '7' },
  { 'max.queue.size.in.bytes': '20000' },
  { 'snapshot.delay.ms': '50', 'streaming.delay.ms': '50' },
  { 'database.initial.statements': "SELECT 'a;;b';SET statement_timeout = 0" },
  { 'slot.failover': 'true', 'slot.max.retries': '2', 'slot.retry.delay.ms': '100' },
  { 'database.tcpKeepAlive': 'false', 'database.sslmode': 'disable' },
  { 'guardrail.collections.max': '1', 'guardrail.collections.limit.action': 'warn' },
  { 'statistics.metrics.enabled': 'false', 'custom.metric.tags': 'k1=v1,k2=v2' },
  { 'query.fetch.size': '2', 'database.query.timeout.ms': '60000' },
  { 'xmin.fetch.interval.ms': '1' },
  { 'slot.stream.params': '', 'topic.cache.size': '10', 'retriable.restart.connector.wait.ms': '500' },
  { 'snapshot.lock.timeout.ms': '5000', 'executor.shutdown.timeout.ms': '3000', 'errors.max.retries': '3' },
  { 'internal.log.position.check.enable': 'false', 'lsn.flush.timeout.ms': '20000' },
]

/** Drawn from numbers of their own: what a seed has of the others does not change with them. */
const laterChoices: readonly Choice[] = [
  { chance: 0.5, choose: (random) => pickFrom(random, neutral) },
  {
    chance: 0.3,
    choose: (random, { tables }) => {
      const items = tables.flatMap((table) =>
        table.columns.filter(() => random.next() < 0.2).map(({ name }) => looseItem(random, table, name)),
      )
      const option = random.pick([
        'column.mask.with.3.chars',
        'column.truncate.to.2.chars',
        'column.mask.hash.v2.SHA-256.with.salt.a.b',
        'column.propagate.source.type',
      ])
      return items.length === 0 ? {} : { [option]: items.join(',') }
    },
  },
  {
    chance: 0.12,
    choose: (random) => ({
      [`table.${random.next() < 0.5 ? 'include' : 'exclude'}.list`]: random.pick([
        ' public\\..* ,(?:other|none)\\.[a-z0-9]+',
        '.*\\.T[0-2].*',
        '(?:[^.]+)\\.t[13]|x',
        'public\\.t\\d{1\\,2},ODD SCHEMA\\..*',
        '\\Qpublic.t0\\E',
      ]),
    }),
  },
  { chance: 0.08, choose: oneOf('schema.include.list', 'p[a-z]+,Odd.Schema', '(?i)OTH(er)?,public') },
  {
    chance: 0.1,
    choose: (random) => ({
      'message.key.columns': random.pick(['.*\\.t[0-9]:c[01]', '(.*).t1:K0,c0;public.t0:c2', '[a-z]+.t2:none,c1']),
    }),
  },
  { chance: 0.1, choose: oneOf('lsn.flush.mode', 'connector_and_driver') },
  { chance: 0.15, choose: oneOf('schema.exclude.list', 'other', 'Odd.*', 'none', 'OTHER,public2') },
  // Without a list of schemas the catalog itself would be read, which never stands still.
  {
    chance: 0.08,
    choose: () => ({ 'table.ignore.builtin': 'false', 'schema.include.list': 'public,other,Odd Schema' }),
  },
  { chance: 0.1, choose: oneOf('offset.mismatch.strategy', 'trust_offset', 'no_validation') },
  // Not snapshot.tables.order.by.row.count: Debezium counts no rows of PostgreSQL, so that its order stays; ours sorts.
  { chance: 0.1, choose: oneOf('event.processing.failure.handling.mode', 'warn', 'skip', 'ignore') },
  { chance: 0.1, choose: oneOf('publication.autocreate.mode', 'no_tables', 'disabled') },
  {
    chance: 0.12,
    choose: (random) => ({
      'snapshot.mode': 'configuration_based',
      'snapshot.mode.configuration.based.snapshot.schema': String(random.next() < 0.5),
      'snapshot.mode.configuration.based.snapshot.data': String(random.next() < 0.5),
      'snapshot.mode.configuration.based.start.stream': 'true',
    }),
  },
  {
    chance: 0.12,
    choose: (random) => ({
      'heartbeat.interval.ms': '200',
      'topic.heartbeat.name': '<prefix>.heartbeat-of-its-own',
      ...(random.next() < 0.5 ? { 'heartbeat.action.query': 'SELECT 1' } : {}),
    }),
  },
  {
    chance: 0.2,
    choose: (random, { tables }) => {
      const columns = tables
        .filter(({ columns: all, key }) => key.length > 0 && all.every((c) => !key.includes(c.name) || isReread(c)))
        .flatMap((table) => table.columns.filter(isReread).map(({ name }) => `${tableId(table)}:${exactly(name)}`))
      return {
        'post.processors': 'again',
        'again.type': 'io.debezium.processors.reselect.ReselectColumnsPostProcessor',
        'again.reselect.null.values': String(random.next() < 0.5),
        'again.reselect.unavailable.values': String(random.next() < 0.8),
        'again.reselect.columns.include.list': columns.length === 0 ? 'none.such:c' : columns.join(),
      }
    },
  },
  {
    chance: 0.2,
    choose: (random) => ({
      transforms: 'flat',
      'transforms.flat.type': 'io.debezium.transforms.ExtractNewRecordState',
      'transforms.flat.delete.tombstone.handling.mode': random.pick([
        'drop',
        'tombstone',
        'rewrite',
        'rewrite-with-tombstone',
        'delete-to-tombstone',
      ]),
      ...(random.next() < 0.6
        ? { 'transforms.flat.add.fields': random.pick(['op', 'op,table', 'op:o,source.db:d']) }
        : {}),
      ...(random.next() < 0.5 ? { 'transforms.flat.add.headers': random.pick(['op', 'schema,op']) } : {}),
      ...(random.next() < 0.3 ? { 'transforms.flat.add.fields.prefix': 'x_' } : {}),
    }),
  },
  {
    chance: 0.1,
    choose: () => ({
      transforms: 'routed',
      'transforms.routed.type': 'io.debezium.transforms.ByLogicalTableRouter',
      'transforms.routed.topic.regex': '(.*)\\.t[0-9]',
      'transforms.routed.topic.replacement': '$1.every',
    }),
  },
]

/** Rows that heartbeats write, as many as there is time for: both streams have those of both, and none is compared. */
export const beatTable = 'public.heartbeat_rows'
/** With a row to begin with, so that it is among the tables of a snapshot for both. */
export const beatTableSql = `CREATE TABLE ${beatTable} AS SELECT now() AS at`
const beatSql = `INSERT INTO ${beatTable} VALUES (now())`
/** As naming strategies adjust the name. */
export const beatTopic = /heartbeat(?:_|_u005f)rows/

/** As `laterChoices`, from numbers of their own again. */
const latestChoices: readonly Choice[] = [
  { chance: 0.2, choose: oneOf('snapshot.max.threads', '2', '3', '8') },
  { chance: 0.12, choose: () => ({ 'heartbeat.interval.ms': '200', 'heartbeat.action.query': beatSql }) },
]

/** An option never excludes the messages by which a round sees how far a connector is. */
function withoutClashes(options: Record<string, string>, { tables }: RandomDatabase): Options {
  const kept = { ...options }
  if (kept['message.prefix.exclude.list'] !== undefined) kept['message.prefix.exclude.list'] = 'audit'
  // Of two with the same form, Debezium's hash map of options says which one counts.
  for (const form of [
    /^column\.truncate\./,
    /^column\.mask\.with/,
    /^column\.mask\.hash\.v2/,
    /^column\.mask\.hash\.(?!v2)/,
  ]) {
    for (const name of Object.keys(kept)
      .filter((name) => form.test(name))
      .slice(1))
      delete kept[name]
  }
  for (const what of ['column', 'table', 'schema'] as const) {
    if (kept[`${what}.include.list`] !== undefined) delete kept[`${what}.exclude.list`]
  }
  // A snapshot of Debezium's ends at a table whose key has a column that events leave out, which its statement lacks; or
  // it has no rows of it, told to pass over what fails.
  const readsTables = !['no_data', 'never'].includes(kept['snapshot.mode'] ?? 'initial')
  if (readsTables && leavesColumnsOut(kept)) delete kept['message.key.columns']
  // Where a column is required that an old row does not have, Debezium's task dies of the event, or passes over it when told
  // to: events that ours sends.
  if (tables.some(({ columns, key }) => columns.some(({ name, isNotNull }) => isNotNull && !key.includes(name)))) {
    delete kept['event.processing.failure.handling.mode']
  }
  // Rows in any order are told by where they were read, which a flattened event does not say.
  if (kept['transforms'] === 'flat') delete kept['snapshot.max.threads']
  // The slots begin at different heartbeats: one stream has transactions of these that the other has not.
  if (kept['heartbeat.action.query']?.includes(beatTable)) delete kept['provide.transaction.metadata']
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
  for (const [further, mark] of [
    [laterChoices, 0x1a_7e_12],
    [latestChoices, 0x1a_7e_57],
  ] as const) {
    const numbers = seededRandom(random.seed ^ mark)
    for (const { chance, choose } of further) {
      const taken = numbers.next() < chance
      const chosen = choose(numbers, database)
      if (taken) Object.assign(options, chosen)
    }
  }
  // To Debezium no nested array equals itself, so that it takes rows with one for changed; ours compares what is in them.
  const hasArrays = database.tables.some(({ columns }) => columns.some(({ type }) => type.sql.endsWith('[]')))
  if (hasArrays) delete options['skip.messages.without.change']
  return withoutClashes(options, database)
}
