import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { BackupItemActionDefinition as V1 } from "../../../src/generated/velero/backup_item_action_v1.ts"
import { BackupItemActionDefinition as V2 } from "../../../src/generated/velero/backup_item_action_v2.ts"
import type { BackupOperations, BackupReply } from "../../../src/velero/BackupItemAction.ts"
import * as BackupItemAction from "../../../src/velero/BackupItemAction.ts"
import * as Items from "../../../src/velero/Item.ts"
import * as Json from "../../../src/velero/Json.ts"
import * as Plugin from "../../../src/velero/Plugin.ts"
import * as PluginConfig from "../../../src/velero/PluginConfig.ts"
import { services } from "../../../src/velero/wire/BackupItemActions.ts"
import * as Fixtures from "../Fixtures.ts"

class Refused extends Data.TaggedError("Refused")<{ readonly message: string }> {}

const plugin = "example.io/a"
const claim = { group: "", resource: "persistentvolumeclaims", namespace: "shop", name: "data" }

/** One action under the same name in both versions. */
const served = (encode: (item: Items.Item) => BackupReply, operations?: BackupOperations<never>) => {
  const action = BackupItemAction.make({
    selector: { includedResources: ["pods"], excludedNamespaces: ["kube-system"], labelSelector: "app=web" },
    config: Schema.Struct({}),
    decode: Schema.Struct({ kind: Schema.String }),
    fetch: ({ kind }) => (kind === "Secret" ? Effect.fail(new Refused({ message: "no secrets" })) : Effect.void),
    transform: () => Result.succeed(undefined),
    encode,
    ...(operations === undefined ? {} : { operations })
  })
  const load = () => Promise.resolve(action)
  return services([Plugin.backupItemAction(plugin, load), Plugin.backupItemActionV2(plugin, load)])
}
const unchanged = served((item) => ({ item }))

const item = Fixtures.bytesOf(Fixtures.podText)
const backup = Fixtures.bytesOf(
  '{"kind":"Backup","metadata":{"name":"nightly","namespace":"velero","uid":"u"},"spec":null}'
)
const operation = { plugin, operationID: "op-1", backup }

describe.each([
  ["v1", V1],
  ["v2", V2]
] as const)("%s", (_, definition) => {
  const { fullName } = definition
  const { appliesTo, execute } = definition.methods as typeof V1.methods

  it.effect("tells the selector", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Fixtures.invoke(unchanged, { fullName }, appliesTo, { plugin }), {
        ResourceSelector: {
          includedNamespaces: [],
          excludedNamespaces: ["kube-system"],
          includedResources: ["pods"],
          excludedResources: [],
          selector: "app=web"
        }
      })
    }).pipe(Effect.provide(PluginConfig.layerTest()))
  )

  it.effect("answers an unchanged item with the very bytes that came", () =>
    Effect.gen(function* () {
      const answer = yield* Fixtures.invoke(unchanged, { fullName }, execute, { plugin, item, backup })
      assert.strictEqual(answer.item, item)
      assert.deepStrictEqual(answer.additionalItems, [])
    }).pipe(Effect.provide(PluginConfig.layerTest()))
  )

  it.effect("answers a changed item and its additional items", () =>
    Effect.gen(function* () {
      const changing = served((given) => ({
        item: Items.patch(given, [Json.set(["metadata", "labels", "a"], "b")]),
        additionalItems: [claim]
      }))
      const answer = yield* Fixtures.invoke(changing, { fullName }, execute, { plugin, item, backup })
      assert.strictEqual(
        Fixtures.textOf(answer.item),
        Fixtures.podText.replace('"name":"web"', '"name":"web","labels":{"a":"b"}')
      )
      assert.deepStrictEqual(answer.additionalItems, [claim])
    }).pipe(Effect.provide(PluginConfig.layerTest()))
  )

  it.effect.each<readonly [tag: string, change: { plugin?: string; item?: string; backup?: string }, message: string]>([
    ["Refused", { item: '{"kind":"Secret"}' }, "no secrets"],
    ["UnreadableItem", { item: '{"metadata":{"name":"web"}}' }, `${plugin} cannot read item web`],
    ["MalformedItem", { item: "" }, "the item is not a Kubernetes object in JSON: it is empty"],
    ["MalformedOwner", { backup: "" }, "the Velero Backup that came with the call cannot be read"],
    ["MalformedOwner", { backup: '{"metadata":{"name":5}}' }, `["metadata"]["name"]`],
    ["UnknownPlugin", { plugin: "example.io/b" }, "plugin: example.io/b was not found or has an invalid name format"]
  ])("fails with %s for %j", ([tag, change, message]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Fixtures.invoke(unchanged, { fullName }, execute, {
          plugin: change.plugin ?? plugin,
          item: change.item === undefined ? item : Fixtures.bytesOf(change.item),
          backup: change.backup === undefined ? backup : Fixtures.bytesOf(change.backup)
        })
      )
      assert.strictEqual(error._tag, tag)
      assert.include(error.message, message)
    }).pipe(Effect.provide(PluginConfig.layerTest()))
  )

  it.effect("asks for the configuration of its kind", () =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      yield* Fixtures.invoke(unchanged, { fullName }, execute, { plugin, item, backup }).pipe(
        Effect.provideService(PluginConfig.PluginConfig, {
          namespace: "velero",
          find: (owner, name, kind) => Effect.sync(() => (asked.push(owner, name, kind), Option.none()))
        })
      )
      assert.deepStrictEqual(asked, ["u", plugin, definition === V1 ? "BackupItemAction" : "BackupItemActionV2"])
    })
  )
})

