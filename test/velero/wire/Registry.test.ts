import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as BackupItemAction from "../../../src/velero/BackupItemAction.ts"
import * as Plugin from "../../../src/velero/Plugin.ts"
import * as Registry from "../../../src/velero/wire/Registry.ts"

const action = BackupItemAction.make({
  selector: {},
  decode: Schema.Unknown,
  fetch: () => Effect.void,
  transform: () => Result.succeed(undefined),
  encode: (item) => ({ item })
})

/** A plugin whose module can be loaded from the `loadable`th time on. */
const counted = (loadable = 1) => {
  const count = { loads: 0 }
  const plugin = Plugin.backupItemAction<never>("example.io/a", () => {
    count.loads++
    return count.loads < loadable ? Promise.reject(new Error("no such module")) : Promise.resolve(action)
  })
  return { count, plugin }
}

describe("find", () => {
  it.effect("loads an implementation at its first call, and keeps it", () =>
    Effect.gen(function* () {
      const { count, plugin } = counted()
      const find = Registry.find([plugin], "BackupItemAction")
      assert.strictEqual(count.loads, 0)
      for (let calls = 0; calls < 3; calls++) assert.strictEqual(yield* find("example.io/a"), action)
      assert.strictEqual(count.loads, 1)
    })
  )

  it.effect("says what is wrong with a module that does not load, and tries again", () =>
    Effect.gen(function* () {
      const { count, plugin } = counted(2)
      const find = Registry.find([plugin], "BackupItemAction")
      const error = yield* Effect.flip(find("example.io/a"))
      assert.strictEqual(error.message, "plugin example.io/a could not be loaded: no such module")
      assert.strictEqual(yield* find("example.io/a"), action)
      assert.strictEqual(count.loads, 2)
    })
  )

  it.effect("knows only the names of its kind, and says so in Velero's words", () =>
    Effect.gen(function* () {
      const plugins = [
        counted().plugin,
        Plugin.backupItemActionV2<never>("example.io/v2", () => Promise.resolve(action))
      ]
      for (const name of ["example.io/v2", "example.io/b", "", "constructor"]) {
        const error = yield* Effect.flip(Registry.find(plugins, "BackupItemAction")(name))
        assert.strictEqual(
          error.message,
          `BackupItemAction plugin: ${name} was not found or has an invalid name format`
        )
      }
      assert.strictEqual(yield* Registry.find(plugins, "BackupItemActionV2")("example.io/v2"), action)
    })
  )
})
