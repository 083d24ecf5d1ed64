/** Loading of the modules that Script runs. */
import type * as data from '../worker/api/data.ts'
import { ConfigError } from '../worker/api/errors.ts'
import { requireModule } from '../worker/api/module-file.ts'
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

/**
 * Loads a module, synchronously, so that a faulty one fails the start of the task.
 * @param pluginPath files and folders that modules may be loaded from; a relative path is tried from the working
 * directory, then from each of them. Who may write connector configs must not thereby run any file of the host.
 * @throws ConfigError naming the path and what is wrong
 */
export function loadScript(path: string, pluginPath: readonly string[]): ScriptModule {
  return functionsOf(path, requireModule('module', path, pluginPath))
}

function problem(message: string): ConfigError {
  return new ConfigError([{ option: 'module', message }])
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
