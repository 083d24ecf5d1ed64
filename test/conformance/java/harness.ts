import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { exec } from '../../../compose/stack/exec.ts'
import { findJava, type JavaHome } from '../../../compose/stack/java.ts'
import { type ArtifactSet, fetchArtifacts } from '../../../compose/stack/maven.ts'
import { isExecutable } from '../../../compose/stack/settings.ts'
import { loadSettings } from '../../../compose/stack/state.ts'
import { connectArtifacts, pluginSets } from '../../support/java-connect.ts'
import type { WireSchema, WireValue } from './wire.ts'

/** Converter, header converter, transformation or predicate to be made under a name of the caller's. */
export interface MakePlugin {
  readonly op: 'make'
  readonly plugin: string
  readonly class: string
  readonly config: Readonly<Record<string, string | null>>
  /** Converters only; `header` asks for a header converter where a class is both. Default value. */
  readonly role?: 'key' | 'value' | 'header'
}

export interface WireHeader {
  readonly key: string
  readonly schema: WireSchema | null
  readonly value: WireValue
}

export interface WireRecord {
  readonly topic: string
  readonly partition: number | null
  readonly keySchema: WireSchema | null
  readonly key: WireValue
  readonly valueSchema: WireSchema | null
  readonly value: WireValue
  /** Milliseconds, in decimal. */
  readonly timestamp: string | null
  /** Of a sink record, in decimal; null makes a source record. */
  readonly offset: string | null
  readonly headers: readonly WireHeader[]
}

/** What the harness does with a plugin that was made. `topic` is `t` where absent; bytes are base64. */
export type Job =
  | MakePlugin
  | {
      readonly op: 'fromConnect'
      readonly plugin: string
      readonly topic?: string
      readonly schema: WireSchema | null
      readonly value: WireValue
    }
  | { readonly op: 'toConnect'; readonly plugin: string; readonly topic?: string; readonly bytes: string | null }
  /** Data under an Avro schema, read and written back by Avro's own library; needs the library `avro`. */
  | { readonly op: 'avro'; readonly schema: string; readonly bytes: string }
  | { readonly op: 'apply' | 'test'; readonly plugin: string; readonly record: WireRecord }
  | BenchJob

/** Calls the plugin with each input in turn, for `measureMs` after `warmUpMs`. */
export interface BenchJob {
  readonly op: 'bench'
  readonly plugin: string
  readonly call: 'fromConnect' | 'toConnect' | 'apply'
  readonly schema?: WireSchema | null
  /** Values, base64 texts or records. */
  readonly inputs: readonly WireValue[] | readonly string[] | readonly WireRecord[]
  readonly warmUpMs: number
  readonly measureMs: number
}

export interface JavaError {
  readonly class: string
  readonly message: string | null
  readonly cause?: JavaError
}

/** Either `error` or what the operation gives. */
export interface Answer {
  readonly error?: JavaError
  /** `fromConnect`, `avro`: base64, null for no bytes. */
  readonly bytes?: string | null
  /** `toConnect` */
  readonly schema?: WireSchema | null
  readonly value?: WireValue
  /** `toConnect`: whether Java's value fits Java's schema. */
  readonly valid?: boolean
  /** `apply`: null when the record was dropped. */
  readonly record?: WireRecord | null
  /** `test` */
  readonly result?: boolean
  /** `bench` */
  readonly calls?: number
  readonly cpuNs?: number
}

/** Classes that a harness has beside Connect's own converters and transforms. */
export type HarnessLibrary = 'debezium-postgres' | 'avro'

/** Avro 1.12.0 rounds lists of doubles to floats. */
const librarySets: Readonly<Record<HarnessLibrary, ArtifactSet>> = {
  'debezium-postgres': pluginSets['debezium-postgres'],
  avro: {
    label: 'avro-1.11.4',
    mode: 'copy',
    artifacts: [{ group: 'org.apache.avro', name: 'avro', version: '1.11.4' }],
  },
}

const commonSources = ['ConnectData.java', 'Harness.java']

/** The newest JDK of this host: from Java 19 on numbers have the text that ours have. */
function findJdk(): JavaHome | undefined {
  return findJava().findLast(({ home, version }) => version >= 17 && isExecutable(join(home, 'bin', 'javac')))
}

/** Declares that tests need a JDK; where there is none they are skipped by name, unless services are required. */
export function requireHarness(env: NodeJS.ProcessEnv = process.env): { readonly skip: string | false } {
  if (env['TEST_REQUIRE_SERVICES'] === '1' || findJdk() !== undefined) return { skip: false }
  return { skip: 'Java harness: no JDK 17 or later; install one (`apt-get install default-jdk-headless`)' }
}

