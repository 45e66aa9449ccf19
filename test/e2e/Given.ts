/** What some scenarios are about and no registry has: files that whoever runs them may give. Without one its scenario does not apply. */
import * as Fs from "node:fs"
import * as Path from "node:path"

export interface Given {
  /** Executable of the Go plugin whose names and annotations the CNPG pack keeps. */
  readonly goPlugin: string | undefined
  /** Velero's Helm chart, as a folder or an archive. */
  readonly chart: string | undefined
}

/** With absolute paths. */
export const absolute = ({ chart, goPlugin }: Given): Given => ({
  goPlugin: goPlugin && Path.resolve(goPlugin),
  chart: chart && Path.resolve(chart)
})

/** The first that is not there. */
export const missing = (given: Given): string | undefined =>
  Object.values(given).find((path: string | undefined) => path !== undefined && !Fs.existsSync(path))
