import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { RestoreItemActionDefinition as V1 } from "../../../src/generated/velero/restore_item_action_v1.ts"
import { RestoreItemActionDefinition as V2 } from "../../../src/generated/velero/restore_item_action_v2.ts"
import * as Items from "../../../src/velero/Item.ts"
import * as Json from "../../../src/velero/Json.ts"
import * as Plugin from "../../../src/velero/Plugin.ts"
import * as PluginConfig from "../../../src/velero/PluginConfig.ts"
import type { ReadyRequest, RestoreOperations, RestoreReply } from "../../../src/velero/RestoreItemAction.ts"
import * as RestoreItemAction from "../../../src/velero/RestoreItemAction.ts"
import { services } from "../../../src/velero/wire/RestoreItemActions.ts"
import * as Fixtures from "../Fixtures.ts"

class Refused extends Data.TaggedError("Refused")<{ readonly message: string }> {}

const plugin = "example.io/a"
const claim = { group: "", resource: "persistentvolumeclaims", namespace: "shop", name: "data" }

interface Others {
  readonly operations?: RestoreOperations<never>
  readonly areAdditionalItemsReady?: (request: ReadyRequest) => Effect.Effect<boolean, Refused>
}

/** One action under the same name in both versions. */
const served = (encode: (item: Items.Item, phase: string) => RestoreReply, others: Others = {}) => {
  const action = RestoreItemAction.make({
    selector: { includedNamespaces: ["shop"], excludedResources: ["events"] },
    config: Schema.Struct({}),
    decode: Schema.Struct({ kind: Schema.String }),
    fetch: ({ kind }, { itemFromBackup }) =>
      kind === "Secret"
        ? Effect.fail(new Refused({ message: "no secrets" }))
        : Effect.succeed(JSON.stringify(itemFromBackup.tree["status"])),
    transform: (_, phase) => Result.succeed(phase),
    encode,
    ...others
  })
  const load = () => Promise.resolve(action)
  return services([Plugin.restoreItemAction(plugin, load), Plugin.restoreItemActionV2(plugin, load)])
}
const unchanged = served((item) => ({ item }))

const item = Fixtures.bytesOf(Fixtures.podText)
const itemFromBackup = Fixtures.bytesOf('{"kind":"Pod","status":{"phase":"Running"}}')
const restore = Fixtures.bytesOf('{"kind":"Restore","metadata":{"name":"again","namespace":"velero","uid":"u"}}')
const request = { plugin, item, itemFromBackup, restore }
const decodedRestore = { metadata: { name: "again", namespace: "velero", uid: "u" } }

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
          includedNamespaces: ["shop"],
          excludedNamespaces: [],
          includedResources: [],
          excludedResources: ["events"],
          selector: ""
        }
      })
    }).pipe(Effect.provide(PluginConfig.layerTest()))
  )

  it.effect("answers an unchanged item with the very bytes that came", () =>
    Effect.gen(function* () {
      const answer = yield* Fixtures.invoke(unchanged, { fullName }, execute, request)
      assert.strictEqual(answer.item, item)
      assert.deepStrictEqual([answer.additionalItems, answer.skipRestore], [[], false])
    }).pipe(Effect.provide(PluginConfig.layerTest()))
  )

  it.effect("answers a changed item and its additional items, from what was backed up", () =>
    Effect.gen(function* () {
      const changing = served((given, phase) => ({
        item: Items.patch(given, [Json.set(["metadata", "annotations", "was"], phase)]),
        additionalItems: [claim]
      }))
      const answer = yield* Fixtures.invoke(changing, { fullName }, execute, request)
      assert.include(Fixtures.textOf(answer.item), String.raw`"was":"{\"phase\":\"Running\"}"`)
      assert.deepStrictEqual(answer.additionalItems, [claim])
    }).pipe(Effect.provide(PluginConfig.layerTest()))
  )

  it.effect("sends the item along even where it is left out: Velero reads it all the same", () =>
    Effect.gen(function* () {
      const skipping = served((given) => ({ item: given, skip: true }))
      const answer = yield* Fixtures.invoke(skipping, { fullName }, execute, request)
      assert.deepStrictEqual([answer.skipRestore, answer.item], [true, item])
    }).pipe(Effect.provide(PluginConfig.layerTest()))
  )

  it.effect.each<readonly [tag: string, change: Readonly<Record<string, string>>, message: string]>([
    ["Refused", { item: '{"kind":"Secret"}' }, "no secrets"],
    ["UnreadableItem", { item: '{"metadata":{"name":"web"}}' }, `${plugin} cannot read item web`],
    ["MalformedItem", { item: "" }, "the item is not a Kubernetes object in JSON: it is empty"],
    ["MalformedItem", { itemFromBackup: "[]" }, "the item is not a Kubernetes object in JSON: the JSON is no object"],
    ["MalformedOwner", { restore: "" }, "the Velero Restore that came with the call cannot be read"],
    ["MalformedOwner", { restore: '{"spec":{"namespaceMapping":{"a":1}}}' }, `["namespaceMapping"]["a"]`]
  ])("fails with %s for %j", ([tag, change, message]) =>
    Effect.gen(function* () {
      const changed = Object.fromEntries(Object.entries(change).map(([key, text]) => [key, Fixtures.bytesOf(text)]))
      const error = yield* Effect.flip(Fixtures.invoke(unchanged, { fullName }, execute, { ...request, ...changed }))
      assert.strictEqual(error._tag, tag)
      assert.include(error.message, message)
    }).pipe(Effect.provide(PluginConfig.layerTest()))
  )

  it.effect("fails for a plugin that nobody has registered", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Fixtures.invoke(unchanged, { fullName }, execute, { ...request, plugin: "example.io/b" })
      )
      assert.include(error.message, "plugin: example.io/b was not found or has an invalid name format")
    }).pipe(Effect.provide(PluginConfig.layerTest()))
  )

  it.effect("asks for the configuration of its kind", () =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      yield* Fixtures.invoke(unchanged, { fullName }, execute, request).pipe(
        Effect.provideService(PluginConfig.PluginConfig, {
          namespace: "velero",
          find: (owner, name, kind) => Effect.sync(() => (asked.push(owner, name, kind), Option.none()))
        })
      )
      assert.deepStrictEqual(asked, ["u", plugin, definition === V1 ? "RestoreItemAction" : "RestoreItemActionV2"])
    })
  )
})

