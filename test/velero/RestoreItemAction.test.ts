import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as PluginConfig from "../../src/velero/PluginConfig.ts"
import type { Restore } from "../../src/velero/Restore.ts"
import * as RestoreItemAction from "../../src/velero/RestoreItemAction.ts"
import * as Fixtures from "./Fixtures.ts"

const restore: Restore = { metadata: { name: "again", namespace: "velero", uid: "uid-2" } }
const plugin = "example.io/a"
const call = {
  plugin,
  kind: "RestoreItemActionV2",
  item: Fixtures.bytesOf(Fixtures.podText),
  itemFromBackup: Fixtures.bytesOf('{"kind":"Pod","status":{"phase":"Running"}}'),
  restore
}

const fetched: Array<RestoreItemAction.RestoreRequest<{ readonly mode: string }>> = []
const steps = {
  selector: { includedResources: ["pods"] },
  config: Schema.Struct({ mode: Schema.String.pipe(Schema.withDecodingDefaultKey(Effect.succeed("fast"))) }),
  decode: Schema.Struct({ kind: Schema.String }),
  fetch: (_: object, request: RestoreItemAction.RestoreRequest<{ readonly mode: string }>) =>
    Effect.as(Effect.logInfo("fetching"), fetched.push(request)),
  transform: () => Result.succeed(undefined),
  encode: (item: RestoreItemAction.RestoreReply["item"]) => ({ item })
}
const action = RestoreItemAction.make(steps)

describe("make", () => {
  it.effect("gives the steps plugin, configuration, Restore and the item as it was backed up", () =>
    Effect.gen(function* () {
      fetched.length = 0
      const reply = yield* Effect.provide(action.execute(call), PluginConfig.layerTest())
      assert.strictEqual(reply.item.bytes, call.item)
      const [request] = fetched
      assert.deepStrictEqual(
        { ...request, itemFromBackup: request?.itemFromBackup.tree },
        { plugin, config: { mode: "fast" }, restore, itemFromBackup: { kind: "Pod", status: { phase: "Running" } } }
      )
      assert.strictEqual(request?.itemFromBackup.bytes, call.itemFromBackup)
      assert.deepStrictEqual(action.selector, { includedResources: ["pods"] })
    })
  )

  it.effect("refuses a malformed item from the backup before it fetches", () =>
    Effect.gen(function* () {
      fetched.length = 0
      const broken = { ...call, itemFromBackup: new Uint8Array() }
      const error = yield* Effect.flip(Effect.provide(action.execute(broken), PluginConfig.layerTest()))
      assert.strictEqual(error._tag, "MalformedItem")
      assert.deepStrictEqual(fetched, [])
    })
  )

  it.effect("names the Restore in the log, and asks for the configuration by it", () =>
    Effect.gen(function* () {
      const log = Fixtures.makeLog()
      const asked: Array<unknown> = []
      yield* action.execute(call).pipe(
        Effect.provide(log.layer),
        Effect.provideService(PluginConfig.PluginConfig, {
          namespace: "velero",
          find: (...args) => Effect.sync(() => (asked.push(args), Option.none()))
        })
      )
      assert.isTrue(log.lines.every((line) => line["restore"] === "velero/again"))
      assert.deepStrictEqual(asked, [["uid-2", plugin, "RestoreItemActionV2"]])
    })
  )

  it("has the operations and the readiness that it was given", () => {
    const operations = { progress: () => Effect.succeed({ completed: true }), cancel: () => Effect.void }
    const areAdditionalItemsReady = () => Effect.succeed(true)
    const complete = RestoreItemAction.make({ ...steps, operations, areAdditionalItemsReady })
    assert.strictEqual(complete.operations, operations)
    assert.strictEqual(complete.areAdditionalItemsReady, areAdditionalItemsReady)
    assert.deepStrictEqual([action.operations, action.areAdditionalItemsReady], [undefined, undefined])
  })
})
