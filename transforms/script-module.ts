/** Loading of the modules that Script runs. */
import { realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { isAbsolute, relative, resolve } from 'node:path'
import type * as data from '../worker/api/data.ts'
import { ConfigError, toError } from '../worker/api/errors.ts'
import type { ConnectRecord, RecordChanges } from '../worker/api/record.ts'

/** What a script may make values with; its own copies of the classes would not be recognised. */
export type ScriptTools = typeof data

/** What a module exports, as `default` or by these names. */
export interface ScriptModule {
  /** Null drops the record; a plain object names what changes; anything else is an error. */
  readonly transform: (record: ConnectRecord, tools: ScriptTools) => ConnectRecord | RecordChanges | null
  /** Records for which it is not true pass unchanged. */
  readonly predicate: ((record: ConnectRecord, tools: ScriptTools) => boolean) | null
}

const require = createRequire(import.meta.url)

/**
 * Loads a module, synchronously, so that a faulty one fails the start of the task.
 * @param pluginPath files and folders that modules may be loaded from; a relative path is tried from the working
 * directory, then from each of them. Who may write connector configs must not thereby run any file of the host.
 * @throws ConfigError naming the path and what is wrong
 */
export function loadScript(path: string, pluginPath: readonly string[]): ScriptModule {
  const file = allowedFile(path, pluginPath)
  let exports: unknown
  try {
    exports = require(file)
  } catch (error) {
    throw problem(`Cannot load ${path}: ${reasonOf(error)}`, error)
  }
  return functionsOf(path, exports)
}

function problem(message: string, cause?: unknown): ConfigError {
  return new ConfigError([{ option: 'module', message }], { cause })
}

function allowedFile(path: string, pluginPath: readonly string[]): string {
  const roots = pluginPath.map((entry) => resolve(entry))
  const candidates = [resolve(path), ...roots.map((root) => resolve(root, path))]
  const file = candidates.map(realPath).find((found) => found !== null)
  if (file === undefined || file === null) {
    throw problem(`There is no module ${path}, from the working directory or the folders of plugin.path`)
  }
  const isAllowed = roots.some((root) => {
    const real = realPath(root)
    return real !== null && isWithin(real, file)
  })
  if (isAllowed) return file
  throw problem(
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
  if (code === 'ERR_REQUIRE_ASYNC_MODULE') return 'it awaits something at its top level, which a transform cannot'
  if (code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') {
    return `${message} (types are only taken off: no enum, namespace or parameter property)`
  }
  return message
}

function functionsOf(path: string, exports: unknown): ScriptModule {
  const members = typeof exports === 'object' && exports !== null ? (exports as Readonly<Record<string, unknown>>) : {}
  // module.exports = function, export default, export function transform
  const transform = typeof exports === 'function' ? exports : (members['default'] ?? members['transform'])
  if (typeof transform !== 'function') {
    throw problem(`The module ${path} exports no function, neither as default nor as \`transform\``)
  }
  const predicate = members['predicate'] ?? null
  if (predicate !== null && typeof predicate !== 'function') {
    throw problem(`The export \`predicate\` of ${path} is no function`)
  }
  return {
    transform: transform as ScriptModule['transform'],
    predicate: predicate as ScriptModule['predicate'],
  }
}
