import type { Service } from '../service.ts'
import type { ServiceName } from '../settings.ts'
import { elasticsearch } from './elasticsearch.ts'
import { kafka } from './kafka.ts'
import { postgres } from './postgres.ts'
import { redshift } from './redshift.ts'
import { registry } from './registry.ts'
import { s3 } from './s3.ts'

/** Every service of the stack by name. */
export const services: Readonly<Record<ServiceName, Service>> = {
  kafka,
  postgres,
  elasticsearch,
  s3,
  redshift,
  registry,
}
