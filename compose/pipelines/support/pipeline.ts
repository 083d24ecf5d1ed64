import type { ConnectClient } from './connect-client.ts'
import type { Report } from './report.ts'
import type { WorkerCluster } from './workers.ts'

/** Where the servers of the local stack listen, as `npm run stack -- env` prints it. */
export interface Services {
  readonly kafkaBrokers: string
  readonly pgUrl: string
  readonly esUrl: string
  readonly s3Endpoint: string
  readonly s3AccessKey: string
  readonly s3SecretKey: string
  readonly redshiftEndpoint: string
}

export interface PipelineRun {
  readonly services: Services
  readonly connect: ConnectClient
  readonly workers: WorkerCluster
  /** Kill workers with SIGKILL while data is on its way. */
  readonly kill: boolean
  /** 1 is the size of the quickstart. */
  readonly scale: number
  step(text: string): void
}

/** One pipeline: connector configs in JSON beside it, something that feeds it, and a check of both ends. */
export interface Pipeline {
  readonly name: string
  /** Plugin modules of the pipeline's own, for `plugin.path` of the workers. */
  readonly plugins?: readonly URL[]
  /** Makes both ends empty, also after an earlier run: tables, topics, indices, buckets. */
  prepare(run: PipelineRun): Promise<void>
  /** Starts the connectors, feeds the source and resolves when the destination has stopped changing, or a deadline passed. */
  execute(run: PipelineRun): Promise<void>
  /** Compares source and destination, by other means than those that moved the data. */
  check(run: PipelineRun): Promise<Report>
  /** Ends processes of the pipeline's own. */
  close(): Promise<void>
}

/** Environment of the workers: what `${env:…}` in the connector configs refers to. */
export function workerEnvironment(services: Services): Record<string, string> {
  const pg = new URL(services.pgUrl)
  return {
    PGHOST: pg.hostname,
    PGPORT: pg.port || '5432',
    PGUSER: decodeURIComponent(pg.username),
    PGPASSWORD: decodeURIComponent(pg.password) || 'none',
    ES_URL: services.esUrl,
    S3_ENDPOINT: services.s3Endpoint,
    S3_ACCESS_KEY: services.s3AccessKey,
    S3_SECRET_KEY: services.s3SecretKey,
    REDSHIFT_ENDPOINT: services.redshiftEndpoint,
    REDSHIFT_DATABASE: 'dev',
  }
}

/** Reads the services from `TEST_…` variables. @throws Error naming what is missing */
export function servicesFrom(env: Readonly<Record<string, string | undefined>>): Services {
  const need = (name: string): string => {
    const value = env[name]
    if (!value)
      throw new Error(
        `${name} is not set; start the stack with "npm run stack -- up" and use "npm run --silent stack -- env"`,
      )
    return value
  }
  return {
    kafkaBrokers: need('TEST_KAFKA_BROKERS'),
    pgUrl: need('TEST_PG_URL'),
    esUrl: need('TEST_ES_URL'),
    s3Endpoint: need('TEST_S3_ENDPOINT'),
    s3AccessKey: need('TEST_S3_ACCESS_KEY'),
    s3SecretKey: need('TEST_S3_SECRET_KEY'),
    redshiftEndpoint: need('TEST_REDSHIFT_ENDPOINT'),
  }
}
