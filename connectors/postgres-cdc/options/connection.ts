import { atLeast, between, type ConfigKeys, nonEmptyString, oneOf, type Validator } from '../../../worker/api/config.ts'
import { identityProblem } from '../publication.ts'

const pattern = (regex: RegExp, rule: string): Validator => ({
  description: rule,
  check: (_, value) => (value === null || regex.test(String(value)) ? null : `must consist of ${rule}`),
})

const checked = (description: string, problem: (text: string) => string | null): Validator => ({
  description,
  check: (_, value) => (value === null ? null : problem(String(value))),
})

/** Null for what the server takes apart into settings. */
function startupOptionsProblem(text: string): string | null {
  const setting = String.raw`(?:-c\s*|--)[A-Za-z_][\w.]*=(?:\\.|[^\s\\])*`
  return new RegExp(`^\\s*(?:${setting}(?:\\s+|$))*$`).test(text)
    ? null
    : `'${text}' is not of the form -c name=value -c name=value`
}

const group = 'Connection'

/** How to reach the database. Required options are checked by the definition's rules, with Debezium's message. */
export const connectionOptions = {
  'database.hostname': {
    type: 'STRING',
    default: null,
    importance: 'HIGH',
    group,
    valid: pattern(
      /^(?:[a-zA-Z0-9-_.]+|\[?[0-9a-fA-F.]*:[0-9a-fA-F:.]+\]?|\/[^,]*)$/,
      'letters, digits, `-`, `_` and `.`, an IPv6 address, or the folder of a unix socket: one host, no list',
    ),
    doc: 'Host name or address of the PostgreSQL server, or the folder of its unix socket (`/run/postgresql`). Required.',
  },
  'database.port': {
    type: 'INT',
    default: 5432,
    importance: 'HIGH',
    group,
    valid: atLeast(1),
    doc: 'Port of the server.',
  },
  'database.user': {
    type: 'STRING',
    default: null,
    importance: 'HIGH',
    group,
    doc: 'Role with LOGIN and REPLICATION. Required.',
  },
  'database.password': { type: 'PASSWORD', default: null, importance: 'HIGH', group, doc: 'Password of the role.' },
  'database.dbname': {
    type: 'STRING',
    default: null,
    importance: 'HIGH',
    group,
    doc: 'Database to capture; one per connector. Required.',
  },
  'database.sslmode': {
    type: 'STRING',
    default: 'prefer',
    importance: 'MEDIUM',
    group,
    valid: oneOf('disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'),
    doc: 'Whether and how TLS is used, as libpq does: `prefer` goes on without TLS where the server has none.',
  },
  'database.sslcert': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    group,
    doc: 'File of the client certificate (PEM).',
  },
  'database.sslkey': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    group,
    doc: 'File of the client key (PEM, or PKCS #8 in DER).',
  },
  'database.sslpassword': {
    type: 'PASSWORD',
    default: null,
    importance: 'MEDIUM',
    group,
    doc: 'Password of the client key.',
  },
  'database.sslrootcert': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    group,
    doc: 'File of the certificates to verify the server with (PEM).',
  },
  'database.sslfactory': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    group,
    doc: 'A class of the JVM; has no effect here.',
  },
  'database.tcpKeepAlive': {
    type: 'BOOLEAN',
    default: true,
    importance: 'MEDIUM',
    group,
    doc: 'Turns on TCP keep-alive probes.',
  },
  'database.initial.statements': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    group,
    doc: 'SQL run on each ordinary connection; `;` separates statements, `;;` is a literal semicolon.',
  },
  'driver.options': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    group,
    alternatives: ['database.options'],
    valid: checked('-c name=value …', startupOptionsProblem),
    doc: "Settings of every session as the driver's property `options` has them: `-c name=value -c name=value`, a backslash before blanks within a value. Those that the text of values depends on stay what the connector needs; time limits (`statement_timeout` and the like) and `row_security` are lifted unless they are set here. Other properties of the JDBC driver (`driver.*`) have no effect: time limits, TLS and keep-alive are options of their own.",
  },
  'database.query.timeout.ms': {
    type: 'INT',
    default: 600_000,
    importance: 'LOW',
    group,
    valid: atLeast(0),
    doc: 'Time limit of one catalog query in ms; 0 is none.',
  },
  'connection.validation.timeout.ms': {
    type: 'LONG',
    default: 60_000,
    importance: 'LOW',
    group,
    valid: atLeast(1),
    doc: 'Time limit in ms for the connection that validates the configuration.',
  },
  'query.fetch.size': {
    type: 'INT',
    default: 0,
    importance: 'LOW',
    group,
    valid: atLeast(0),
    doc: 'Has no effect: rows are streamed.',
  },
  'read.only': {
    type: 'BOOLEAN',
    default: false,
    importance: 'LOW',
    group,
    doc: 'Incremental snapshots without writing to the database: no markers in signal.data.collection, which may then be unset. Their signals come by other channels.',
  },
} as const satisfies ConfigKeys

const slotGroup = 'Replication'