describe("v2", () => {
  const { areAdditionalItemsReady, cancel, execute, progress } = V2.methods
  const operation = { plugin, operationID: "op-1", restore }

  it.effect.each<readonly [name: string, reply: Omit<RestoreReply, "item">, answer: object]>([
    ["nothing", {}, { waitForAdditionalItems: false, additionalItemsReadyTimeout: undefined, operationID: "" }],
    ["an operation", { operationId: "op-1" }, { operationID: "op-1" }],
    [
      "to wait for Velero's time",
      { waitForAdditionalItems: {} },
      { waitForAdditionalItems: true, additionalItemsReadyTimeout: undefined }
    ],
    [
      "to wait for a time of its own",
      { waitForAdditionalItems: { timeout: Duration.millis(90_500) } },
      { waitForAdditionalItems: true, additionalItemsReadyTimeout: { seconds: 90n, nanos: 500_000_000 } }
    ],
    [
      "to wait for parts of a millisecond",
      { waitForAdditionalItems: { timeout: Duration.nanos(1_999_999_999n) } },
      { waitForAdditionalItems: true, additionalItemsReadyTimeout: { seconds: 1n, nanos: 999_000_000 } }
    ]
  ])("answers %s", ([, reply, expected]) =>
    Effect.gen(function* () {
      const answer = yield* Fixtures.invoke(
        served((given) => ({ item: given, ...reply })),
        V2,
        execute,
        request
      )
      assert.deepInclude(answer, expected as Partial<typeof answer>)
    }).pipe(Effect.provide(PluginConfig.layerTest()))
  )

  it.effect("asks about operations, and gives them up, by their id and Restore", () =>
    Effect.gen(function* () {
      const asked: Array<unknown> = []
      const operations = served((given) => ({ item: given }), {
        operations: {
          progress: (about) =>
            Effect.sync(() => {
              asked.push(about)
              return { completed: true, error: "no space" }
            }),
          cancel: (about) => Effect.sync(() => asked.push(about))
        }
      })
      const answer = yield* Fixtures.invoke(operations, V2, progress, operation)
      assert.include(answer.progress, { completed: true, err: "no space" })
      assert.deepStrictEqual(yield* Fixtures.invoke(operations, V2, cancel, operation), {})
      const about = { plugin, operationId: "op-1", restore: decodedRestore }
      assert.deepStrictEqual(asked, [about, about])
    }).pipe(Effect.provide(PluginConfig.layerTest()))
  )

  it.effect("knows no operation of an action that has none", () =>
    Effect.gen(function* () {
      const asked = Fixtures.invoke(unchanged, V2, progress, operation)
      const cancelled = Fixtures.invoke(unchanged, V2, cancel, operation)
      assert.strictEqual((yield* Effect.flip(asked)).message, "operation ID op-1 is invalid")
      assert.strictEqual((yield* Effect.flip(cancelled)).message, "operation ID op-1 is invalid")
    }).pipe(Effect.provide(PluginConfig.layerTest()))
  )

  const about = { plugin, restore, additionalItems: [claim] }
  it.effect("asks whether additional items are ready", () =>
    Effect.gen(function* () {
      for (const ready of [true, false]) {
        const asked: Array<unknown> = []
        const waiting = served((given) => ({ item: given }), {
          areAdditionalItemsReady: (asking) => Effect.sync(() => (asked.push(asking), ready))
        })
        assert.deepStrictEqual(yield* Fixtures.invoke(waiting, V2, areAdditionalItemsReady, about), { ready })
        assert.deepStrictEqual(asked, [{ plugin, restore: decodedRestore, additionalItems: [claim] }])
      }
    }).pipe(Effect.provide(PluginConfig.layerTest()))
  )

  it.effect("says ready at once for an action that does not care", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Fixtures.invoke(unchanged, V2, areAdditionalItemsReady, about), { ready: true })
    }).pipe(Effect.provide(PluginConfig.layerTest()))
  )

  it.effect("fails where readiness cannot be told", () =>
    Effect.gen(function* () {
      const failing = served((given) => ({ item: given }), {
        areAdditionalItemsReady: () => Effect.fail(new Refused({ message: "no cluster" }))
      })
      const error = yield* Effect.flip(Fixtures.invoke(failing, V2, areAdditionalItemsReady, about))
      assert.strictEqual(error.message, "no cluster")
    }).pipe(Effect.provide(PluginConfig.layerTest()))
  )
})
