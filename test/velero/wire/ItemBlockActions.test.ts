import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { ItemBlockActionDefinition as Definition } from "../../../src/generated/velero/item_block_action.ts"
import * as ItemBlockAction from "../../../src/velero/ItemBlockAction.ts"
import * as Plugin from "../../../src/velero/Plugin.ts"
import type { ResourceIdentifier } from "../../../src/velero/Resources.ts"
import { services } from "../../../src/velero/wire/ItemBlockActions.ts"
import * as Fixtures from "../Fixtures.ts"

class Refused extends Data.TaggedError("Refused")<{ readonly message: string }> {}

const plugin = "example.io/a"
const { appliesTo, getRelatedItems } = Definition.methods

const served = (relatedItems: ReadonlyArray<ResourceIdentifier>) => {
  const action = ItemBlockAction.make({
    selector: { includedResources: ["pods"], excludedNamespaces: ["kube-system"], labelSelector: "app=web" },
    decode: Schema.Struct({ kind: Schema.String }),
    fetch: ({ kind }) => (kind === "Secret" ? Effect.fail(new Refused({ message: "no secrets" })) : Effect.void),
    transform: () => Result.succeed(undefined),
    encode: () => ({ relatedItems })
  })
  return services([Plugin.itemBlockAction(plugin, () => Promise.resolve(action))])
}

const item = Fixtures.bytesOf(Fixtures.podText)
const backup = Fixtures.bytesOf('{"kind":"Backup","metadata":{"name":"nightly","namespace":"velero"},"spec":null}')

describe("an item block action", () => {
  it.effect("tells its selector", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Fixtures.invoke(served([]), Definition, appliesTo, { plugin }), {
        ResourceSelector: {
          includedNamespaces: [],
          excludedNamespaces: ["kube-system"],
          includedResources: ["pods"],
          excludedResources: [],
          selector: "app=web"
        }
      })
    }).pipe(Effect.provide(Fixtures.noConfig))
  )

  it.effect("answers the related items in their order, or none", () =>
    Effect.gen(function* () {
      const related = [
        { group: "", resource: "secrets", namespace: "shop", name: "b" },
        { group: "apps", resource: "deployments", namespace: "shop", name: "a" },
        { group: "", resource: "persistentvolumes", namespace: "", name: "pv-1" }
      ]
      const request = { plugin, item, backup }
      for (const relatedItems of [related, []]) {
        const answer = yield* Fixtures.invoke(served(relatedItems), Definition, getRelatedItems, request)
        assert.deepStrictEqual(answer, { relatedItems })
      }
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
      "ItemBlockAction plugin: example.io/b was not found or has an invalid name format"
    ]
  ])("fails with %s for %j", ([tag, change, message]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Fixtures.invoke(served([]), Definition, getRelatedItems, {
          plugin: change.plugin ?? plugin,
          item: change.item === undefined ? item : Fixtures.bytesOf(change.item),
          backup: change.backup === undefined ? backup : Fixtures.bytesOf(change.backup)
        })
      )
      assert.strictEqual(error._tag, tag)
      assert.include(error.message, message)
    }).pipe(Effect.provide(Fixtures.noConfig))
  )
})
