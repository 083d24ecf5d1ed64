import { randomBytes } from 'node:crypto'
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { requireService } from '../../support/services.ts'
import type { SinkSuite } from '../sinks/suite.ts'
import { GoldenS3, isNotImplemented } from './golden-server.ts'

/** The recorded cases against the servers of the environment. */
export function s3Suite(): SinkSuite {
  const { endpoint, accessKey, secretKey } = requireService('s3').settings
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  })
  return {
    sink: 's3',
    serverUrl: endpoint,
    brokers: requireService('kafka').settings.brokers,
    variables: new Map([
      ['accessKey', accessKey],
      ['secretKey', secretKey],
    ]),
    openServer: (scope) => new GoldenS3(client, scope),
    missing: async () => {
      const encrypts = await canEncrypt(client)
      return new Map(encrypts ? [] : [['034-tags', 'the server has no server-side encryption (AES256)']])
    },
  }
}

/** Tries it: small servers refuse the header. */
async function canEncrypt(client: S3Client): Promise<boolean> {
  const Bucket = `cs-${randomBytes(6).toString('hex')}`
  await client.send(new CreateBucketCommand({ Bucket }))
  try {
    await client.send(new PutObjectCommand({ Bucket, Key: 'probe', Body: 'x', ServerSideEncryption: 'AES256' }))
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'probe' }))
    return true
  } catch (error) {
    if (isNotImplemented(error)) return false
    throw error
  } finally {
    await client.send(new DeleteBucketCommand({ Bucket }))
  }
}
