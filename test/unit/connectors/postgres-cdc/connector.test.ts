import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Catalog } from '../../../../connectors/postgres-cdc/catalog.ts'
import type { Database } from '../../../../connectors/postgres-cdc/connection.ts'
import {
  PostgresConnector,
  validateConnection,
  versionProblems,
} from '../../../../connectors/postgres-cdc/connector.ts'
import { plugin } from '../../../../connectors/postgres-cdc/index.ts'
import type { SourceOffset, SourcePartition } from '../../../../worker/api/record.ts'
import { parseConfig } from '../../../../worker/config/config-def.ts'

const minimal = { 'database.hostname': 'localhost', 'database.user': 'u', 'database.dbname': 'd', 'topic.prefix': 'p' }
const config = parseConfig(plugin.config, minimal)

suite('altering offsets of the connector', () => {
  const alter = async (partition: SourcePartition | null, offset: SourceOffset | null) =>
    await new PostgresConnector().alterOffsets(config, [[partition, offset]])

  test('a position of its own partition is taken, and any offset can be removed', async () => {
    assert.equal(await alter({ server: 'p' }, { lsn: 5n }), false)
    assert.equal(await alter({ server: 'p' }, null), false)
    assert.equal(await alter({ server: 'former' }, null), false)
  })

  test('a missing partition, one of another prefix and an offset without a position are refused', async () => {
    await assert.rejects(alter(null, { lsn: 5n }), { code: 'CONNECT_POSTGRES_POSITION' })
    await assert.rejects(alter(null, null), { code: 'CONNECT_POSTGRES_POSITION' })
    await assert.rejects(alter({ server: 'other' }, { lsn: 5n }), /"server": "p"/)
    for (const offset of [{ txId: 5n }, { lsn: -5n }, { lsn: 1.5 }, { lsn: '0/16B3748' }])
      await assert.rejects(alter({ server: 'p' }, offset), /lsn/)
  })
})

test('options whose names carry values are checked before anything connects', async () => {
  const raw = { ...minimal, 'column.mask.hash.SHA-1000.with.salt.x': 'a.b.c', 'post.processors': 'r', 'r.type': null }
  const problems = await validateConnection(config, raw)
  assert.deepEqual(
    problems.map(({ option }) => option),
    ['column.mask.hash.SHA-1000.with.salt.x', 'r.type'],
  )
})

test('a converter is a module: a class of the JVM is refused, with what to do instead', async () => {
  const raw = {
    ...minimal,
    converters: 'a,b',
    'a.type': 'io.debezium.connector.binlog.converters.TinyIntOneToBooleanConverter',
  }
  const problems = await validateConnection(config, raw)
  assert.deepEqual(
    problems.map(({ option }) => option),
    ['a.type', 'b.type'],
  )
  assert.match(problems[0]?.message ?? '', /module below plugin\.path .* CustomConverter/)
})

test('read-only mode needs server 13 (statement P5)', () => {
  const readOnly = parseConfig(plugin.config, { ...minimal, 'read.only': 'true' })
  assert.deepEqual(
    versionProblems(readOnly, 120_017).map(({ option }) => option),
    ['read.only'],
  )
  assert.deepEqual(versionProblems(readOnly, 130_000), [])
  assert.deepEqual(versionProblems(config, 120_017), [])
})

test('types are read once per start, whatever tables use them (statement P10)', async () => {
  const asked: string[][] = []
  const row = (oid: string) => ({
    oid,
    typname: `t${oid}`,
    typtype: 'b',
    typcategory: oid === '1007' ? 'A' : 'N',
    typelem: oid === '1007' ? '23' : '0',
    typdelim: ',',
    typbasetype: '0',
    typtypmod: '-1',
    labels: null,
  })
  const rows = async (_sql: string, [oids = '']: readonly string[]) => {
    const list = oids.slice(1, -1).split(',')
    asked.push(list)
    return list.map(row)
  }
  const catalog = new Catalog({ rows } as unknown as Database)
  await catalog.loadTypes([1007, 25])
  await catalog.loadTypes([25, 23, 1007])
  await catalog.loadTypes([25])
  assert.deepEqual(asked, [['1007', '25'], ['23']])
})
