import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { PluginListerDefinition } from "../../../src/generated/velero/plugin_lister.ts"
import * as Plugin from "../../../src/velero/Plugin.ts"
import * as PluginLister from "../../../src/velero/wire/PluginLister.ts"
import * as Fixtures from "../Fixtures.ts"

describe("listPlugins", () => {
  it.effect("names command, kind and name of each plugin in order, and loads none", () =>
    Effect.gen(function* () {
      const load = () => Promise.reject(new Error("nothing is loaded"))
      const service = PluginLister.service(
        [Plugin.restoreItemActionV2<never>("example.io/b", load), Plugin.backupItemAction<never>("example.io/a", load)],
        "/plugins/velero-plugin-test",
        () => true
      )
      const { listPlugins } = PluginListerDefinition.methods
      assert.deepStrictEqual(yield* Fixtures.invoke([service], PluginListerDefinition, listPlugins, {}), {
        plugins: [
          { command: "/plugins/velero-plugin-test", kind: "RestoreItemActionV2", name: "example.io/b" },
          { command: "/plugins/velero-plugin-test", kind: "BackupItemAction", name: "example.io/a" }
        ]
      })
    })
  )

  it.effect("leaves out the kinds that its host does not know", () =>
    Effect.gen(function* () {
      const load = () => Promise.reject(new Error("nothing is loaded"))
      const service = PluginLister.service(
        [Plugin.itemBlockAction<never>("example.io/b", load), Plugin.backupItemAction<never>("example.io/a", load)],
        "/plugins/velero-plugin-test",
        (kind) => kind !== "ItemBlockAction"
      )
      const { listPlugins } = PluginListerDefinition.methods
      assert.deepStrictEqual(yield* Fixtures.invoke([service], PluginListerDefinition, listPlugins, {}), {
        plugins: [{ command: "/plugins/velero-plugin-test", kind: "BackupItemAction", name: "example.io/a" }]
      })
    })
  )
})
