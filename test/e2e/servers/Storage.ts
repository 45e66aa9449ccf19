/** Where Velero keeps backups: what its location says, and what its server needs for it. */
import type { Strings } from "../Objects.ts"

export interface Storage {
  /** Plugin of the location. */
  readonly provider: string
  readonly bucket: string
  readonly config: Strings
  /** Executable of the provider, unless it is one of the plugins under test. */
  readonly plugin?: string
  /** For the server. */
  readonly env?: Strings
}
