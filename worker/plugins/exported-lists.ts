import { discoverPlugins } from './discover.ts'

/** What modules of `plugin.path` export that is no plugin of connectors. */
export type ListExport = 'restExtensions' | 'configProviders'

/**
 * Everything that the modules of `plugin.path` export in a list of this name, in order. Modules that cannot be loaded
 * are told where plugins are loaded. The members are what their authors made them: not checked.
 */
export async function exportedLists<T>(paths: readonly string[], name: ListExport): Promise<readonly T[]> {
  const { modules } = await discoverPlugins(paths)
  const lists: T[] = []
  for (const { url } of modules) lists.push(...(await exportedList<T>(url, name)))
  return lists
}

async function exportedList<T>(url: string, name: ListExport): Promise<readonly T[]> {
  try {
    const list = ((await import(url)) as Readonly<Partial<Record<ListExport, unknown>>>)[name]
    return Array.isArray(list) ? (list as readonly T[]) : []
  } catch {
    return []
  }
}
