/** What the templates of a new package are filled with, and what they give. */

export interface Names {
  /** `OrderFeed`. */
  readonly type: string
  /** `org.example.OrderFeedSource`. */
  readonly className: string
}

/** Content by path within the package. */
export type Files = Readonly<Record<string, string>>