describe("v2's operations", () => {
  const { cancel, execute, progress } = V2.methods

  it.effect("start with a reply", () =>
    Effect.gen(function* () {
      const starting = served((given) => ({ item: given, operationId: "op-1", postOperationItems: [claim] }))
      const answer = yield* Fixtures.invoke(starting, V2, execute, { plugin, item, backup })
      assert.deepStrictEqual([answer.operationID, answer.postOperationItems], ["op-1", [claim]])
      const none = yield* Fixtures.invoke(unchanged, V2, execute, { plugin, item, backup })
      assert.deepStrictEqual([none.operationID, none.postOperationItems], ["", []])
    }).pipe(Effect.provide(PluginConfig.layerTest()))
  )

  it.effect("are asked about and given up by their id and Backup", () =>
    Effect.gen(function* () {
      const asked: Array<unknown> = []
      const operations = served((given) => ({ item: given }), {
        progress: (request) =>
          Effect.sync(() => {
            asked.push(request)
            return { completed: false, done: 1n, total: 2n, units: "items", updated: DateTime.makeUnsafe(1500) }
          }),
        cancel: (request) => Effect.sync(() => asked.push(request))
      })
      const answer = yield* Fixtures.invoke(operations, V2, progress, operation)
      assert.include(answer.progress, { completed: false, nCompleted: 1n, nTotal: 2n, operationUnits: "items" })
      assert.deepStrictEqual(answer.progress?.updated, { seconds: 1n, nanos: 500_000_000 })
      assert.deepStrictEqual(yield* Fixtures.invoke(operations, V2, cancel, operation), {})
      const request = {
        plugin,
        operationId: "op-1",
        backup: { metadata: { name: "nightly", namespace: "velero", uid: "u" }, spec: null }
      }
      assert.deepStrictEqual(asked, [request, request])
    }).pipe(Effect.provide(PluginConfig.layerTest()))
  )

  it.effect("say in the log who speaks", () => {
    const log = Fixtures.makeLog()
    const operations = served((given) => ({ item: given }), {
      progress: () => Effect.as(Effect.logInfo("half way"), { completed: false }),
      cancel: () => Effect.logInfo("given up")
    })
    return Effect.gen(function* () {
      yield* Fixtures.invoke(operations, V2, progress, operation)
      yield* Fixtures.invoke(operations, V2, cancel, operation)
      assert.deepStrictEqual(
        log.lines.map(({ "@message": message, logSource }) => [message, logSource]),
        [
          ["half way", `${plugin}:progress`],
          ["given up", `${plugin}:cancel`]
        ]
      )
    }).pipe(Effect.provide(Layer.mergeAll(PluginConfig.layerTest(), log.layer)))
  })

  it.effect("are invalid where the action has none, and fail as they do", () =>
    Effect.gen(function* () {
      const refused = Effect.fail(new Refused({ message: "gone" }))
      const failing = served((given) => ({ item: given }), { progress: () => refused, cancel: () => refused })
      for (const method of [progress, cancel] as const) {
        const invoke = (from: typeof unchanged, change: object = {}) =>
          Effect.flip(Fixtures.invoke(from, V2, method as typeof progress, { ...operation, ...change }))
        assert.strictEqual((yield* invoke(unchanged)).message, "operation ID op-1 is invalid")
        assert.strictEqual((yield* invoke(failing)).message, "gone")
        assert.strictEqual((yield* invoke(failing, { plugin: "example.io/b" }))._tag, "UnknownPlugin")
        assert.strictEqual((yield* invoke(failing, { backup: new Uint8Array() }))._tag, "MalformedOwner")
      }
    }).pipe(Effect.provide(PluginConfig.layerTest()))
  )
})
