/**
 * Files that are made from others: `notice FILE` writes the licences of what is in the executable, `sbom FILE` its bill of materials,
 * `helm-rbac FILE` the rights of `deploy/rbac.yaml` as values of Velero's Helm chart.
 *
 * For the first two the executable's modules are bundled once more, to see which packages they are from.
 */
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Yaml from "yaml"
import packageJson from "../../package.json" with { type: "json" }
import type { BundledPackage, Metafile } from "./Bundled.ts"
import { packageFolders, readPackage } from "./Bundled.ts"
import * as Notice from "./Notice.ts"
import * as Sbom from "./Sbom.ts"

const repository = Path.resolve(import.meta.dirname, "../..")

/** The packages in the executable. */
export const bundledPackages = (): ReadonlyArray<BundledPackage> => {
  const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "velero-plugin-release-"))
  try {
    const metafile = Path.join(directory, "meta.json")
    const flags = ["--target=bun", "--format=esm", "--splitting", `--metafile=${metafile}`, `--outdir=${directory}/out`]
    const built = Bun.spawnSync([process.execPath, "build", ...flags, "src/bin/velero-plugin.ts"], { cwd: repository })
    if (!built.success) throw new Error(built.stderr.toString())
    const folders = packageFolders(JSON.parse(Fs.readFileSync(metafile, "utf8")) as Metafile)
    return folders.map((folder) => readPackage(Path.join(repository, folder)))
  } finally {
    Fs.rmSync(directory, { recursive: true })
  }
}

export const notice = (): string =>
  Notice.render(bundledPackages(), {
    version: packageJson.devDependencies.bun,
    licence: Fs.readFileSync(Path.join(repository, "node_modules/bun-types/docs/project/license.mdx"), "utf8")
  })

export const sbom = (): unknown => {
  const { devDependencies, license: licence, name, version } = packageJson
  return Sbom.render({ name, version, licence }, bundledPackages(), devDependencies.bun)
}

/** The chart's service account, for a release named velero, in place of the one that `velero install` makes. */
export const helmRbac = (): string => {
  const manifest = Fs.readFileSync(Path.join(repository, "deploy/rbac.yaml"), "utf8")
  const objects = Yaml.parseAllDocuments(manifest).map((document) => document.toJS() as RbacObject)
  const extraObjects = objects.map(({ subjects, ...object }) => ({
    ...object,
    ...(subjects === undefined ? {} : { subjects: subjects.map((subject) => ({ ...subject, name: "velero-server" })) })
  }))
  return `${helmRbacHeader}${Yaml.stringify({ rbac: { clusterAdministrator: false }, extraObjects })}`
}

interface RbacObject {
  readonly subjects?: ReadonlyArray<object>
}

const helmRbacHeader = `# Made from deploy/rbac.yaml, which has the reasons, by npm run made.
#
# Velero without cluster-admin: the plugin has the rights that it needs. What Velero itself needs to back up and restore your objects
# is yours to grant.
#
#   helm upgrade --install velero vmware-tanzu/velero -n velero -f your-values.yaml -f deploy/helm/values.yaml -f deploy/helm/values-rbac.yaml
#
# The service account is the chart's for a release named velero in the namespace velero.
`

const makers: Readonly<Record<string, () => string>> = {
  notice,
  sbom: () => `${JSON.stringify(sbom(), undefined, 2)}\n`,
  "helm-rbac": helmRbac
}

if (import.meta.main) {
  const [what = "", file] = process.argv.slice(2)
  const make = makers[what]
  if (file === undefined || make === undefined) {
    process.stderr.write(`usage: bun src/release/Main.ts ${Object.keys(makers).join("|")} FILE\n`)
    process.exit(2)
  }
  Fs.writeFileSync(file, make())
}
