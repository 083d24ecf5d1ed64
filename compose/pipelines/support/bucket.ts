import {
  CreateBucketCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  S3Client,
} from '@aws-sdk/client-s3'
import type { Services } from './pipeline.ts'

/** A client of its own, as a reader of the bucket has; `destroy` ends it. */
export function s3Client(services: Services): S3Client {
  return new S3Client({
    endpoint: services.s3Endpoint,
    forcePathStyle: true,
    region: 'us-east-1',
    credentials: { accessKeyId: services.s3AccessKey, secretAccessKey: services.s3SecretKey },
    requestChecksumCalculation: 'WHEN_REQUIRED',
  })
}

export async function listObjects(
  services: Services,
  bucket: string,
): Promise<{ readonly key: string; readonly bytes: number }[]> {
  const client = s3Client(services)
  const objects: { key: string; bytes: number }[] = []
  let token: string | undefined
  do {
    const page: ListObjectsV2CommandOutput = await client.send(
      new ListObjectsV2Command({ Bucket: bucket, ...(token === undefined ? {} : { ContinuationToken: token }) }),
    )
    for (const object of page.Contents ?? []) objects.push({ key: object.Key ?? '', bytes: object.Size ?? 0 })
    token = page.NextContinuationToken
  } while (token !== undefined)
  client.destroy()
  return objects
}

/** Creates the bucket, or takes everything out of it. */
export async function emptyBucket(services: Services, bucket: string): Promise<void> {
  const client = s3Client(services)
  try {
    await client.send(new CreateBucketCommand({ Bucket: bucket }))
  } catch (error) {
    if (!(error instanceof Error && error.name.startsWith('BucketAlready'))) throw error
  }
  const objects = await listObjects(services, bucket)
  for (let i = 0; i < objects.length; i += 500) {
    await client.send(
      new DeleteObjectsCommand({
        Bucket: bucket,
        Delete: { Objects: objects.slice(i, i + 500).map((object) => ({ Key: object.key })), Quiet: true },
      }),
    )
  }
  client.destroy()
}

/** The bytes of an object, as they are stored. */
export async function readObject(client: S3Client, bucket: string, key: string): Promise<Uint8Array> {
  const { Body: body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }))
  if (body === undefined) throw new Error(`s3://${bucket}/${key} has no body`)
  return await body.transformToByteArray()
}
