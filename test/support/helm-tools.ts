import { execFile } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const tools = resolve(import.meta.dirname, '../../.stack/tools')
const helmModule = 'helm.sh/helm/v3/cmd/helm@v3.22.0'
const validatePackage = 'kubernetes-validate==1.34.1'

/** Kubernetes version whose schemas the rendered manifests are checked against. */
export const kubernetesVersion = '1.34'

/** Paths of helm and of the offline schema check. */
export interface HelmTools {
  readonly helm: string
  readonly validate: string
}

async function onPath(command: string): Promise<boolean> {
  try {
    await run('sh', ['-c', `command -v ${command}`])
    return true
  } catch {
    return false
  }
}

async function installHelm(target: string): Promise<void> {
  mkdirSync(join(tools, 'bin'), { recursive: true })
  await run('go', ['install', helmModule], { cwd: tools, env: { ...process.env, GOBIN: join(tools, 'bin') } })
  if (!existsSync(target)) throw new Error(`go install ${helmModule} left no ${target}`)
}

async function installValidate(): Promise<void> {
  const venv = join(tools, 'venv')
  await run('python3', ['-m', 'venv', venv])
  await run(join(venv, 'bin', 'pip'), ['install', '-q', validatePackage])
}

/**
 * helm and kubernetes-validate in the ignored folder `.stack/tools`. They are installed there (Go, PyPI) when
 * `TEST_REQUIRE_SERVICES=1`; otherwise only what is there already is used.
 * @returns the tools, or the reason why the tests are skipped
 */
export async function findHelmTools(
  env: NodeJS.ProcessEnv = process.env,
): Promise<HelmTools | { readonly missing: string }> {
  const helm = join(tools, 'bin', 'helm')
  const validate = join(tools, 'venv', 'bin', 'kubernetes-validate')
  const mayInstall = env['TEST_REQUIRE_SERVICES'] === '1'
  if (!existsSync(helm)) {
    if (!mayInstall) return { missing: 'helm is not in .stack/tools; TEST_REQUIRE_SERVICES=1 installs it' }
    if (!(await onPath('go'))) return { missing: 'this host has no Go to install helm with' }
    await installHelm(helm)
  }
  if (!existsSync(validate)) {
    if (!mayInstall)
      return { missing: 'kubernetes-validate is not in .stack/tools; TEST_REQUIRE_SERVICES=1 installs it' }
    if (!(await onPath('python3'))) return { missing: 'this host has no Python to install kubernetes-validate with' }
    await installValidate()
  }
  return { helm, validate }
}
