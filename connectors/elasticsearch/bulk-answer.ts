/** As Elasticsearch and OpenSearch begin the answer to a bulk request that was asked for by `bulkQuery`. */
const start = '{"errors":false,"items":['
const end = ']}'
/** Each item has one; with texts of errors left out, nothing else contains it. */
const itemMark = '"status":'

/** What is asked for: without the status of every item, positions of the failed ones would be lost. */
export const bulkQuery = 'filter_path=errors,items.*.status,items.*.error'

/** The answer to a bulk request of which no action failed. */
export class BulkSuccess {
  /** How many actions were answered. */
  readonly items: number

  private constructor(items: number) {
    this.items = items
  }

  /**
   * Reads what nearly every answer says without an object for each of its thousands of items.
   * @returns null for any other text, which is to be parsed
   */
  static of(json: string): BulkSuccess | null {
    if (!json.startsWith(start) || !json.endsWith(end)) return null
    let items = 0
    for (let at = json.indexOf(itemMark, start.length); at >= 0; at = json.indexOf(itemMark, at + itemMark.length))
      items++
    return new BulkSuccess(items)
  }
}
