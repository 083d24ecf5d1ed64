import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Struct, valueEquals } from '../../../worker/api/data.ts'
import { noHeaders } from '../../../worker/api/record.ts'
import { parseConfig } from '../../../worker/config/config-def.ts'
import { CloudEventsConverter } from '../../../worker/converters/cloud-events.ts'
import { cloudEventsConverterConfig } from '../../../worker/converters/cloud-events-config.ts'
import { changeEvent, changeEventSchema } from '../../support/change-events.ts'
import { JavaHarness, requireHarness } from './harness.ts'
import { canonical, schemaToWire, valueToWire } from './wire.ts'

const row = { id: 1, note: null, big: null, raw: null }

const events: readonly Struct[] = [
  changeEvent(),
  changeEvent({ op: 'd', before: row, after: null }),
  changeEvent({ transaction: { id: '555:1', total_order: 1n, data_collection_order: 2n } }),
  changeEvent({ op: 'r' }, { snapshot: null, sequence: null, lsn: null, txId: null }),
  changeEvent({ ts_ms: null }, { ts_ms: 1_700_000_000_000n, table: 'ä"' }),
]

const configs = [
  {},
  { 'json.schemas.enable': 'false' },
  { 'json.schemas.enable': 'false', 'extension.attributes.enable': 'false' },
  { 'json.schemas.enable': 'false', 'metadata.source': 'value,id:generate,type:generate' },
]

describe('CloudEventsConverter beside Debezium', { skip: requireHarness().skip }, () => {
  it('writes and reads the same (statement P120)', async () => {
    await using java = await JavaHarness.open(['debezium-postgres'])
    for (const [i, config] of configs.entries()) {
      const plugin = `ce${i}`
      await java.make({ plugin, class: 'io.debezium.converters.CloudEventsConverter', config })
      const ours = new CloudEventsConverter()
      ours.configure(parseConfig(cloudEventsConverterConfig, { 'converter.type': 'value', ...config }), 'value')
      for (const event of events) {
        const schema = schemaToWire(changeEventSchema)
        const value = valueToWire(changeEventSchema, event)
        const [written] = await java.run([{ op: 'fromConnect', plugin, topic: 'srv.public.c', schema, value }])
        const bytes = Buffer.from(ours.fromConnectData('srv.public.c', noHeaders, changeEventSchema, event) ?? [])
        assert.equal(bytes.toString(), Buffer.from(written?.bytes ?? '', 'base64').toString())
        const [read] = await java.run([{ op: 'toConnect', plugin, bytes: bytes.toString('base64') }])
        const again = ours.toConnectData('srv.public.c', noHeaders, bytes)
        assert.equal(again.schema, null)
        const { data, ...attributes } = again.value as Struct
        if (!('json.schemas.enable' in config)) {
          const expected = { before: event['before'] ?? null, after: event['after'] ?? null }
          assert.ok(valueEquals(data ?? null, expected))
          continue
        }
        assert.deepEqual(plain(valueToWire(null, { ...attributes, data: data ?? null })), plain(read?.value ?? null))
      }
    }
  })

  it('refuses metadata from headers, which it does not read', () => {
    const options = { 'converter.type': 'value', 'metadata.source': 'header,id:header' }
    assert.throws(() => parseConfig(cloudEventsConverterConfig, options), /metadata\.source: header is not supported/)
  })

  it('refuses what is no change event, where Debezium would write a tombstone', () => {
    const ours = new CloudEventsConverter()
    ours.configure(parseConfig(cloudEventsConverterConfig, { 'converter.type': 'value' }), 'value')
    const after = changeEventSchema.fieldsByName.get('after')?.schema ?? null
    assert.throws(() => ours.fromConnectData('t', noHeaders, after, { ...row }), { kind: 'record' })
    assert.equal(ours.fromConnectData('t', noHeaders, null, null), null)
    for (const text of ['{"a":1}', '{', '[]']) {
      assert.throws(() => ours.toConnectData('t', noHeaders, Buffer.from(text)), { kind: 'record' })
    }
  })
})

function plain(value: ReturnType<typeof canonical>): unknown {
  return JSON.parse(JSON.stringify(canonical(value, 'ignore'))) as unknown
}
