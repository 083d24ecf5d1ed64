import type { FileMetaData, SchemaElement } from 'hyparquet'

/**
 * The same file with lists of three levels. `hyparquet` takes the members of a list of two levels (`repeated X array`)
 * apart and an empty one for null; its levels of repetition and definition are those of `list.element`, though.
 * @see "Backward-compatibility rules" of the Parquet specification of logical types
 */
export function withThreeLevelLists(metadata: FileMetaData): FileMetaData {
  const schema: SchemaElement[] = []
  const leaves: string[][] = []
  let at = 0
  const visit = (path: readonly string[], isInList: boolean) => {
    const element = metadata.schema[at++]
    if (element === undefined) return
    const isShort = isInList && element.repetition_type === 'REPEATED' && element.name === 'array'
    if (isShort) schema.push({ name: 'list', repetition_type: 'REPEATED', num_children: 1 })
    const own: SchemaElement = isShort ? { ...element, name: 'element', repetition_type: 'REQUIRED' } : element
    schema.push(own)
    const ownPath = [...path, ...(isShort ? ['list'] : []), own.name]
    if (element.num_children === undefined) leaves.push(ownPath.slice(1))
    for (let i = 0; i < (element.num_children ?? 0); i++) visit(ownPath, element.converted_type === 'LIST')
  }
  visit([], false)
  const row_groups = metadata.row_groups.map((group) => ({
    ...group,
    columns: group.columns.map((column, i) => {
      const path = leaves[i]
      if (column.meta_data === undefined || path === undefined) return column
      return { ...column, meta_data: { ...column.meta_data, path_in_schema: path } }
    }),
  }))
  return { ...metadata, schema, row_groups }
}
