/**
 * Which pack a process serves: one file has all of them, and is the pack whose name it bears.
 *
 * Most of the file is the runtime, so an image that had one for each pack would be four times as large. The name under which
 * the process was started counts first, as with every such file, then the file's own, where a link was started.
 */
import * as Path from "node:path"

export const packs = ["cnpg", "kyma", "filesystem", "example"] as const
export type Pack = (typeof packs)[number]

const prefix = "velero-plugin-"

/** The name under which the file is a pack. */
export const executables: Readonly<Record<Pack, string>> = {
  cnpg: `${prefix}cnpg`,
  kyma: `${prefix}kyma`,
  filesystem: `${prefix}filesystem`,
  example: `${prefix}example`
}

/** `velero-plugin-kyma`, `/plugins/velero-plugin-kyma-v1` and the like. */
const packNamed = (path: string): Pack | undefined => {
  const name = Path.basename(path)
  return packs.find((pack) => new RegExp(`^${prefix}${pack}(?![a-z])`).test(name))
}

/** A file of any other name is the CNPG pack. */
export const packOf = (startedAs: string, file: string): Pack => packNamed(startedAs) ?? packNamed(file) ?? "cnpg"
