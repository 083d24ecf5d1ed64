import { ConnectError } from '../../worker/api/errors.ts'
import type { ObjectAddress } from '../common/object-store.ts'
import type { FileMessage } from './pending-file.ts'

/**
 * The manifest of a COPY: exactly these files, all mandatory, with their sizes (COPY by prefix would also load
 * `…+120` for `…+12`, and skips missing files in silence). Sorted, so that equal batches have equal manifests.
 */
export function manifestBody(messages: readonly FileMessage[]): Buffer {
  const sizes = new Map<string, number>()
  for (const { files } of messages) for (const f of files) sizes.set(`s3://${f.bucket}/${f.key}`, f.bytes)
  const entries = [...sizes]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([url, bytes]) => ({
      url,
      mandatory: true,
      meta: { content_length: bytes },
    }))
  return Buffer.from(JSON.stringify({ entries }), 'utf8')
}

/**
 * Where the manifest of a batch goes: `<prefix>/<table>/<batch>.manifest`.
 * @param prefix `s3://bucket/…`, or empty for `_manifests` in the bucket of the first file
 */
export function manifestAddress(
  prefix: string,
  { table, batch, messages }: { table: string; batch: string; messages: readonly FileMessage[] },
): ObjectAddress {
  const bucket = messages[0]?.files[0]?.bucket
  if (bucket === undefined) throw new ConnectError('fatal', 'CONNECT_REDSHIFT_LOAD_FAILED', 'a batch needs files')
  const [, place = `${bucket}/_manifests`] =
    /^s3:\/\/(.*?)\/?$/.exec(prefix === '' ? `s3://${bucket}/_manifests` : prefix) ?? []
  const slash = place.indexOf('/')
  const folder = slash < 0 ? '' : `${place.slice(slash + 1)}/`
  return { bucket: slash < 0 ? place : place.slice(0, slash), key: `${folder}${table}/${batch}.manifest` }
}
