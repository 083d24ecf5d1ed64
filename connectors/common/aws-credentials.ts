import type { ConfigKeys, Password } from '../../worker/api/config.ts'
import type { ConfigProblem } from '../../worker/api/errors.ts'

/** Options by which every connector takes the keys of an AWS principal. */
export const awsCredentialOptions = {
  'aws.access.key.id': {
    type: 'STRING',
    default: '',
    importance: 'HIGH',
    group: 'AWS',
    doc: 'Access key; empty uses the default chain.',
  },
  'aws.secret.access.key': {
    type: 'PASSWORD',
    default: null,
    importance: 'HIGH',
    group: 'AWS',
    doc: 'Secret key; null uses the default chain.',
  },
  'aws.session.token': {
    type: 'PASSWORD',
    default: null,
    importance: 'LOW',
    group: 'AWS',
    doc: 'Session token of temporary credentials. Addition of this sink.',
  },
} as const satisfies ConfigKeys

/** What `awsCredentialOptions` parse to. */
export interface AwsCredentialConfig {
  readonly 'aws.access.key.id': string
  readonly 'aws.secret.access.key': Password | null
  readonly 'aws.session.token': Password | null
}

/** Keys of a principal, kept as secrets until the SDK needs them (I8). */
export interface AwsKeys {
  readonly id: string
  readonly secret: Password
  readonly sessionToken: Password | null
}

/** Null: the SDK's default chain (environment, shared files, web identity, container, instance role). */
export function awsKeysOf(config: AwsCredentialConfig): AwsKeys | null {
  const id = config['aws.access.key.id']
  const secret = config['aws.secret.access.key']
  return id === '' || secret === null ? null : { id, secret, sessionToken: config['aws.session.token'] }
}

/** Half a key pair would fall back to the default chain in silence, that is to another principal. */
export function checkAwsCredentials(config: AwsCredentialConfig): readonly ConfigProblem[] {
  const secret = config['aws.secret.access.key']
  const hasId = config['aws.access.key.id'] !== ''
  if (hasId === (secret !== null && secret.reveal() !== '')) return []
  const message = 'aws.access.key.id and aws.secret.access.key must be set together, or neither'
  return [{ option: hasId ? 'aws.secret.access.key' : 'aws.access.key.id', message }]
}

/** Keys in the form of the SDK's clients. */
export function sdkCredentials({ id, secret, sessionToken }: AwsKeys) {
  return {
    accessKeyId: id,
    secretAccessKey: secret.reveal(),
    ...(sessionToken === null ? {} : { sessionToken: sessionToken.reveal() }),
  }
}
