import assert from 'node:assert/strict'
import { test } from 'node:test'
import { plugin } from '../../../../connectors/redshift/index.ts'
import { validateConfig } from '../../../../worker/config/config-def.ts'

const valid = { 'aws.region': 'us-east-1', 'redshift.workgroup.name': 'w', 'redshift.database': 'dev', topics: 'files' }

/** Options with an error, in the order of the definition. */
function refused(config: Readonly<Record<string, string>>): readonly string[] {
  return validateConfig(plugin.config, { ...valid, ...config })
    .filter(({ value }) => value.errors.length > 0)
    .map(({ value }) => value.name)
}

test('a minimal config is valid', () => assert.deepEqual(refused({}), []))

test('statement R1: exactly one of workgroup and cluster; a user only with a cluster and without a secret', () => {
  const places = ['redshift.cluster.identifier', 'redshift.workgroup.name']
  assert.deepEqual(refused({ 'redshift.workgroup.name': '' }).toSorted(), places)
  assert.deepEqual(refused({ 'redshift.cluster.identifier': 'c' }).toSorted(), places)
  assert.deepEqual(refused({ 'redshift.db.user': 'u' }), ['redshift.db.user'])
  const cluster = { 'redshift.workgroup.name': '', 'redshift.cluster.identifier': 'c', 'redshift.db.user': 'u' }
  assert.deepEqual(refused(cluster), [])
  assert.deepEqual(refused({ ...cluster, 'redshift.secret.arn': 'arn:x' }), ['redshift.db.user'])
})

test('statement R2: upsert needs keys, deletes need upsert', () => {
  assert.deepEqual(refused({ 'insert.mode': 'upsert' }), ['pk.fields'])
  assert.deepEqual(refused({ 'delete.enabled': 'true' }), ['delete.enabled'])
  const upsert = { 'insert.mode': 'upsert', 'pk.fields': 'Id', 'delete.enabled': 'true' }
  assert.deepEqual(refused(upsert), [])
  assert.deepEqual(refused({ ...upsert, 'fields.whitelist': 'name' }), ['fields.whitelist'])
  assert.deepEqual(refused({ ...upsert, 'fields.whitelist': 'name,ID' }), [])
  assert.deepEqual(refused({ ...upsert, 'copy.json.mode': 'noshred' }), ['copy.json.mode'])
  assert.deepEqual(refused({ ...upsert, 'message.format': 's3-event' }), ['message.format'])
})

test('statement R3: options of COPY that the sink writes itself are refused', () => {
  for (const text of [
    "FROM 's3://x'",
    'manifest',
    "CREDENTIALS 'x'",
    "ACCESS_KEY_ID 'x'",
    "IAM_ROLE 'x'",
    'EMPTYASNULL;',
    "MASTER_SYMMETRIC_KEY 'x'",
    'noload',
    "JSON 'auto'",
    "DATEFORMAT 'x\\\\' FROM 's3://b/k'",
    'GZIP',
  ]) {
    assert.deepEqual(refused({ 'copy.options': text }), ['copy.options'], text)
  }
  assert.deepEqual(refused({ 'copy.options': 'EMPTYASNULL TRUNCATECOLUMNS' }), [])
  assert.deepEqual(refused({ 'copy.options': 'DATEFORMAT \'"from" YYYY\' IGNOREHEADER 1' }), [])
})

test('statement R4: a role is an ARN, a chain of ARNs, or the default', () => {
  const arn = (n: number) => `arn:aws:iam::12345678901${n}:role/r${n}`
  for (const role of ['default', arn(1), `${arn(1)},${arn(2)}`])
    assert.deepEqual(refused({ 'copy.iam.role': role }), [])
  assert.deepEqual(refused({ 'copy.iam.role': 'loader' }), ['copy.iam.role'])
})

test('names of tables and ledgers: known variables only, a ledger for each table (statement R15)', () => {
  assert.deepEqual(refused({ 'table.name.format': '${topic}_${event_key}_${table}_${bucket}' }), [])
  for (const format of ['${tabel}', 'x_${topic}_${}', '${TABLE}']) {
    assert.deepEqual(refused({ 'table.name.format': format }), ['table.name.format'], format)
  }
  assert.deepEqual(refused({ 'ledger.table.format': 'loads_${table}' }), [])
  for (const format of ['loads', '${table}', '${table}_of_${table}']) {
    assert.deepEqual(refused({ 'ledger.table.format': format }), ['ledger.table.format'], format)
  }
})

test('the words of copy.json.mode in any case; noshred has no columns to choose', () => {
  for (const mode of ['AUTO', 'Auto IgnoreCase', 'NOSHRED', 's3://Lake/Paths.json']) {
    assert.deepEqual(refused({ 'copy.json.mode': mode }), [], mode)
  }
  assert.deepEqual(refused({ 'copy.json.mode': 'shred' }), ['copy.json.mode'])
  assert.deepEqual(refused({ 'copy.json.mode': 'NoShred', 'fields.whitelist': 'a' }), ['fields.whitelist'])
})
