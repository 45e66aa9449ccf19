import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Backup } from "../../src/velero/Backup.ts"
import * as BackupItemAction from "../../src/velero/BackupItemAction.ts"
import * as PluginConfig from "../../src/velero/PluginConfig.ts"
import * as Fixtures from "./Fixtures.ts"

const backup: Backup = { metadata: { name: "nightly", namespace: "velero", uid: "uid-1" } }
const plugin = "example.io/a"
const call = { plugin, kind: "BackupItemActionV2", item: Fixtures.bytesOf(Fixtures.podText), backup }

const action = BackupItemAction.make({
  selector: { includedResources: ["pods"] },
  config: Schema.Struct({ mode: Schema.String.pipe(Schema.withDecodingDefaultKey(Effect.succeed("fast"))) }),
  decode: Schema.Struct({ kind: Schema.String }),
  fetch: ({ kind }, request) => Effect.as(Effect.logInfo("fetching"), { kind, request }),
  transform: (_, facts) => Result.succeed(facts),
  // The decision travels in the reply, for the test to see.
  encode: (item, { kind, request }) => ({ item, operationId: JSON.stringify({ kind, request }) })
})

describe("make", () => {
  it.effect("gives the steps plugin, configuration and Backup", () =>
    Effect.gen(function* () {
      const reply = yield* Effect.provide(action.execute(call), PluginConfig.layerTest())
      assert.strictEqual(reply.item.bytes, call.item)
      assert.deepStrictEqual(JSON.parse(reply.operationId ?? ""), {
        kind: "Pod",
        request: { plugin, config: { mode: "fast" }, backup }
      })
      assert.deepStrictEqual(action.selector, { includedResources: ["pods"] })
    })
  )

  it.effect("names the Backup in the log, and asks for the configuration by it", () =>
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
      assert.isTrue(log.lines.every((line) => line["backup"] === "velero/nightly"))
      assert.deepStrictEqual(asked, [["uid-1", plugin, "BackupItemActionV2"]])
    })
  )

  it("has the operations that it was given", () => {
    const operations = { progress: () => Effect.succeed({ completed: true }), cancel: () => Effect.void }
    const steps = {
      selector: {},
      decode: Schema.Unknown,
      fetch: () => Effect.void,
      transform: () => Result.succeed(undefined),
      encode: (item: BackupItemAction.BackupReply["item"]) => ({ item })
    }
    assert.strictEqual(BackupItemAction.make({ ...steps, operations }).operations, operations)
    assert.strictEqual(BackupItemAction.make(steps).operations, undefined)
  })
})
