import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Plugin from "../../src/velero/Plugin.ts"

const unloaded = () => Promise.reject(new Error("a list loads nothing"))

describe("list", () => {
  it("accepts a name once for each kind, in the order given", () => {
    const plugins = [
      Plugin.restoreItemAction<never>("example.io/same", unloaded),
      Plugin.backupItemActionV2<never>("example.io/same", unloaded),
      Plugin.backupItemAction<never>("example.io/same", unloaded),
      Plugin.restoreItemActionV2<never>("example.io/same", unloaded),
      Plugin.backupItemAction<never>("example.io/other", unloaded)
    ]
    const listed = Result.getOrThrow(Plugin.list(plugins))
    assert.deepStrictEqual(
      listed.map(({ kind, name }) => `${kind} ${name}`),
      [
        "RestoreItemAction example.io/same",
        "BackupItemActionV2 example.io/same",
        "BackupItemAction example.io/same",
        "RestoreItemActionV2 example.io/same",
        "BackupItemAction example.io/other"
      ]
    )
  })

  it("accepts nothing at all", () => assert.deepStrictEqual(Plugin.list([]), Result.succeed([])))

  it.each<readonly [name: string, words: string]>([
    ["example.io/a", "plugin name example.io/a already exists"],
    ["nonsense", "plugin name must have exactly two parts separated by a `/`"]
  ])("refuses %s, and says which plugin it is", (name, words) => {
    const checked = Plugin.list([
      Plugin.backupItemAction<never>("example.io/a", unloaded),
      Plugin.backupItemAction<never>(name, unloaded)
    ])
    assert(Result.isFailure(checked))
    assert.strictEqual(checked.failure._tag, "InvalidPluginList")
    assert.include(checked.failure.message, `these plugins cannot be served: BackupItemAction ${name}: ${words}`)
  })
})
