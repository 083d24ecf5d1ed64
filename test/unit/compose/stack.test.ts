import assert from 'node:assert/strict'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { withFreePorts } from '../../../compose/stack/lifecycle.ts'
import {
  isAlive,
  portHolder,
  processStartTime,
  readRecord,
  startProcess,
  stopProcess,
} from '../../../compose/stack/processes.ts'
import { services } from '../../../compose/stack/services/index.ts'
import {
  defaultPortBase,
  defaultServices,
  isReachableByOthers,
  portSpan,
  portsFor,
  type StackSettings,
  serviceNames,
  settingsFrom,
} from '../../../compose/stack/settings.ts'
import { projectRoot } from '../../support/project-root.ts'
import { serviceVariables } from '../../support/services.ts'

/** Settings of a stack in a folder of its own. */
class TemporaryStack implements Disposable {
  readonly home = mkdtempSync(join(tmpdir(), 'sluice-stack-'))
  readonly settings: StackSettings = { ...settingsFrom({}), home: this.home, dataHome: this.home };

  [Symbol.dispose](): void {
    rmSync(this.home, { recursive: true, force: true })
  }
}

const sleeper = (settings: StackSettings, script: string) =>
  startProcess(settings, {
    service: 's3',
    command: process.execPath,
    args: ['-e', script],
    cwd: settings.home,
    env: process.env,
    port: 1,
    version: 'test',
    stopSignal: 'SIGTERM',
  })

const waitForLog = async (path: string): Promise<void> => {
  const deadline = Date.now() + 10_000
  while (!existsSync(path) || readFileSync(path, 'utf8') === '') {
    assert.ok(Date.now() < deadline, 'the process wrote nothing')
    await new Promise((done) => setTimeout(done, 10))
  }
}

describe('stack settings', () => {
  test('the base moves all ports, a variable of its own one of them', () => {
    const ports = portsFor(30_000, { SLUICE_S3_PORT: '9000' })
    assert.equal(ports.kafka, 30_000)
    assert.equal(ports.s3, 9000)
    assert.equal(new Set(Object.values(portsFor(defaultPortBase, {}))).size, portSpan, 'no port twice')
    assert.throws(() => portsFor(30_000, { SLUICE_S3_PORT: '70000' }), /SLUICE_S3_PORT=70000 is not a port number/)
    assert.equal(settingsFrom({ SLUICE_STACK_PORT_BASE: '25000' }).ports.kafka, 25_000)
  })

  test('every service gives exactly the variables that tests read', () => {
    const settings = settingsFrom({})
    for (const name of serviceNames) {
      assert.deepEqual(Object.keys(services[name].variables(settings)).sort(), [...serviceVariables[name]].sort(), name)
    }
    assert.ok(
      defaultServices.every((name) => services[name].dependsOn.every((needed) => defaultServices.includes(needed))),
    )
  })

  test('a folder behind a private parent is not reachable by other users', () => {
    using stack = new TemporaryStack()
    const inner = join(stack.home, 'a', 'b')
    mkdirSync(inner, { recursive: true })
    chmodSync(stack.home, 0o755)
    assert.equal(isReachableByOthers(inner), true)
    chmodSync(join(stack.home, 'a'), 0o700)
    assert.equal(isReachableByOthers(inner), false)
  })
})

describe('stack processes', () => {
  test('a started process is recorded, found and stopped by its own signal', async () => {
    using stack = new TemporaryStack()
    const record = await sleeper(
      stack.settings,
      'console.log("up"); process.on("SIGTERM", () => process.exit(0)); setInterval(() => {}, 1000)',
    )
    assert.deepEqual(readRecord(stack.settings, 's3'), record)
    await waitForLog(record.logFile)
    assert.equal(await stopProcess(stack.settings, record), 'stopped')
    assert.equal(isAlive(record), false)
    assert.equal(readRecord(stack.settings, 's3'), null)
  })

  test('a process that ignores its signal is killed', async () => {
    using stack = new TemporaryStack()
    const record = await sleeper(
      stack.settings,
      'process.on("SIGTERM", () => console.log("no")); console.log("up"); setInterval(() => {}, 1000)',
    )
    await waitForLog(record.logFile)
    assert.equal(await stopProcess(stack.settings, record, 100), 'killed')
    assert.equal(isAlive(record), false)
  })

  test('a record whose pid now belongs to another process is dropped, and that process left alone', async () => {
    using stack = new TemporaryStack()
    mkdirSync(join(stack.home, 'run'))
    const path = join(stack.home, 'run', 'kafka.json')
    const stale = {
      service: 'kafka',
      pid: process.pid,
      startTime: '1',
      port: 1,
      version: '',
      stopSignal: 'SIGKILL',
      logFile: '',
      startedAt: '',
    }
    writeFileSync(path, JSON.stringify(stale))
    assert.notEqual(processStartTime(process.pid), '1')
    assert.equal(readRecord(stack.settings, 'kafka'), null)
    assert.equal(existsSync(path), false)
  })

  test('the holder of a port is named, and a taken block of ports is passed over', async () => {
    using stack = new TemporaryStack()
    const server = createServer()
    await new Promise<void>((done) => {
      server.listen(0, '127.0.0.1', done)
    })
    try {
      const address = server.address()
      assert.ok(typeof address === 'object' && address !== null)
      assert.match(portHolder(address.port) ?? '', new RegExp(`pid ${process.pid} `))
      assert.ok(
        withFreePorts(stack.settings, { SLUICE_STACK_PORT_BASE: String(address.port) }).ports.kafka > address.port,
      )
    } finally {
      await new Promise((done) => server.close(done))
    }
  })
})

test('servers of a checkout whose .stack is a link get the paths it leads to, which outlive the checkout', async () => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'sluice-stack-')))
  try {
    const copy = join(folder, 'checkout/compose/stack/settings.ts')
    mkdirSync(join(folder, 'shared'))
    mkdirSync(dirname(copy), { recursive: true })
    cpSync(join(projectRoot, 'compose/stack/settings.ts'), copy)
    const { settingsFrom } = (await import(copy)) as typeof import('../../../compose/stack/settings.ts')
    assert.equal(settingsFrom({}).home, join(folder, 'checkout/.stack'))
    symlinkSync(join(folder, 'shared'), join(folder, 'checkout/.stack'))
    assert.equal(settingsFrom({}).home, join(folder, 'shared'))
  } finally {
    rmSync(folder, { recursive: true })
  }
})
