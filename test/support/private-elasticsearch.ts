import { pbkdf2Sync, randomBytes } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { chmod, mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Service } from '../../compose/stack/service.ts'
import { elasticsearch, type NodeExtras, startElasticsearch } from '../../compose/stack/services/elasticsearch.ts'
import { type StackSettings, settingsFrom } from '../../compose/stack/settings.ts'
import { PrivateService, privatePorts } from './private-service.ts'

/** Users of a node with security, by name: a password, and what the user may do in Elasticsearch's own words. */
export type NodeUsers = Readonly<Record<string, { readonly password: string; readonly role: object }>>

/** An Elasticsearch node of a test's own. It takes about ten seconds to start. */
export class PrivateElasticsearch extends PrivateService {
  static async open(users: NodeUsers | null = null): Promise<PrivateElasticsearch> {
    const shared = settingsFrom(process.env)
    // Below /var/tmp, as the server may run as another user, who cannot enter every temporary folder.
    const home = mkdtempSync('/var/tmp/sluice-elasticsearch-')
    await chmod(home, 0o755)
    await mkdir(join(shared.dataHome, 'lib'), { recursive: true })
    await symlink(join(shared.dataHome, 'lib'), join(home, 'lib'))
    const settings = { ...shared, home, dataHome: home, ports: await privatePorts() }
    const service = users === null ? elasticsearch : withUsers(users)
    return await PrivateService.started(new PrivateElasticsearch(service, settings))
  }

  get url(): string {
    return urlOf(this.settings)
  }
}

const urlOf = ({ ports }: StackSettings): string => `http://127.0.0.1:${ports.elasticsearch}`

function withUsers(users: NodeUsers): Service {
  return {
    ...elasticsearch,
    start: (settings) => startElasticsearch(settings, secured(users)),
    // To be told who one is not is an answer, too.
    probe: async (settings) => (await fetch(urlOf(settings), { signal: AbortSignal.timeout(2000) })).status === 401,
  }
}

/** Users and roles in files, which need no set-up over the network. */
function secured(users: NodeUsers): NodeExtras {
  const entries = Object.entries(users)
  const lines = (line: (entry: (typeof entries)[number]) => string) => `${entries.map(line).join('\n')}\n`
  return {
    yaml: ['xpack.security.enabled: true', 'xpack.security.autoconfiguration.enabled: false'],
    files: {
      users: lines(([name, { password }]) => `${name}:${passwordHash(password)}`),
      users_roles: lines(([name]) => `role_${name}:${name}`),
      // JSON is YAML.
      'roles.yml': lines(([name, { role }]) => `role_${name}: ${JSON.stringify(role)}`),
    },
  }
}

/** In the form of Elasticsearch's hash `pbkdf2`. */
function passwordHash(password: string): string {
  const [iterations, salt] = [1000, randomBytes(32)]
  const hash = pbkdf2Sync(password, salt, iterations, 32, 'sha512')
  return `{PBKDF2}${iterations}$${salt.toString('base64')}$${hash.toString('base64')}`
}
