import { defineConfig } from '../../worker/api/config.ts'
import { definePredicate } from '../../worker/api/plugin.ts'
import type { ConnectRecord } from '../../worker/api/record.ts'
import type { Predicate } from '../../worker/api/transform.ts'
import { transformsVersion } from '../record-part.ts'

class RecordIsTombstone implements Predicate<unknown> {
  configure(): void {}

  test(record: ConnectRecord): boolean {
    return record.value === null
  }
}

export const recordIsTombstone = definePredicate({
  name: 'org.apache.kafka.connect.transforms.predicates.RecordIsTombstone',
  aliases: [],
  version: transformsVersion,
  config: defineConfig({}),
  create: async () => new RecordIsTombstone(),
})
