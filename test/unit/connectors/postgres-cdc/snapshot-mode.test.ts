import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { plugin } from '../../../../connectors/postgres-cdc/index.ts'
import { settingsOf } from '../../../../connectors/postgres-cdc/settings.ts'
import { snapshotPolicy } from '../../../../connectors/postgres-cdc/snapshot-mode.ts'
import { parseConfig, validateConfig } from '../../../../worker/config/config-def.ts'

const minimal = { 'database.hostname': 'localhost', 'database.user': 'u', 'database.dbname': 'd', 'topic.prefix': 'p' }
const configOf = (options: Readonly<Record<string, string>>) => parseConfig(plugin.config, { ...minimal, ...options })
const based = 'snapshot.mode.configuration.based'

/** none, unfinished, finished; whether it streams, begins anew when the position is lost, passes an unfinished snapshot. */
function decisions(options: Readonly<Record<string, string>>): string {
  const policy = snapshotPolicy(configOf(options)) ?? assert.fail('there is no such mode')
  const reads = (['none', 'unfinished', 'finished'] as const).map((state) => policy.readsData(state))
  return [...reads, policy.streams, policy.forgetsLostPosition, policy.passesUnfinished].map(Number).join('')
}

suite('snapshot.mode', () => {
  test('each mode decides as Debezium does', () => {
    const expected = {
      always: '111100',
      initial: '110100',
      initial_only: '110000',
      no_data: '000100',
      when_needed: '110110',
    }
    for (const [mode, wanted] of Object.entries(expected))
      assert.equal(decisions({ 'snapshot.mode': mode }), wanted, mode)
  })

  test('configuration_based: every flag decides for itself', () => {
    const flags = ['snapshot.data', 'start.stream', 'snapshot.on.data.error', 'snapshot.schema']
    for (let bits = 0; bits < 16; bits++) {
      const is = flags.map((_, i) => (bits & (1 << i)) !== 0)
      const options = Object.fromEntries(flags.map((flag, i) => [`${based}.${flag}`, String(is[i])]))
      const [data, streams, anew, schema] = is.map(Number)
      const wanted = `${data}${data}${data}${streams}${anew}${schema}`
      assert.equal(decisions({ 'snapshot.mode': 'configuration_based', ...options }), wanted)
    }
  })

  test('custom names what Debezium brings along, also what has no mode of its own', () => {
    const named = (name: string) => decisions({ 'snapshot.mode': 'custom', 'snapshot.mode.custom.name': name })
    assert.equal(named('initial'), decisions({ 'snapshot.mode': 'initial' }))
    assert.equal(named('when_needed_no_data'), '000110')
    assert.equal(named('recovery'), '000101')
  })

  test('a class of the JVM is refused at its option, with a remedy', () => {
    for (const [mode, what] of [
      ['snapshot.mode', 'snapshotter'],
      ['snapshot.locking.mode', 'snapshot lock mode'],
      ['snapshot.query.mode', 'snapshot query mode'],
    ] as const) {
      for (const name of ['mine', undefined]) {
        const own = name === undefined ? {} : { [`${mode}.custom.name`]: name }
        const found = validateConfig(plugin.config, { ...minimal, [mode]: 'custom', ...own })
        const errors = found.flatMap(({ value }) => value.errors.map((error) => [value.name, error] as const))
        assert.equal(errors.length, 1, JSON.stringify(errors))
        const [option, error] = errors[0] ?? assert.fail()
        assert.equal(option, `${mode}.custom.name`)
        assert.match(error, new RegExp(`Unable to find ${name ?? 'custom'} ${what}\\. .*(use|give|=)`))
      }
    }
  })

  test('a custom lock is the one that it names', () => {
    const lockOf = (options: Readonly<Record<string, string>>) => {
      const raw = { ...minimal, 'snapshot.lock.timeout.ms': '7', ...options }
      return settingsOf(configOf(raw), raw, { task: 0, nowMs: 0, pluginPath: [] }).snapshot.lock
    }
    const custom = { 'snapshot.locking.mode': 'custom' }
    assert.deepEqual(lockOf({ 'snapshot.locking.mode': 'shared' }), { timeoutMs: 7 })
    assert.deepEqual(lockOf({ ...custom, 'snapshot.locking.mode.custom.name': 'shared' }), { timeoutMs: 7 })
    assert.equal(lockOf({ ...custom, 'snapshot.locking.mode.custom.name': 'none' }), null)
  })
})
