/** What `bench cdc` may be asked to run with beside the plain set-up. */
import { FakeRegistry } from '../support/fake-registry.ts'

export interface CdcSetup extends AsyncDisposable {
  readonly worker: Readonly<Record<string, string>>
  readonly connector: Readonly<Record<string, string>>
}

const jsonConverter = 'org.apache.kafka.connect.json.JsonConverter'

function fixed(connector: CdcSetup['connector'], worker: CdcSetup['worker'] = {}): () => Promise<CdcSetup> {
  return async () => ({ worker, connector, [Symbol.asyncDispose]: async () => undefined })
}

/** Same properties for ours and the peer, but for Avro, whose converter the peer lacks (it is not on Maven Central). */
export const cdcSetups: Readonly<Record<string, () => Promise<CdcSetup>>> = {
  plain: fixed({}),
  schemas: fixed({
    'key.converter': jsonConverter,
    'key.converter.schemas.enable': 'true',
    'value.converter': jsonConverter,
    'value.converter.schemas.enable': 'true',
  }),
  /** Keys and values; the registry is asked once per schema. */
  avro: async () => {
    const registry = await FakeRegistry.open()
    return {
      worker: {},
      connector: {
        'key.converter': 'io.confluent.connect.avro.AvroConverter',
        'key.converter.schema.registry.url': registry.url,
        'value.converter': 'io.confluent.connect.avro.AvroConverter',
        'value.converter.schema.registry.url': registry.url,
      },
      [Symbol.asyncDispose]: async () => await registry[Symbol.asyncDispose](),
    }
  },
  /** The unwrap transform and three more. */
  transforms: fixed({
    transforms: 'unwrap,origin,columns,cast',
    'transforms.unwrap.type': 'io.debezium.transforms.ExtractNewRecordState',
    'transforms.origin.type': 'org.apache.kafka.connect.transforms.InsertField$Value',
    'transforms.origin.static.field': 'origin',
    'transforms.origin.static.value': 'bench',
    'transforms.columns.type': 'org.apache.kafka.connect.transforms.ReplaceField$Value',
    'transforms.columns.renames': 'a:digest',
    'transforms.cast.type': 'org.apache.kafka.connect.transforms.Cast$Value',
    'transforms.cast.spec': 'n:string',
  }),
  /** A transaction per batch of `poll`. */
  'exactly-once': fixed({}, { 'exactly.once.source.support': 'enabled' }),
  /** Transactions of half a second. */
  'exactly-once-interval': fixed(
    { 'transaction.boundary': 'interval', 'transaction.boundary.interval.ms': '500' },
    { 'exactly.once.source.support': 'enabled' },
  ),
}

/** @throws Error for a name that is not there */
export async function openSetup(name: string): Promise<CdcSetup> {
  const open = cdcSetups[name]
  if (open === undefined) throw new Error(`No set-up ${name}; there are ${Object.keys(cdcSetups).join(', ')}`)
  return await open()
}