/** Compiled classes, made once per text of the sources and version of Java. */
async function compile(jdk: JavaHome, classpath: string, home: string, sources: readonly string[]): Promise<string> {
  const hash = createHash('sha256').update(`${jdk.version} ${classpath}`)
  for (const name of sources) hash.update(readFileSync(join(import.meta.dirname, name)))
  const target = join(home, 'java-harness', hash.digest('hex').slice(0, 12))
  if (existsSync(target)) return target
  // Two test processes may compile at the same time: whoever renames first wins.
  const unfinished = `${target}.${process.pid}`
  mkdirSync(unfinished, { recursive: true })
  const files = sources.map((name) => join(import.meta.dirname, name))
  await exec(join(jdk.home, 'bin', 'javac'), ['-nowarn', '-cp', classpath, '-d', unfinished, ...files])
  try {
    renameSync(unfinished, target)
  } catch (error) {
    if (!existsSync(target)) throw error
    rmSync(unfinished, { recursive: true })
  }
  return target
}

/**
 * A JVM that runs Java plugins on our data. Answers come in the order of the calls.
 *
 * ```ts
 * await using java = await JavaHarness.open()
 * await java.run([{ op: 'make', plugin: 'json', class: 'org.apache.kafka.connect.json.JsonConverter', config: {} }])
 * const [answer] = await java.run([{ op: 'toConnect', plugin: 'json', bytes: 'eyJhIjoxfQ==' }])
 * ```
 */
export class JavaHarness implements AsyncDisposable {
  /** Feature version; below 19 `Double.toString` does not give the shortest text. */
  readonly javaVersion: number
  readonly #child: ReturnType<typeof spawnJava>
  readonly #lines: Interface
  readonly #waiting: { readonly resolve: (line: string) => void; readonly reject: (error: Error) => void }[] = []
  readonly #exited: Promise<void>
  #stderr = ''

  private constructor(child: ReturnType<typeof spawnJava>, javaVersion: number) {
    this.#child = child
    this.javaVersion = javaVersion
    this.#lines = createInterface({ input: child.stdout, crlfDelay: Number.POSITIVE_INFINITY })
    this.#lines.on('line', (line) => this.#waiting.shift()?.resolve(line))
    child.stderr.setEncoding('utf8')
    child.stderr.on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-4000)
    })
    this.#exited = new Promise((resolve) => {
      child.once('close', (code) => {
        const error = new Error(`the Java harness ended with status ${code}: ${this.#stderr}`)
        for (const { reject } of this.#waiting.splice(0)) reject(error)
        resolve()
      })
    })
  }

  /** Starts a JVM; classes and jars are fetched and compiled on first use. */
  static async open(libraries: readonly HarnessLibrary[] = [], jvm: readonly string[] = []): Promise<JavaHarness> {
    const jdk = findJdk()
    if (jdk === undefined) throw new Error('no JDK 17 or later: install one, or point JAVA_HOME at it')
    const settings = loadSettings()
    const folders: string[] = []
    for (const set of [connectArtifacts, ...libraries.map((name) => librarySets[name])]) {
      folders.push(await fetchArtifacts(settings, 'kafka', set))
    }
    const classpath = classpathOf(folders)
    const sources = libraries.includes('avro') ? [...commonSources, 'AvroPeer.java'] : commonSources
    const classes = await compile(jdk, classpath, settings.home, sources)
    const log4j = join(classes, 'log4j2.properties')
    if (!existsSync(log4j)) writeFileSync(log4j, 'rootLogger.level=off\n')
    const options = ['-Xmx512m', '-XX:+UseSerialGC', '-Duser.timezone=UTC', '-Duser.language=en', '-Duser.country=US']
    const args = [
      ...options,
      // Compiled methods would throw exceptions without messages, which deviations are told by.
      '-XX:-OmitStackTraceInFastThrow',
      ...jvm,
      `-Dlog4j2.configurationFile=${log4j}`,
      '-cp',
      `${classes}:${classpath}`,
      'Harness',
    ]
    return new JavaHarness(spawnJava(jdk.java, args), jdk.version)
  }

  /** Does the jobs in order; one answer each. A job that fails answers with `error`. */
  async run(jobs: readonly Job[]): Promise<readonly Answer[]> {
    if (jobs.length === 0) return []
    const line = await new Promise<string>((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#child.stdin.write(`${JSON.stringify(jobs)}\n`)
    })
    return JSON.parse(line) as readonly Answer[]
  }

  /** Makes a plugin. @throws Error when Java refuses it */
  async make(plugin: Omit<MakePlugin, 'op'>): Promise<void> {
    const [answer] = await this.run([{ op: 'make', ...plugin }])
    if (answer?.error !== undefined) throw new Error(`${plugin.class}: ${JSON.stringify(answer.error)}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin.end()
    await this.#exited
    this.#lines.close()
  }
}

function spawnJava(java: string, args: readonly string[]) {
  return spawn(java, args, { stdio: ['pipe', 'pipe', 'pipe'] })
}

/** Of a jar that several sets have, the first set's version: Connect's. */
function classpathOf(folders: readonly string[]): string {
  const jars = new Map<string, string>()
  for (const folder of folders) {
    for (const file of readdirSync(folder).sort()) {
      const name = file.replace(/-\d.*$/, '')
      if (!jars.has(name)) jars.set(name, join(folder, file))
    }
  }
  return [...jars.values()].join(':')
}
