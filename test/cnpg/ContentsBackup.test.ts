import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { action, blockAction } from "../../src/cnpg/ContentsBackup.ts"
import * as Services from "../../src/cnpg/Services.ts"
import type { KubernetesObject } from "../../src/kubernetes/Kubernetes.ts"
import type { Backup } from "../../src/velero/Backup.ts"
import * as PluginConfig from "../../src/velero/PluginConfig.ts"
import {
  archiver,
  assertLine,
  at,
  callsOf,
  cluster,
  makeWorld,
  nightly,
  outside,
  refusal,
  start,
  textOf,
  type Tree
} from "./World.ts"

const cnpg = "postgresql.cnpg.io/v1"

const object = (apiVersion: string, kind: string, name: string, spec: Tree = {}): KubernetesObject => ({
  apiVersion,
  kind,
  metadata: { name, namespace: "shop" },
  spec
})

const orders = cluster({ plugins: [archiver()], superuserSecret: { name: "su" } })
const store = object("barmancloud.cnpg.io/v1", "ObjectStore", "orders-store", {
  configuration: { s3Credentials: { accessKeyId: { name: "s3", key: "id" } } }
})
const companion = (kind: string, name: string, of = "orders") => object(cnpg, kind, name, { cluster: { name: of } })

const everything = [
  store,
  object("v1", "Secret", "su"),
  object("v1", "Secret", "s3"),
  object("v1", "Secret", "orders-app"),
  object("v1", "Secret", "orders-ca"),
  companion("ScheduledBackup", "nightly"),
  companion("ScheduledBackup", "other", "audit"),
  companion("Pooler", "pooler-rw"),
  companion("Database", "reports"),
  companion("Publication", "all-tables"),
  companion("Subscription", "prices"),
  companion("DatabaseRole", "reader")
]

const named = [
  "objectstores.barmancloud.cnpg.io shop/orders-store",
  "secrets shop/su",
  "secrets shop/orders-app",
  "secrets shop/orders-ca",
  "scheduledbackups.postgresql.cnpg.io shop/nightly",
  "poolers.postgresql.cnpg.io shop/pooler-rw",
  "databases.postgresql.cnpg.io shop/reports",
  "publications.postgresql.cnpg.io shop/all-tables",
  "subscriptions.postgresql.cnpg.io shop/prices",
  "databaseroles.postgresql.cnpg.io shop/reader"
]

const selecting = (spec: NonNullable<Backup["spec"]>): Backup => ({ ...nightly, spec })
const byLabel = selecting({ labelSelector: { matchLabels: { app: "shop" } } })
const mustInclude = ["metadata", "annotations", "backup.velero.io/must-include-additional-items"]

