/** Messages for the unit tests of the Redshift sink. */
import { messageId } from '../../../../connectors/common/metadata-message.ts'
import type { FileMessage } from '../../../../connectors/redshift/pending-file.ts'

const column = { nullable: true, length: null, precision: null, scale: null }

/** The message of a file with the records of an offset range, one row each. */
export function fileMessage(first: number, last: number, key = `t/kind=a/e+0+${first}.json.gz`): FileMessage {
  const files = [
    {
      bucket: 'lake',
      key,
      region: null,
      bytes: 100,
      recordCount: last - first + 1,
      etag: "e'",
      versionId: null,
      contentHash: null,
    },
  ]
  const source = {
    topic: 'events',
    partition: 0,
    firstOffset: BigInt(first),
    lastOffset: BigInt(last),
    minTs: 1,
    maxTs: null,
  }
  return {
    id: messageId(files, source, 'value'),
    role: 'value',
    op: 'append',
    eventKey: 'Ad.Click',
    table: null,
    topic: source.topic,
    source,
    files,
    format: 'json',
    compression: 'gzip',
    columns: [
      { name: 'User_Id', type: 'int64', ...column },
      { name: 'url', type: 'string', ...column, length: 2048 },
      { name: 'price', type: 'decimal', ...column, precision: 60, scale: 4 },
      { name: 'tags', type: 'array', ...column },
    ],
    metaFields: ['__partition', '__offset'],
  }
}
