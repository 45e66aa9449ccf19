/**
 * Files that are made from others: `npm run made` writes those that are in the repository.
 *
 * `notice FILE`: the licences of what is in the executable; `sbom FILE`: its bill of materials; `plugin-config FILE`: the ConfigMaps of
 * all settings; `helm-config FILE`, `helm-rbac FILE`: those, and the rights of `deploy/rbac.yaml`, as values of Velero's Helm chart; `compatibility FILE`:
 * the page on the versions that were tried together, from `docs/compatibility.json`.
 *
 * For the first two the executable's modules are bundled once more, to see which packages they are from.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import packageJson from "../../package.json" with { type: "json" }
import { settings } from "../cnpg/Settings.ts"
import type { BundledPackage } from "./Bundled.ts"
import { packageFolders, readPackage } from "./Bundled.ts"
import { metafile } from "./Bundle.ts"
import type { Result } from "./Compatibility.ts"
import * as Compatibility from "./Compatibility.ts"
import * as Deploy from "./Deploy.ts"
import * as Notice from "./Notice.ts"
import * as Sbom from "./Sbom.ts"

const repository = Path.resolve(import.meta.dirname, "../..")

/** The packages in the executable. */
export const bundledPackages = async (): Promise<ReadonlyArray<BundledPackage>> =>
  packageFolders(await metafile()).map((folder) => readPackage(Path.join(repository, folder)))

export const notice = async (): Promise<string> =>
  Notice.render(await bundledPackages(), {
    version: packageJson.devDependencies.bun,
    licence: Fs.readFileSync(Path.join(repository, "node_modules/bun-types/docs/project/license.mdx"), "utf8")
  })

export const sbom = async (): Promise<unknown> => {
  const { devDependencies, license: licence, name, version } = packageJson
  return Sbom.render({ name, version, licence }, await bundledPackages(), devDependencies.bun)
}

export const makers: Readonly<Record<string, () => string | Promise<string>>> = {
  notice,
  sbom: async () => `${JSON.stringify(await sbom(), undefined, 2)}\n`,
  "plugin-config": () => Deploy.pluginConfig(settings),
  "helm-config": () => Deploy.helmConfig(settings),
  compatibility: () =>
    Compatibility.render(
      JSON.parse(Fs.readFileSync(Path.join(repository, "docs/compatibility.json"), "utf8")) as ReadonlyArray<Result>
    ),
  "helm-rbac": () => Deploy.helmRbac(Fs.readFileSync(Path.join(repository, "deploy/rbac.yaml"), "utf8"))
}

if (import.meta.main) {
  const [what = "", file] = process.argv.slice(2)
  const make = makers[what]
  if (file === undefined || make === undefined) {
    process.stderr.write(`usage: bun src/release/Main.ts ${Object.keys(makers).join("|")} FILE\n`)
    process.exit(2)
  }
  Fs.writeFileSync(file, await make())
}
