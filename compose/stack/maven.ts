import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { exec } from './exec.ts'
import { requireJava } from './java.ts'
import { since, step } from './progress.ts'
import type { ServiceName, StackSettings } from './settings.ts'

/** Maven coordinates; `type` defaults to jar. */
export interface Artifact {
  readonly group: string
  readonly name: string
  readonly version: string
  readonly type?: string
  readonly classifier?: string
}

/** A set of artifacts that becomes one folder. */
export interface ArtifactSet {
  /** Folder name, with the version in it. */
  readonly label: string
  readonly artifacts: readonly Artifact[]
  /** Groups left out of the transitive dependencies. */
  readonly excludedGroups?: readonly string[]
  /** `copy`: jars side by side, with dependencies; `unpack`: the archives' contents, without. */
  readonly mode: 'copy' | 'unpack'
}

function pomOf(set: ArtifactSet): string {
  // An unpacked distribution brings everything along; its dependencies would only be resolved in vain.
  const excluded = set.mode === 'unpack' ? ['*'] : (set.excludedGroups ?? [])
  const exclusions = excluded
    .map((group) => `<exclusion><groupId>${group}</groupId><artifactId>*</artifactId></exclusion>`)
    .join('')
  const dependencies = set.artifacts.map(
    (artifact) =>
      `    <dependency><groupId>${artifact.group}</groupId><artifactId>${artifact.name}</artifactId>` +
      `<version>${artifact.version}</version>` +
      (artifact.type === undefined ? '' : `<type>${artifact.type}</type>`) +
      (artifact.classifier === undefined ? '' : `<classifier>${artifact.classifier}</classifier>`) +
      (exclusions === '' ? '' : `<exclusions>${exclusions}</exclusions>`) +
      '</dependency>',
  )
  return [
    '<project xmlns="http://maven.apache.org/POM/4.0.0">',
    '  <modelVersion>4.0.0</modelVersion>',
    `  <groupId>sluice.stack</groupId><artifactId>${set.label}</artifactId><version>1</version>`,
    '  <dependencies>',
    ...dependencies,
    '  </dependencies>',
    '</project>',
    '',
  ].join('\n')
}

// Maven's local repository is not made for several writers at once.
let queue: Promise<unknown> = Promise.resolve()

/**
 * The folder with the artifacts, fetched by Maven on first use. Finished folders carry a digest of what they were
 * made from in their name, so a changed version list is a new folder and a broken download is never taken for whole.
 */
export function fetchArtifacts(settings: StackSettings, service: ServiceName, set: ArtifactSet): Promise<string> {
  const pom = pomOf(set)
  const digest = createHash('sha256').update(pom).update(set.mode).digest('hex').slice(0, 8)
  const target = join(settings.dataHome, 'lib', `${set.label}-${digest}`)
  if (existsSync(target)) return Promise.resolve(target)
  const result = queue.then(() => download(settings, service, set, { pom, target }))
  queue = result.catch(() => undefined)
  return result
}

async function download(
  settings: StackSettings,
  service: ServiceName,
  set: ArtifactSet,
  plan: { readonly pom: string; readonly target: string },
): Promise<string> {
  if (existsSync(plan.target)) return plan.target
  const started = Date.now()
  step(service, `fetching ${set.label} with Maven …`)
  const pomFolder = join(settings.home, 'maven', set.label)
  // Maven keeps markers of what it unpacked beside the pom and would skip it, although the target was deleted.
  rmSync(pomFolder, { recursive: true, force: true })
  mkdirSync(pomFolder, { recursive: true })
  mkdirSync(join(settings.dataHome, 'lib'), { recursive: true })
  const pomFile = join(pomFolder, 'pom.xml')
  writeFileSync(pomFile, plan.pom)
  const unfinished = `${plan.target}.part`
  rmSync(unfinished, { recursive: true, force: true })
  const goal = set.mode === 'copy' ? 'copy-dependencies' : 'unpack-dependencies'
  const args = [
    '-q',
    '-B',
    '-f',
    pomFile,
    `dependency:${goal}`,
    `-DoutputDirectory=${unfinished}`,
    '-DincludeScope=runtime',
  ]
  if (set.mode === 'unpack') args.push('-DexcludeTransitive=true')
  await exec('mvn', args, { env: { ...process.env, JAVA_HOME: requireJava(17).home } })
  renameSync(unfinished, plan.target)
  step(service, `fetched ${set.label} in ${since(started)}`)
  return plan.target
}