describe("what belongs to a Cluster", () => {
  it.effect("goes into the backup with it, as far as it is there", () =>
    Effect.gen(function* () {
      const { process } = yield* start(everything)
      const outcome = yield* process.backUp(action, orders)
      assert.deepStrictEqual(outcome.additionalItems, named)
      assert.isTrue(outcome.isUntouched)
      assert.deepStrictEqual(outcome.lines, [])
    })
  )

  it.effect.each([
    ["by label", byLabel],
    ["by labels", selecting({ orLabelSelectors: [{ matchLabels: { app: "shop" } }] })],
    ["of chosen resources", selecting({ includedResources: ["clusters.postgresql.cnpg.io"] })],
    ["of chosen resources in namespaces", selecting({ includedNamespaceScopedResources: ["clusters"] })]
  ] as const)("goes into a backup %s, whatever that takes, and nothing else of the item changes", ([, backup]) =>
    Effect.gen(function* () {
      const { process } = yield* start(everything)
      const outcome = yield* process.backUp(action, orders, backup)
      assert.deepStrictEqual(outcome.additionalItems, named)
      assert.strictEqual(at(outcome.tree, ...mustInclude), "true")
      assert.deepStrictEqual(outside(outcome.text, [mustInclude]), outside(textOf(orders), [mustInclude]))
    })
  )

  it.effect.each([
    [{ excludedResources: ["secrets", "poolers.postgresql.cnpg.io"] }, "secrets poolers"],
    [
      { excludedNamespaceScopedResources: ["secrets", "poolers"], includedNamespaceScopedResources: ["*"] },
      "secrets poolers"
    ]
  ] as const)("stays out where the user has excluded it: %j", ([spec]) =>
    Effect.gen(function* () {
      const { process } = yield* start(everything)
      const outcome = yield* process.backUp(action, orders, selecting(spec))
      assert.deepStrictEqual(
        outcome.additionalItems,
        named.filter((item) => !/^(secrets|poolers)/.test(item))
      )
      assert.isTrue(outcome.isUntouched)
    })
  )

  it.effect("is looked for once in a backup, and in the next one again", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start(everything)
      yield* process.backUp(action, orders)
      const calls = callsOf(world).length
      yield* process.backUp(action, orders)
      assert.strictEqual(callsOf(world).length, calls)
      yield* process.backUp(action, orders, { metadata: { name: "next", uid: "next" } })
      assert.strictEqual(callsOf(world).length, 2 * calls)
    })
  )

  it.effect("is one block with it", () =>
    Effect.gen(function* () {
      const world = makeWorld(everything)
      const { relatedItems } = yield* blockAction
        .relatedItems({ plugin: "p", item: new TextEncoder().encode(textOf(orders)), backup: nightly })
        .pipe(Effect.provide(Layer.merge(Layer.provide(Services.layer, world.layer), PluginConfig.layerTest())))
      assert.strictEqual(relatedItems.length, named.length)
      assert.deepStrictEqual(relatedItems[0], {
        group: "barmancloud.cnpg.io",
        resource: "objectstores",
        namespace: "shop",
        name: "orders-store"
      })
    })
  )

  it.effect("includes a catalog of the whole cluster, without a namespace", () =>
    Effect.gen(function* () {
      const catalog = { apiVersion: cnpg, kind: "ClusterImageCatalog", metadata: { name: "fleet" } }
      const { process } = yield* start([catalog])
      const item = cluster({
        imageCatalogRef: { apiGroup: "postgresql.cnpg.io", kind: "ClusterImageCatalog", name: "fleet" }
      })
      const outcome = yield* process.backUp(action, item)
      assert.deepStrictEqual(outcome.additionalItems, ["clusterimagecatalogs.postgresql.cnpg.io fleet"])
    })
  )
})

describe("what is missing", () => {
  it.effect("is a warning where nothing can be recovered without it, and is not named to Velero", () =>
    Effect.gen(function* () {
      const { process } = yield* start([])
      const outcome = yield* process.backUp(action, orders)
      assert.deepStrictEqual(outcome.additionalItems, [])
      assertLine(
        outcome.lines,
        "Warn",
        "Cluster shop/orders needs ObjectStore orders-store (its archive)",
        "does not exist"
      )
      const ofStore = yield* process.backUp(action, store)
      assertLine(
        ofStore.lines,
        "Warn",
        "ObjectStore shop/orders-store needs Secret s3 (the credentials of the archive)"
      )
    })
  )

  it.effect("for want of rights is told where it matters: in a selective backup, once", () =>
    Effect.gen(function* () {
      const { process } = yield* start(everything, refusal.forbidden("get", "secrets"))
      const whole = yield* process.backUp(action, orders)
      assert.deepStrictEqual(whole.lines, [])
      const { additionalItems, lines } = yield* process.backUp(action, orders, { ...byLabel, metadata: { uid: "2" } })
      assert.isFalse(additionalItems.some((item) => item.startsWith("secrets")))
      assertLine(lines, "Warn", "Cluster shop/orders: 6 of the objects", "Grant the verb get on secrets")
    })
  )

  it.effect("as a kind that the cluster does not know is nothing", () =>
    Effect.gen(function* () {
      const { process } = yield* start(everything, refusal.unknownKind("postgresql.cnpg.io"))
      const { additionalItems, lines } = yield* process.backUp(action, orders, byLabel)
      assert.deepStrictEqual(additionalItems, named.slice(0, 4))
      assert.deepStrictEqual(lines, [])
    })
  )
})
