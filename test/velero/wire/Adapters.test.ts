import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Kind } from "../../../src/velero/Plugin.ts"
import * as Plugin from "../../../src/velero/Plugin.ts"
import * as Adapters from "../../../src/velero/wire/Adapters.ts"

const load = () => Promise.reject(new Error("nothing is loaded"))

const one: { readonly [K in Kind]: (name: string) => Plugin.Plugin<never> } = {
  BackupItemAction: (name) => Plugin.backupItemAction(name, load),
  BackupItemActionV2: (name) => Plugin.backupItemActionV2(name, load),
  RestoreItemAction: (name) => Plugin.restoreItemAction(name, load),
  RestoreItemActionV2: (name) => Plugin.restoreItemActionV2(name, load),
  DeleteItemAction: (name) => Plugin.deleteItemAction(name, load),
  ItemBlockAction: (name) => Plugin.itemBlockAction(name, load),
  ObjectStore: (name) => Plugin.objectStore(name, load),
  VolumeSnapshotter: (name) => Plugin.volumeSnapshotter(name, load)
}

/** Names of the services of kinds; each is then loaded, and must bear its name. */
const served = (kinds: ReadonlyArray<Kind>) =>
  Effect.gen(function* () {
    const services = Adapters.services(kinds.map((kind, index) => one[kind](`example.io/${index}`)))
    const loaded = yield* Effect.forEach(services, (service) => Effect.promise(service.load))
    const names = services.map(({ name }) => name)
    assert.deepStrictEqual(
      loaded.map(({ definition }) => definition.fullName),
      names
    )
    return names.toSorted()
  })

const backupItemActions = ["generated.BackupItemAction", "v2.BackupItemAction"]
const restoreItemActions = ["generated.RestoreItemAction", "v2.RestoreItemAction"]

describe("services", () => {
  it.effect.each<readonly [kind: Kind, services: ReadonlyArray<string>]>([
    ["BackupItemAction", backupItemActions],
    ["BackupItemActionV2", backupItemActions],
    ["RestoreItemAction", restoreItemActions],
    ["RestoreItemActionV2", restoreItemActions],
    ["DeleteItemAction", ["generated.DeleteItemAction"]],
    ["ItemBlockAction", ["v1.ItemBlockAction"]],
    ["ObjectStore", ["generated.ObjectStore"]],
    ["VolumeSnapshotter", ["generated.VolumeSnapshotter"]]
  ])("are for a %s alone those of its kind, and load no plugin", ([kind, expected]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* served([kind]), expected)
    })
  )

  it.effect("are there once for all plugins of a kind and for both its versions", () =>
    Effect.gen(function* () {
      const every = Object.keys(one) as ReadonlyArray<Kind>
      const expected = [
        ...backupItemActions,
        ...restoreItemActions,
        "generated.DeleteItemAction",
        "generated.ObjectStore",
        "generated.VolumeSnapshotter",
        "v1.ItemBlockAction"
      ].toSorted()
      assert.deepStrictEqual(yield* served(every), expected)
      assert.deepStrictEqual(yield* served([...every, ...every.toReversed()]), expected)
    })
  )

  it.effect("are none for no plugins", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* served([]), [])
    })
  )
})
