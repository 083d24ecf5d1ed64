/** As the reference takes it, for a URI: a host that begins with a letter, and perhaps a port. */
const bareHost = /^[a-z][a-z\d.-]*(?::\d{1,5})?$/i

/**
 * URL of the node that an element of `connection.url` stands for, without a slash at its end: an http or https URL,
 * `host` or `host:port` for http, or a Cloud ID as Elastic Cloud shows it, `name:` and the base64 of
 * `domain[:port]$cluster[$kibana]`.
 * @returns null for anything else
 */
export function nodeUrl(element: string): string | null {
  if (bareHost.test(element)) return nodeUrl(`http://${element}`)
  if (!URL.canParse(element)) return null
  if (/^https?:$/.test(new URL(element).protocol)) return element.replace(/\/+$/, '')
  const [, encoded = ''] = /^[^:]*:([\w+/-]+=*)$/.exec(element) ?? []
  const [domain = '', cluster = ''] = Buffer.from(encoded, 'base64').toString('utf8').split('$')
  const [host = '', port = '443'] = domain.split(':')
  const isCloud = /^[\w-]+(\.[\w-]+)+$/.test(host) && /^[\w-]+$/.test(cluster) && /^\d{1,5}$/.test(port)
  return isCloud ? `https://${cluster}.${host}${port === '443' ? '' : `:${port}`}` : null
}
