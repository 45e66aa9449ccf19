/** The packs under test: an executable each, of which Velero is given those that a scenario is about. */
import * as Path from "node:path"

export const packs = ["cnpg", "filesystem", "example", "kyma"] as const
export type Pack = (typeof packs)[number]

/** Path of each pack's executable. */
export type Executables = Readonly<Record<Pack, string>>

/** The executables of a folder, as the build makes it, with the CNPG pack from anywhere. */
export const executables = (cnpg: string, folder: string): Executables => {
  const of = (pack: Pack) => Path.resolve(folder, `velero-plugin-${pack}`)
  return { cnpg: Path.resolve(cnpg), filesystem: of("filesystem"), example: of("example"), kyma: of("kyma") }
}
