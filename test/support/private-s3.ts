import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { s3 } from '../../compose/stack/services/s3.ts'
import { settingsFrom } from '../../compose/stack/settings.ts'
import { PrivateService, privatePorts } from './private-service.ts'

/** An S3 server of a test's own. It takes about two seconds to start. */
export class PrivateS3 extends PrivateService {
  static async open(keys: { readonly s3AccessKey: string; readonly s3SecretKey: string }): Promise<PrivateS3> {
    const [home, ports] = [await mkdtemp(join(tmpdir(), 'sluice-s3-')), await privatePorts()]
    const { s3AccessKey, s3SecretKey } = keys
    const settings = { ...settingsFrom(process.env), home, ports, s3AccessKey, s3SecretKey }
    return await PrivateService.started(new PrivateS3(s3, settings))
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.settings.ports.s3}`
  }
}
