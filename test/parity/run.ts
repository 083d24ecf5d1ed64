// npm run parity <what> [options]: a recorded corpus played against our own worker, with what differs.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { down, environment, up, withFreePorts } from '../../compose/stack/lifecycle.ts'
import type { ServiceName } from '../../compose/stack/settings.ts'
import { loadSettings } from '../../compose/stack/state.ts'
import { projectRoot } from '../support/project-root.ts'
import { serviceVariables, type TestService } from '../support/services.ts'

interface Corpus {
  /** Program that prints the comparison; its exit status is 0 when nothing is left over. */
  readonly program: string
  readonly needs: readonly (TestService & ServiceName)[]
  readonly about: string
}

const corpora: Readonly<Record<string, Corpus>> = {
  rest: {
    program: 'test/parity/rest/main.ts',
    needs: ['kafka'],
    about: 'REST answers of Connect 4.3; [--docs] [--headers] [--strict] [-v] [prefix of request ids …]',
  },
  'rest-live': {
    program: 'test/parity/rest/live-main.ts',
    needs: ['kafka'],
    about:
      'every option with odd values, asked of Kafka Connect 4.3 at the same time; with Java and Maven; [-v] [text …]',
  },
  'rest-fuzz': {
    program: 'test/parity/rest/fuzz-main.ts',
    needs: ['kafka'],
    about:
      'mutated configs, bodies and paths: each gets a typed answer, and the worker lives on; [--count N] [--seed N]',
  },
  postgres: {
    program: 'test/parity/postgres.ts',
    needs: ['kafka', 'postgres'],
    about: 'change events of the Postgres source, by a whole worker; [--lines N] [--jobs N] [case …]',
  },
  'postgres-live': {
    program: 'test/parity/postgres/live/main.ts',
    needs: ['kafka', 'postgres'],
    about:
      'random databases and options under Debezium and Sluice at the same time; with Java and Maven; [--rounds N] [--seed N] [--jobs N] [--without OPTION] [--dump FOLDER] [-v]',
  },
  elasticsearch: {
    program: 'test/parity/elasticsearch.ts',
    needs: ['kafka', 'elasticsearch'],
    about: 'what the Elasticsearch sink leaves behind; [--lines N] [--changes FILE] [case …]',
  },
  s3: {
    program: 'test/parity/s3.ts',
    needs: ['kafka', 's3'],
    about: 'what the S3 sink leaves behind; [--ignore-order] [--lines N] [--changes FILE] [case …]',
  },
  's3-random': {
    program: 'test/parity/s3-random.ts',
    needs: ['s3'],
    about:
      'random options and records: objects of the S3 sink against a model of the reference; [--cases N] [--seed N]',
  },
  converters: {
    program: 'test/parity/converters.ts',
    needs: [],
    about:
      'converters beside those of Java on random data, both ways; [--count N] [--seed N] [--only NAME] [--lines N]',
  },
  transforms: {
    program: 'test/parity/transforms.ts',
    needs: [],
    about:
      'transforms and predicates beside those of Java on random configs and records; [--count N] [--seed N] [--only NAME] [--lines N] [--records]',
  },
  takeover: {
    program: 'test/parity/takeover.ts',
    needs: ['kafka', 'postgres'],
    about: 'a group that goes from Kafka Connect to Sluice and back, with Java and Maven; what arrived, counted',
  },
}

const usage = `usage: npm run parity <what> [option …]

${Object.entries(corpora)
  .map(([name, { about }]) => `  ${name.padEnd(13)} ${about}`)
  .join('\n')}`

/** Addresses of the servers: each of the environment, else of the local stack, started where it is not running. */
async function withServices(needs: Corpus['needs'], body: () => Promise<number>): Promise<number> {
  const isGiven = (name: TestService): boolean => serviceVariables[name].every((v) => (process.env[v] ?? '') !== '')
  const absent = needs.filter((name) => !isGiven(name))
  if (absent.length === 0) return body()
  const settings = withFreePorts(loadSettings())
  const started = await up(settings, absent)
  const local = environment(settings)
  for (const variable of absent.flatMap((name) => serviceVariables[name])) process.env[variable] = local[variable] ?? ''
  try {
    return await body()
  } finally {
    if (started.length > 0) await down(settings, started)
  }
}

async function main([name = '', ...options]: readonly string[]): Promise<number> {
  const corpus = Object.hasOwn(corpora, name) ? corpora[name] : undefined
  if (corpus === undefined) {
    console.error(name === '' ? usage : `no corpus "${name}"\n\n${usage}`)
    return 2
  }
  return withServices(corpus.needs, async () => {
    const child = spawn(process.execPath, [join(projectRoot, corpus.program), ...options], { stdio: 'inherit' })
    const [code] = (await once(child, 'exit')) as [number | null]
    return code ?? 1
  })
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  console.error(error instanceof Error ? `parity: ${error.message}` : error)
  process.exitCode = 1
}
