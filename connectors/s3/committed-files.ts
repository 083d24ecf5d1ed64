import type { FileRole } from '../common/metadata-message.ts'
import type { CompletedObject } from './object-upload.ts'
import type { OpenFile } from './open-file.ts'

/** One object of an open file, visible now. */
export interface CommittedRole {
  readonly role: FileRole
  readonly object: CompletedObject
}

/** What the metadata topic tells about one directory of a commit. */
export interface CommittedFiles {
  readonly file: OpenFile
  readonly objects: readonly CommittedRole[]
}
