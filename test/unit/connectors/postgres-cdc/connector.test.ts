import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { PostgresConnector, validateConnection } from '../../../../connectors/postgres-cdc/connector.ts'
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
    await assert.rejects(alter({ server: 'p' }, { txId: 5n }), /lsn/)
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
