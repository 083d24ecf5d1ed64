import { ok, type Route } from '../route.ts'

/** `GET /`: version and cluster. */
export const rootRoutes: readonly Route[] = [
  { method: 'GET', path: '/', handle: async (herder) => ok(herder.serverInfo()) },
]
