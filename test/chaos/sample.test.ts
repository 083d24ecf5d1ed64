import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { quickstartPipelines } from '../../compose/pipelines/pipelines.ts'
import { servicesFrom } from '../../compose/pipelines/support/pipeline.ts'
import { runPipelines } from '../../compose/pipelines/support/session.ts'
import { freePort } from '../support/free-port.ts'
import { seededRandom } from '../support/random.ts'
import { freshSeed, testSeed } from '../support/seed.ts'
import { requireService, skipUnless } from '../support/services.ts'
import { elasticsearchRounds } from './elasticsearch-rounds.ts'
import { postgresRounds } from './postgres-rounds.ts'
import { searchRounds } from './search-rounds.ts'
import { warehouseRounds } from './warehouse-rounds.ts'

const skip = skipUnless(
  requireService('kafka'),
  requireService('postgres'),
  requireService('elasticsearch'),
  requireService('s3'),
  requireService('redshift'),
)
const random = seededRandom(testSeed)
/** Not of the seed: what an earlier run left on the servers must not be met again. */
const instance = `t${freshSeed().toString(36)}`

test('both pipelines, a tenth of the quickstart, with workers killed half way', {
  skip,
  timeout: 400_000,
}, async () => {
  const { differences, workers } = await runPipelines({
    pipelines: quickstartPipelines(instance),
    kill: true,
    scale: 0.1,
    port: await freePort(2),
  })
  await workers.stopAll()
  equal(differences, 0)
})

test(`two rounds of random kills, seed ${random.seed}`, { skip, timeout: 400_000 }, async (t) => {
  const results = await searchRounds({
    services: servicesFrom(process.env),
    rounds: 2,
    random,
    port: await freePort(2),
    instance: `${instance}c`,
    report: (result) => t.diagnostic(JSON.stringify(result)),
  })
  deepEqual(
    results.flatMap((result) => result.differences),
    [],
  )
})

test(`two disasters of the warehouse, seed ${random.seed}`, { skip, timeout: 400_000 }, async (t) => {
  const results = await warehouseRounds({
    services: servicesFrom(process.env),
    rounds: 2,
    random,
    port: await freePort(2),
    instance: `${instance}w`,
    report: (result) => t.diagnostic(JSON.stringify(result)),
  })
  deepEqual(
    results.flatMap((result) => result.differences),
    [],
  )
})

test(`Elasticsearch busy, cut off and its workers killed, seed ${random.seed}`, {
  skip,
  timeout: 400_000,
}, async (t) => {
  const results = await elasticsearchRounds({
    brokers: servicesFrom(process.env).kafkaBrokers,
    rounds: 3,
    random,
    port: await freePort(2),
    disasters: ['busy', 'kill', 'reset'],
    report: (result) => t.diagnostic(JSON.stringify(result)),
  })
  deepEqual(
    results.flatMap((result) => result.differences),
    [],
  )
})

test(`a captured database with its workers killed and its server crashed, seed ${random.seed}`, {
  skip,
  timeout: 400_000,
}, async (t) => {
  const results = await postgresRounds({
    brokers: servicesFrom(process.env).kafkaBrokers,
    rounds: 2,
    random,
    port: await freePort(2),
    instance: `${instance}p`,
    report: (result) => t.diagnostic(JSON.stringify(result)),
  })
  deepEqual(
    results.flatMap((result) => result.differences),
    [],
  )
})
