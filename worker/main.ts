#!/usr/bin/env node
/** `sluice`: arguments, signals and exit codes; the only place that ends the process. */
import { existsSync } from 'node:fs'
import { basename } from 'node:path'
import { toError } from './api/errors.ts'
import type { WorkerMode } from './config/worker-config.ts'
import { fixYoungGenerations } from './runtime/young-generation.ts'
import { nodeProblem } from './util/node-version.ts'
import type { WorkerProcess } from './worker-process.ts'

const usage = `Usage:
  sluice distributed worker.properties [connector.json …]   a worker that shares its work with others
  sluice standalone  worker.properties connector.json …     a worker by itself, configs from the command line
  sluice doctor worker.properties [connector.json …]        whether they would start, without starting them
  sluice transform test connector.json fixture.json …       what transforms make of records, step by step
  sluice plugins list | check                               what is installed; what is wrong with a plugin
  sluice new connector | transform <name>                   the beginning of a plugin, with its tests
  sluice verify redshift-sink.json                          whether topic, files, ledger and tables agree
  sluice <command> --help                                   the options of a command
  sluice --version                                          this version, and that of the REST API

Worker and connector files may be .properties or .json. The log level is taken from SLUICE_LOG_LEVEL (default INFO).
Exit codes: 1 wrong usage or a fatal error, 2 the worker did not start, 3 a connector of the command line did not start.
`

/** A command in `worker/cli`. */
interface CliModule {
  /** @returns the exit code */
  run(args: readonly string[]): Promise<number>
}

async function main(args: readonly string[]): Promise<number> {
  // Older ones would end with a function that is not there, somewhere.
  const problem = nodeProblem(process.versions.node, process.execPath)
  if (problem !== null) {
    process.stderr.write(`${problem}\n`)
    return 1
  }
  const [command, ...rest] = args
  if (command === undefined) {
    process.stderr.write(usage)
    return 1
  }
  if (command === '--help' || command === '-h' || command === 'help') {
    process.stdout.write(usage)
    return 0
  }
  if (command === '--version' || command === 'version') {
    const [{ buildName }, { connectVersion }] = await Promise.all([
      import('./worker-process.ts'),
      import('./cluster/herder-base.ts'),
    ])
    process.stdout.write(`${buildName()}, REST API of Kafka Connect ${connectVersion}, Node ${process.version}\n`)
    return 0
  }
  if (command === 'distributed' || command === 'standalone') return await runWorker(command, rest)
  return await runCommand(command, rest)
}

/** Loads `cli/<name>` only when it is called: each brings drivers of its own. */
async function runCommand(name: string, args: readonly string[]): Promise<number> {
  const extension = basename(import.meta.url).endsWith('.ts') ? 'ts' : 'js'
  const file = new URL(`./cli/${name}.${extension}`, import.meta.url)
  if (!/^[a-z][a-z-]*$/.test(name) || !existsSync(file)) {
    process.stderr.write(`There is no command ${name}.\n\n${usage}`)
    return 1
  }
  const module = (await import(file.href)) as CliModule
  return await module.run(args)
}

async function runWorker(mode: WorkerMode, args: readonly string[]): Promise<number> {
  const [workerFile, ...connectorFiles] = args
  if (workerFile === '--help' || workerFile === '-h') {
    process.stdout.write(usage)
    return 0
  }
  if (workerFile === undefined || workerFile.startsWith('-')) {
    const problem = workerFile === undefined ? 'takes the config of the worker' : `has no option ${workerFile}`
    process.stderr.write(`sluice ${mode} ${problem}.\n\n${usage}`)
    return 1
  }
  fixYoungGenerations()
  const [{ openWorker, StartFailure, exitCodes }, { parseLogLevel }] = await Promise.all([
    import('./worker-process.ts'),
    import('./util/log.ts'),
  ])
  const ended = Promise.withResolvers<number>()
  const logLevel = parseLogLevel(process.env['SLUICE_LOG_LEVEL'] ?? 'INFO') ?? 'INFO'
  let worker: WorkerProcess
  try {
    worker = await openWorker({
      mode,
      workerFile,
      connectorFiles,
      logLevel,
      kafkaOpts: process.env['KAFKA_OPTS'],
      onFatal: (error) => {
        worker.logger.error({ error }, 'the worker cannot go on and stops')
        ended.resolve(1)
      },
    })
  } catch (error) {
    process.stderr.write(`${toError(error).message}\n`)
    return error instanceof StartFailure ? error.exitCode : exitCodes.startup
  }
  process.on('uncaughtException', (error) => {
    worker.logger.error({ error }, 'uncaught error')
    ended.resolve(1)
  })
  const onSignal = (signal: NodeJS.Signals): void => {
    worker.logger.info({ signal }, 'stopping; a second signal ends the process at once')
    ended.resolve(exitCodes.ok)
    process.once(signal, () => process.exit(1))
  }
  process.once('SIGTERM', onSignal)
  process.once('SIGINT', onSignal)
  worker.started.catch((error: unknown) => {
    const isKnown = error instanceof StartFailure
    const cause = toError(isKnown ? error.cause : error)
    worker.logger.error({ error: cause }, `the worker did not start: ${cause.message}`)
    ended.resolve(isKnown ? error.exitCode : exitCodes.startup)
  })
  return await stopWithin(worker, await ended.promise)
}

/** Stops the worker; a plugin that does not let go must not keep the process (I9). */
async function stopWithin(worker: WorkerProcess, exitCode: number): Promise<number> {
  const deadline = setTimeout(() => {
    worker.logger.error({ timeoutMs: worker.stopTimeoutMs }, 'the worker did not stop in time; the process ends')
    process.exit(exitCode === 0 ? 1 : exitCode)
  }, worker.stopTimeoutMs)
  try {
    await worker.stop()
    worker.logger.info({}, 'Kafka Connect stopped')
    return exitCode
  } catch (error) {
    worker.logger.error({ error: toError(error) }, 'the worker did not stop cleanly')
    return exitCode === 0 ? 1 : exitCode
  } finally {
    clearTimeout(deadline)
  }
}

process.exit(await main(process.argv.slice(2)))
