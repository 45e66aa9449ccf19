/**
 * A software bill of materials: CycloneDX 1.6, JSON.
 *
 * Without a time and a serial number, so that two builds of the same sources have the same.
 *
 * @see https://cyclonedx.org/docs/1.6/json/
 */
import type { BundledPackage } from "./Bundled.ts"

interface Component {
  readonly type: "application" | "library" | "platform"
  readonly name: string
  readonly version: string
  readonly licence: string
  readonly purl: string
}

const toJson = ({ licence, name, purl, type, version }: Component) => ({
  type,
  "bom-ref": purl,
  name,
  version,
  licenses: [/ (AND|OR|WITH) /.test(licence) ? { expression: licence } : { license: { id: licence } }],
  purl
})

/** @see https://github.com/package-url/purl-spec: the `@` of a scope is percent-encoded */
const purlOf = ({ name, version }: Pick<BundledPackage, "name" | "version">): string =>
  `pkg:npm/${name.replace(/^@/, "%40")}@${version}`

export interface Program {
  readonly name: string
  readonly version: string
  readonly licence: string
}

export const render = (program: Program, packages: ReadonlyArray<BundledPackage>, bun: string): unknown => {
  const self = toJson({ type: "application", ...program, purl: `pkg:npm/${program.name}@${program.version}` })
  const runtime = toJson({
    type: "platform",
    name: "bun",
    version: bun,
    licence: "MIT",
    purl: purlOf({ name: "bun", version: bun })
  })
  const components = packages.map((each) => toJson({ type: "library", ...each, purl: purlOf(each) }))
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: { component: self },
    components: [runtime, ...components],
    dependencies: [{ ref: self["bom-ref"], dependsOn: [runtime, ...components].map((each) => each["bom-ref"]) }]
  }
}
