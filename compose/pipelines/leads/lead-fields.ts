/**
 * A transform of the user's own, named by `plugin.path`: what a lead's fragment says only indirectly. Outside of this
 * repository the import would be from 'sluice'.
 */
import { createHash } from 'node:crypto'
import {
  type ConnectRecord,
  defineConfig,
  defineTransformation,
  type Struct,
  type Value,
} from '../../../worker/api/index.ts'

/** The first that occurs; every browser also names those that it wants to be taken for. */
const browsers: readonly (readonly [mark: string, browser: string])[] = [
  ['Edg/', 'Edge'],
  ['Firefox/', 'Firefox'],
  ['Chrome/', 'Chrome'],
  ['Safari/', 'Safari'],
]

export function browserOf(userAgent: string): string {
  return browsers.find(([mark]) => userAgent.includes(mark))?.[1] ?? 'other'
}

/** An IPv4 address without its last byte. */
export function networkOf(ip: string): string {
  return ip.replace(/\.\d+$/, '.0/24')
}

/** First letter of a hash, which spreads ids evenly over prefixes. */
export function prefixOf(id: string): string {
  return createHash('md5').update(id).digest('hex').slice(0, 1)
}

const isText = (value: Value | undefined): value is string => typeof value === 'string'

export const plugin = defineTransformation({
  name: 'com.example.leads.LeadFields',
  aliases: [],
  version: '1.0.0',
  config: defineConfig({
    prefix: { type: 'BOOLEAN', default: false, importance: 'LOW', doc: 'Whether to add `prefix`, for paths in S3.' },
  }),
  create: async () => {
    let withPrefix = false
    return {
      configure: (config: { readonly prefix: boolean }) => {
        withPrefix = config.prefix
      },
      apply<R extends ConnectRecord>(record: R): R {
        const lead = record.value as Struct | null
        if (lead === null) return record
        const { user_agent: userAgent, ip, id } = lead
        return record.with({
          value: {
            ...lead,
            ...(isText(userAgent) && { browser: browserOf(userAgent) }),
            ...(isText(ip) && { network: networkOf(ip) }),
            ...(withPrefix && isText(id) && { prefix: prefixOf(id) }),
          },
        })
      },
    }
  },
})
