/** Thread that uploads what a claim check leaves out of a record, while the task waits. */
import { parentPort, workerData } from 'node:worker_threads'
import type { ObjectStore } from '../connectors/common/object-store.ts'
import { openObjectStore } from '../connectors/common/s3-client.ts'
import { Password } from '../worker/api/config.ts'
import { ConnectError, toError } from '../worker/api/errors.ts'
import type { ClaimAnswer, ClaimRequest, ClaimThreadData } from './claim-check.ts'

const data = workerData as ClaimThreadData
let opened: Promise<ObjectStore> | null = null

async function upload({ key, body }: ClaimRequest): Promise<ClaimAnswer> {
  try {
    opened ??= openObjectStore({
      ...data.client,
      credentials:
        data.keys === null
          ? null
          : {
              id: data.keys.id,
              secret: new Password(data.keys.secret),
              sessionToken: data.keys.sessionToken === null ? null : new Password(data.keys.sessionToken),
            },
    })
    const store = await opened
    await store.put({ bucket: data.bucket, key }, body, {
      contentType: 'application/octet-stream',
      cannedAcl: null,
      encryption: data.encryption,
      kmsKeyId: data.kmsKeyId,
      customerKey: null,
      contentMd5: false,
      onlyIfAbsent: false,
    })
    return { kind: 'done' }
  } catch (error) {
    if (error instanceof ConnectError) return { kind: error.kind, code: error.code, message: error.message }
    return { kind: 'fatal', code: 'CONNECT_TRANSFORM_CLAIM', message: toError(error).message }
  }
}

parentPort?.on('message', (request: ClaimRequest) => {
  void upload(request).then((answer) => {
    // The answer first: who is woken finds it in the port.
    data.port.postMessage({ number: request.number, answer })
    Atomics.store(data.signal, 0, request.number)
    Atomics.notify(data.signal, 0)
  })
})
