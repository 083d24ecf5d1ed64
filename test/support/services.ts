/** Connection settings of each real server, as `npm run stack -- env` names them. */
export interface ServiceSettings {
  readonly kafka: { readonly brokers: readonly string[] }
  readonly postgres: { readonly url: string }
  readonly elasticsearch: { readonly url: string }
  readonly s3: { readonly endpoint: string; readonly accessKey: string; readonly secretKey: string }
  readonly redshift: { readonly endpoint: string }
  readonly registry: { readonly url: string }
}

/** A real server that tests may need. */
export type TestService = keyof ServiceSettings

/** Variables by which each server is found; the first one names its address. */
export const serviceVariables: Readonly<Record<TestService, readonly [string, ...string[]]>> = {
  kafka: ['TEST_KAFKA_BROKERS'],
  postgres: ['TEST_PG_URL'],
  elasticsearch: ['TEST_ES_URL'],
  s3: ['TEST_S3_ENDPOINT', 'TEST_S3_ACCESS_KEY', 'TEST_S3_SECRET_KEY'],
  redshift: ['TEST_REDSHIFT_ENDPOINT'],
  registry: ['TEST_REGISTRY_URL'],
}

const readers: { readonly [N in TestService]: (values: readonly string[]) => ServiceSettings[N] } = {
  kafka: ([brokers = '']) => ({ brokers: brokers.split(',') }),
  postgres: ([url = '']) => ({ url }),
  elasticsearch: ([url = '']) => ({ url }),
  s3: ([endpoint = '', accessKey = '', secretKey = '']) => ({ endpoint, accessKey, secretKey }),
  redshift: ([endpoint = '']) => ({ endpoint }),
  registry: ([url = '']) => ({ url }),
}

/** What a test gets: the reason to skip, for `test(name, { skip }, …)`, and the settings. */
export interface RequiredService<N extends TestService> {
  /** False when the server is there, or when its absence must fail the test. */
  readonly skip: string | false
  /** @throws Error naming the variable to set when the server is not there */
  readonly settings: ServiceSettings[N]
}

function missingVariables(name: TestService, env: NodeJS.ProcessEnv): readonly string[] {
  return serviceVariables[name].filter((variable) => (env[variable] ?? '') === '')
}

/**
 * Declares that tests need a real server. Without it they are skipped by name; under `TEST_REQUIRE_SERVICES=1` they
 * run and fail at the first use of `settings`, so that nothing is skipped unseen.
 *
 * ```ts
 * const kafka = requireService('kafka')
 * test('…', { skip: kafka.skip }, async () => connect(kafka.settings.brokers))
 * ```
 */
export function requireService<N extends TestService>(
  name: N,
  env: NodeJS.ProcessEnv = process.env,
): RequiredService<N> {
  const missing = missingVariables(name, env)
  const reason = `${name}: ${missing.join(', ')} not set; run \`npm run stack -- up\` and export what \`npm run --silent stack -- env\` prints`
  return {
    skip: missing.length > 0 && env['TEST_REQUIRE_SERVICES'] !== '1' ? reason : false,
    get settings() {
      if (missing.length > 0) throw new Error(reason)
      return readers[name](serviceVariables[name].map((variable) => env[variable] ?? ''))
    },
  }
}

/** The first reason to skip among several requirements, for tests that need more than one server. */
export function skipUnless(...required: readonly { readonly skip: string | false }[]): string | false {
  return required.find((service) => service.skip !== false)?.skip ?? false
}
