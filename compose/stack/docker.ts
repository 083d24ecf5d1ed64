import { join } from 'node:path'
import { exec } from './exec.ts'
import { step } from './progress.ts'
import { services } from './services/index.ts'
import { defaultServices, type ServiceName, type StackSettings } from './settings.ts'
import { forgetSettings, rememberSettings } from './state.ts'

function composeArguments(settings: StackSettings): readonly string[] {
  return ['compose', '-f', join(settings.root, 'compose', 'compose.yaml')]
}

/** The same ports and keys as the local processes, as variables of compose.yaml. */
function composeVariables(settings: StackSettings): NodeJS.ProcessEnv {
  return {
    ...process.env,
    SLUICE_KAFKA_PORT: String(settings.ports.kafka),
    SLUICE_POSTGRES_PORT: String(settings.ports.postgres),
    SLUICE_ELASTICSEARCH_PORT: String(settings.ports.elasticsearch),
    SLUICE_S3_PORT: String(settings.ports.s3),
    SLUICE_REDSHIFT_PORT: String(settings.ports.redshift),
    SLUICE_S3_ACCESS_KEY: settings.s3AccessKey,
    SLUICE_S3_SECRET_KEY: settings.s3SecretKey,
  }
}

/**
 * Starts the services as containers and waits for their health checks.
 * @throws Error when there is no Docker engine (a client alone is not enough)
 */
export async function composeUp(settings: StackSettings, names: readonly ServiceName[]): Promise<void> {
  try {
    await exec('docker', ['info'])
  } catch (cause) {
    throw new Error(
      'No Docker engine answers (`docker info` failed). Run `npm run stack -- up` without --docker for local processes.',
      {
        cause,
      },
    )
  }
  step('docker', `starting ${names.join(', ')} …`)
  await exec('docker', [...composeArguments(settings), 'up', '--detach', '--build', '--wait', ...names], {
    env: composeVariables(settings),
    onLine: (line) => step('docker', line.trim()),
  })
  rememberSettings(settings, 'docker')
  step('docker', 'ready')
}

/** Stops the containers, and deletes their volumes when asked. */
export async function composeDown(settings: StackSettings, options: { readonly deleteData: boolean }): Promise<void> {
  await exec('docker', [...composeArguments(settings), 'down', ...(options.deleteData ? ['--volumes'] : [])], {
    env: composeVariables(settings),
    onLine: (line) => step('docker', line.trim()),
  })
  forgetSettings(settings)
}

/** Variables of the containers: the same endpoints as those of local processes. */
export function composeEnvironment(settings: StackSettings): Readonly<Record<string, string>> {
  return Object.assign({}, ...defaultServices.map((name) => services[name].variables(settings))) as Record<
    string,
    string
  >
}