/** Slot, publication and what is confirmed to the server. */
export const replicationOptions = {
  'plugin.name': {
    type: 'STRING',
    default: 'pgoutput',
    importance: 'MEDIUM',
    group: slotGroup,
    valid: checked('pgoutput', (value) =>
      value === 'pgoutput' ? null : `only pgoutput is supported; create the slot with it, or let the connector do so`,
    ),
    doc: "Output plugin of the slot. Only `pgoutput`, which needs no installation; Debezium's own default is `decoderbufs`.",
  },
  'slot.name': {
    type: 'STRING',
    default: 'debezium',
    importance: 'MEDIUM',
    group: slotGroup,
    valid: pattern(/^[a-z0-9_]{1,63}$/, '1 to 63 of the characters a-z, 0-9 and `_`'),
    doc: 'Logical replication slot; created when it does not exist. One connector per slot.',
  },
  'slot.drop.on.stop': {
    type: 'BOOLEAN',
    default: false,
    importance: 'MEDIUM',
    group: slotGroup,
    doc: 'Drops the slot on an orderly stop: for tests, since what happens meanwhile is lost.',
  },
  'slot.failover': {
    type: 'BOOLEAN',
    default: false,
    importance: 'MEDIUM',
    group: slotGroup,
    doc: 'Creates the slot with FAILOVER, on PostgreSQL 17 or newer.',
  },
  'slot.stream.params': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    group: slotGroup,
    doc: 'Further options of START_REPLICATION, `name=value;name=value`.',
  },
  'slot.max.retries': {
    type: 'INT',
    default: 6,
    importance: 'LOW',
    group: slotGroup,
    valid: atLeast(0),
    doc: 'Attempts to start a slot that another process holds.',
  },
  'slot.retry.delay.ms': {
    type: 'LONG',
    default: 10_000,
    importance: 'LOW',
    group: slotGroup,
    valid: between(0, 2_147_483_647),
    doc: 'Time between these attempts in ms.',
  },
  'publication.name': {
    type: 'STRING',
    default: 'dbz_publication',
    importance: 'MEDIUM',
    group: slotGroup,
    valid: nonEmptyString,
    doc: 'Publication that names the streamed tables.',
  },
  'publication.autocreate.mode': {
    type: 'STRING',
    default: 'all_tables',
    importance: 'MEDIUM',
    group: slotGroup,
    valid: oneOf('disabled', 'all_tables', 'filtered', 'no_tables'),
    doc: '`all_tables` (needs a superuser) and `no_tables` create a missing publication, `filtered` also keeps it equal to the captured tables, `disabled` does neither.',
  },
  'publish.via.partition.root': {
    type: 'BOOLEAN',
    default: false,
    importance: 'LOW',
    group: slotGroup,
    doc: 'Creates the publication so that changes of partitions carry the name of their root.',
  },
  'replica.identity.autoset.values': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    group: slotGroup,
    valid: checked('list of <schema.table>:<identity>', identityProblem),
    doc: 'Replica identities to set at start: `<schema.table>:DEFAULT|INDEX <index>|FULL|NOTHING`, comma-separated.',
  },
  'status.update.interval.ms': {
    type: 'INT',
    default: 10_000,
    importance: 'MEDIUM',
    group: slotGroup,
    valid: atLeast(1),
    doc: 'Time between status updates to the server in ms; shorter where wal_sender_timeout asks for it.',
  },
  'lsn.flush.mode': {
    type: 'STRING',
    default: 'connector',
    importance: 'LOW',
    group: slotGroup,
    valid: oneOf('manual', 'connector', 'connector_and_driver'),
    doc: '`connector` confirms what committed offsets cover; `connector_and_driver` lets an idle slot follow the log too, by heartbeats (every 10 minutes unless set); `manual` confirms nothing.',
  },
  'flush.lsn.source': {
    type: 'BOOLEAN',
    default: null,
    importance: 'LOW',
    group: slotGroup,
    doc: 'Former name of lsn.flush.mode, which wins where both are set: true is `connector`, false `manual`.',
  },
  'lsn.flush.timeout.ms': {
    type: 'LONG',
    default: 30_000,
    importance: 'LOW',
    group: slotGroup,
    valid: between(1, 2_147_483_647),
    doc: 'Has no effect: confirming never blocks.',
  },
  'lsn.flush.timeout.action': {
    type: 'STRING',
    default: 'fail',
    importance: 'LOW',
    group: slotGroup,
    valid: oneOf('fail', 'warn', 'ignore'),
    doc: 'Has no effect: confirming never blocks.',
  },
  'offset.mismatch.strategy': {
    type: 'STRING',
    default: 'fail',
    importance: 'LOW',
    group: slotGroup,
    valid: oneOf('fail', 'no_validation', 'trust_offset', 'trust_slot', 'trust_greater_lsn'),
    doc: 'What to do when the slot was confirmed further than the stored offset, so that the server will not send what lies between: `fail` the task, or go on and lose it without notice (`no_validation`, the default of Debezium); or what counts: the offset (`trust_offset` also advances the slot), the slot, or the greater of the two.',
  },
  'slot.idle.advance.interval.ms': {
    type: 'LONG',
    default: 30_000,
    importance: 'LOW',
    group: slotGroup,
    valid: atLeast(0),
    doc: 'Time in ms after which the offset of an idle stream, and with it the slot, follows the end of the log without a record, so that the server may remove what other tables and databases write; 0 leaves that to heartbeats. With lsn.flush.mode=connector_and_driver at most status.update.interval.ms; none with `manual`.',
  },
  'slot.monitor.interval.ms': {
    type: 'LONG',
    default: 10_000,
    importance: 'LOW',
    group: slotGroup,
    valid: atLeast(0),
    doc: 'Time in ms between looks at how much log the slot retains, for metrics and warnings; 0 is never.',
  },
  'slot.wal.budget.bytes': {
    type: 'LONG',
    default: 10_737_418_240,
    importance: 'LOW',
    group: slotGroup,
    valid: atLeast(0),
    doc: 'Log in bytes that the slot may retain before a warning is written; 0 is no budget.',
  },
  'xmin.fetch.interval.ms': {
    type: 'LONG',
    default: 0,
    importance: 'LOW',
    group: slotGroup,
    valid: atLeast(0),
    doc: "Time in ms between reads of the slot's catalog_xmin for `source.xmin`; 0 leaves it null.",
  },
} as const satisfies ConfigKeys
