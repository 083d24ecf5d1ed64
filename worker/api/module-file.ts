/** Modules that a connector's config names by file. */
import { realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { isAbsolute, relative, resolve } from 'node:path'
import { ConfigError, toError } from './errors.ts'

const require = createRequire(import.meta.url)

/**
 * Exports of a module, loaded synchronously, so that a faulty one fails the start of the task.
 * @param option that names the module, for errors
 * @param pluginPath files and folders that modules may be loaded from; a relative path is tried from the working
 * directory, then from each of them. Who may write connector configs must not thereby run any file of the host.
 * @throws ConfigError naming the option, the path and what is wrong
 */
export function requireModule(option: string, path: string, pluginPath: readonly string[]): unknown {
  const file = allowedFile(option, path, pluginPath)
  try {
    return require(file)
  } catch (error) {
    throw problem(option, `Cannot load ${path}: ${reasonOf(error)}`, error)
  }
}

function problem(option: string, message: string, cause?: unknown): ConfigError {
  return new ConfigError([{ option, message }], { cause })
}

function allowedFile(option: string, path: string, pluginPath: readonly string[]): string {
  const roots = pluginPath.map((entry) => resolve(entry))
  const candidates = [resolve(path), ...roots.map((root) => resolve(root, path))]
  const file = candidates.map(realPath).find((found) => found !== null)
  if (file === undefined || file === null) {
    throw problem(option, `There is no module ${path}, from the working directory or the folders of plugin.path`)
  }
  const isAllowed = roots.some((root) => {
    const real = realPath(root)
    return real !== null && isWithin(real, file)
  })
  if (isAllowed) return file
  throw problem(
    option,
    `The module ${path} is not below any entry of the worker's plugin.path, so it is not loaded; move it there, or add its folder to plugin.path`,
  )
}

/** Links resolved, so that none leads out of the folders that are allowed; null when there is no such file. */
function realPath(path: string): string | null {
  try {
    return realpathSync(path)
  } catch {
    // Absent, or not readable: another candidate may exist.
    return null
  }
}

function isWithin(root: string, file: string): boolean {
  const path = relative(root, file)
  return path === '' || (!path.startsWith('..') && !isAbsolute(path))
}

function reasonOf(error: unknown): string {
  const { message } = toError(error)
  const code = error instanceof Error && 'code' in error ? error.code : null
  if (code === 'ERR_REQUIRE_ASYNC_MODULE') return 'it awaits something at its top level, which it cannot'
  if (code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') {
    return `${message} (types are only taken off: no enum, namespace or parameter property)`
  }
  return message
}
