import { randomBytes } from 'node:crypto'
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3'
import { openObjectStore } from '../../connectors/common/s3-client.ts'
import { Password } from '../../worker/api/config.ts'

export interface S3Settings {
  readonly endpoint: string
  readonly accessKey: string
  readonly secretKey: string
}

/** A bucket of its own with the sink's store, and an independent client to look at what is there. Removed on disposal. */
export async function openLake({ endpoint, accessKey, secretKey }: S3Settings) {
  const bucket = `sluice-test-${randomBytes(6).toString('hex')}`
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
  })
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
  const store = await openObjectStore({
    region: 'us-east-1',
    endpoint,
    pathStyle: true,
    accelerate: false,
    credentials: { id: accessKey, secret: new Password(secretKey), sessionToken: null },
    attempts: 3,
    backoffMs: 50,
    checksums: 'WHEN_REQUIRED',
    expectContinue: true,
  })
  const keys = async () => {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }))
    return Contents.map((object) => object.Key ?? '').sort()
  }
  return {
    bucket,
    store,
    keys,
    async read(key: string): Promise<Buffer> {
      const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }))
      return Buffer.from((await Body?.transformToByteArray()) ?? [])
    },
    async uploads(): Promise<number> {
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))
      return Uploads.length
    },
    async [Symbol.asyncDispose]() {
      for (const key of await keys()) await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }))
      await client.send(new DeleteBucketCommand({ Bucket: bucket }))
      client.destroy()
      await store.close()
    },
  }
}
