/** Fragments of leads as functions of their number, so that both ends can be computed without remembering anything. */
import { browserOf, networkOf } from './lead-fields.ts'

export const leadCount = 100

/** Requests and what happens to them afterwards are two topics of two applications. */
export type FragmentTopic = 'requests' | 'events'

export interface Fragment {
  readonly topic: FragmentTopic
  readonly id: string
  readonly timestamp: number
  readonly value: Readonly<Record<string, unknown>>
}

const agents = [
  'Mozilla/5.0 (X11; Linux x86_64) Chrome/130.0 Safari/537.36',
  'Mozilla/5.0 (Windows NT 10.0) Chrome/130.0 Safari/537.36 Edg/130.0',
  'Mozilla/5.0 (Macintosh) Version/18.0 Safari/605.1.15',
  'Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0',
  'curl/8.5.0',
]

const firstAt = 1_750_000_000_000

export function idAt(i: number): string {
  return `r-${(i * 37 + (i >> 7)) % leadCount}`
}

/** Every twentieth is a request with fields of its own, the others count. */
export function fragmentAt(i: number): Fragment {
  const id = idAt(i)
  const timestamp = firstAt + i * 10
  if (i % 20 !== 3) {
    const value = {
      id,
      clicks: `+${i % 3 === 0 ? 1 : 0}`,
      impressions: `+${1 + (i % 5)}`,
      spent_cents: `+${(i * 7919) % 1000}`,
    }
    return { topic: 'events', id, timestamp, value }
  }
  return {
    topic: 'requests',
    id,
    timestamp,
    value: {
      id,
      price: (i % 977) / 4,
      ip: `10.${i % 7}.${i % 251}.${i % 253}`,
      user_agent: agents[i % agents.length],
      geo: i % 40 === 3 ? { country: 'US' } : { state: `S${i % 50}` },
      campaigns: [`c${i % 9}`],
    },
  }
}

/** A lead as the index should have it. */
export interface Lead {
  id: string
  clicks: number
  impressions: number
  spent_cents: number
  price: number
  ip: string
  user_agent: string
  browser: string
  network: string
  geo: Record<string, string>
  campaigns: string[]
  created_at: number
  updated_at: number
}

/** Folds the fragments as a single reader would. */
export function expectedLeads(fragments: number): ReadonlyMap<string, Lead> {
  const leads = new Map<string, Lead>()
  for (let i = 0; i < fragments; i++) {
    const { id, timestamp, value } = fragmentAt(i)
    const lead =
      leads.get(id) ??
      ({
        id,
        clicks: 0,
        impressions: 0,
        spent_cents: 0,
        geo: {},
        campaigns: [],
        created_at: timestamp,
      } as unknown as Lead)
    leads.set(id, lead)
    lead.created_at = Math.min(lead.created_at, timestamp)
    lead.updated_at = Math.max(lead.updated_at ?? 0, timestamp)
    for (const field of ['clicks', 'impressions', 'spent_cents'] as const) {
      if (value[field] !== undefined) lead[field] += Number(value[field])
    }
    if (value['price'] === undefined) continue
    const { price, ip, user_agent: agent, geo, campaigns } = value as unknown as Lead
    Object.assign(lead, { price, ip, user_agent: agent, browser: browserOf(agent), network: networkOf(ip) })
    Object.assign(lead.geo, geo)
    for (const campaign of campaigns) if (!lead.campaigns.includes(campaign)) lead.campaigns.push(campaign)
  }
  return leads
}
