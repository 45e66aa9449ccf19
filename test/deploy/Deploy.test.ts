/** What the files of `deploy/` say about the plugins. Whether an API server takes them is the end-to-end scenario `deploy`. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Option from "effect/Option"
import * as Yaml from "yaml"
import packageJson from "../../package.json" with { type: "json" }
import { settings } from "../../src/cnpg/Settings.ts"
import { makers } from "../../src/release/Main.ts"
import { repository } from "../executable/Executable.ts"

const read = (file: string): string => Fs.readFileSync(Path.join(repository, "deploy", file), "utf8")

interface ConfigMap {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> }
  readonly data: Readonly<Record<string, string>>
}

const configMaps = Yaml.parseAllDocuments(read("plugin-config.yaml")).map((document) => document.toJS() as ConfigMap)

/** Data of the ConfigMap of a plugin. */
const dataOf = (plugin: string, on: string): Readonly<Record<string, string>> =>
  configMaps.find(({ metadata }) => metadata.labels[plugin] === `${on}ItemAction`)?.data ?? {}

describe("plugin-config.yaml", () => {
  it.each(settings)("has $key with its default", ({ default: value, key, on, parse, plugin }) => {
    assert.strictEqual(dataOf(plugin, on)[key], value)
    assert.isTrue(Option.isSome(parse(value)))
  })

  it("has nothing else, and Velero's label on each", () => {
    assert.strictEqual(configMaps.flatMap(({ data }) => Object.keys(data)).length, settings.length)
    for (const { metadata } of configMaps) assert.strictEqual(metadata.labels["velero.io/plugin-config"], "")
  })
})

describe("what is made", () => {
  it.each([
    ["plugin-config.yaml", "plugin-config"],
    ["helm/values-config.yaml", "helm-config"],
    ["helm/values-rbac.yaml", "helm-rbac"]
  ] as const)("%s is up to date: npm run made", async (file, maker) => {
    assert.strictEqual(read(file), await makers[maker]?.())
  })

  it("is the same configuration for kubectl and for Helm", () => {
    const values = Yaml.parse(read("helm/values-config.yaml")) as {
      readonly configMaps: Readonly<Record<string, { readonly labels: object; readonly data: object }>>
    }
    assert.deepStrictEqual(
      Object.values(values.configMaps),
      configMaps.map(({ data, metadata: { labels } }) => ({ labels, data }))
    )
  })
})

describe("the image", () => {
  it.each(["helm/values.yaml", "kustomization.yaml"])(
    "of %s has the name of package.json and the tag of this version",
    (file) => {
      const images = [...read(file).matchAll(/image: (\S+\/velero-plugin-cnpg:\S+)/g)].map(([, image]) => image)
      assert.deepStrictEqual(images, [`${packageJson.config.image}:v${packageJson.version}`])
    }
  )
})

describe("values-rbac.yaml", () => {
  it("grants what rbac.yaml does, to the chart's service account", () => {
    const { extraObjects } = Yaml.parse(read("helm/values-rbac.yaml")) as { readonly extraObjects: unknown }
    assert.deepStrictEqual(
      JSON.parse(JSON.stringify(extraObjects).replaceAll('"velero-server"', '"velero"')),
      Yaml.parseAllDocuments(read("rbac.yaml")).map((document) => document.toJS())
    )
  })
})
