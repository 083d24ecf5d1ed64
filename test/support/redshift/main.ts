import { startEmulator } from './emulator.ts'

function required(name: string): string {
  const value = process.env[name]
  if (value === undefined || value === '') throw new Error(`${name} is not set`)
  return value
}

const emulator = await startEmulator({
  port: Number(required('REDSHIFT_PORT')),
  host: process.env['REDSHIFT_HOST'] ?? '127.0.0.1',
  postgresUrl: required('REDSHIFT_PG_URL'),
  s3: {
    endpoint: required('REDSHIFT_S3_ENDPOINT'),
    accessKey: required('REDSHIFT_S3_ACCESS_KEY'),
    secretKey: required('REDSHIFT_S3_SECRET_KEY'),
  },
})
console.log(`Redshift Data API emulator on ${emulator.endpoint}`)

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    void emulator.close()
  })
}
