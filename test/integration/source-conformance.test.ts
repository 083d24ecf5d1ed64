/** Exported conformance suites of source tasks, on real servers. */
import { plugin as postgresSource } from '../../connectors/postgres-cdc/index.ts'
import { sourceTaskConformance } from '../conformance/source-task.ts'
import { PostgresUnderTest } from '../support/runtime/postgres-under-test.ts'
import { requireService } from '../support/services.ts'

const postgres = requireService('postgres')

sourceTaskConformance('Postgres', {
  plugin: postgresSource,
  skip: postgres.skip,
  open: async () => {
    const database = await PostgresUnderTest.open(
      postgres.settings.url,
      'CREATE TABLE t (id serial PRIMARY KEY, note text); CREATE PUBLICATION p FOR ALL TABLES',
    )
    const slot = `${database.name}_slot`
    // Before any task, so that what is produced right after a start is in the stream.
    await database.sql(`SELECT pg_create_logical_replication_slot('${slot}', 'pgoutput')`)
    const options = { ...database.sourceOptions(), 'publication.name': 'p', 'snapshot.mode': 'no_data' }
    return {
      options,
      brokenOptions: { ...options, 'database.dbname': 'no_such_database', 'errors.max.retries': '0' },
      produce: async (count) => {
        if (count > 0) await database.sql(`INSERT INTO t (note) SELECT 'n' FROM generate_series(1, ${count})`)
      },
      identify: (record) => JSON.stringify(record.key, (_, value) => (typeof value === 'bigint' ? `${value}` : value)),
      compare: (a, b) => Number(a['lsn']) - Number(b['lsn']),
      [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
    }
  },
})
