import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { DeleteItemActionDefinition as Definition } from "../../../src/generated/velero/delete_item_action.ts"
import * as DeleteItemAction from "../../../src/velero/DeleteItemAction.ts"
import * as Plugin from "../../../src/velero/Plugin.ts"
import { services } from "../../../src/velero/wire/DeleteItemActions.ts"
import * as Fixtures from "../Fixtures.ts"

class Refused extends Data.TaggedError("Refused")<{ readonly message: string }> {}

const plugin = "example.io/a"
const { appliesTo, execute } = Definition.methods

/** An action that writes down for which items of which Backup it was called. */
const served = (deleted: Array<string>) => {
  const action = DeleteItemAction.make({
    selector: { includedNamespaces: ["shop"], excludedResources: ["secrets"], labelSelector: "app=web" },
    decode: Schema.Struct({ kind: Schema.String }),
    fetch: ({ kind }) => (kind === "Secret" ? Effect.fail(new Refused({ message: "no secrets" })) : Effect.void),
    transform: () => Result.succeed(undefined),
    encode: () => ({}),
    commit: (_, { backup, plugin: name }) => Effect.sync(() => deleted.push(`${name} ${backup.metadata?.name}`))
  })
  return services([Plugin.deleteItemAction(plugin, () => Promise.resolve(action))])
}

const item = Fixtures.bytesOf(Fixtures.podText)
const backup = Fixtures.bytesOf('{"kind":"Backup","metadata":{"name":"nightly","namespace":"velero"},"spec":null}')

describe("a delete item action", () => {
  it.effect("tells its selector", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Fixtures.invoke(served([]), Definition, appliesTo, { plugin }), {
        ResourceSelector: {
          includedNamespaces: ["shop"],
          excludedNamespaces: [],
          includedResources: [],
          excludedResources: ["secrets"],
          selector: "app=web"
        }
      })
    }).pipe(Effect.provide(Fixtures.noConfig))
  )

  it.effect("is called with item and Backup, and answers nothing", () =>
    Effect.gen(function* () {
      const deleted: Array<string> = []
      const request = { plugin, item, backup }
      assert.deepStrictEqual(yield* Fixtures.invoke(served(deleted), Definition, execute, request), {})
      assert.deepStrictEqual(deleted, [`${plugin} nightly`])
    }).pipe(Effect.provide(Fixtures.noConfig))
  )

  it.effect.each<readonly [tag: string, change: { plugin?: string; item?: string; backup?: string }, message: string]>([
    ["Refused", { item: '{"kind":"Secret"}' }, "no secrets"],
    ["UnreadableItem", { item: '{"metadata":{"name":"web"}}' }, `${plugin} cannot read item web`],
    ["MalformedItem", { item: "" }, "the item is not a Kubernetes object in JSON: it is empty"],
    ["MalformedOwner", { backup: "" }, "the Velero Backup that came with the call cannot be read"],
    [
      "UnknownPlugin",
      { plugin: "example.io/b" },
      "DeleteItemAction plugin: example.io/b was not found or has an invalid name format"
    ]
  ])("fails with %s for %j, and does nothing", ([tag, change, message]) =>
    Effect.gen(function* () {
      const deleted: Array<string> = []
      const error = yield* Effect.flip(
        Fixtures.invoke(served(deleted), Definition, execute, {
          plugin: change.plugin ?? plugin,
          item: change.item === undefined ? item : Fixtures.bytesOf(change.item),
          backup: change.backup === undefined ? backup : Fixtures.bytesOf(change.backup)
        })
      )
      assert.strictEqual(error._tag, tag)
      assert.include(error.message, message)
      assert.deepStrictEqual(deleted, [])
    }).pipe(Effect.provide(Fixtures.noConfig))
  )
})
