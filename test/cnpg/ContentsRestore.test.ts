import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { action } from "../../src/cnpg/ContentsRestore.ts"
import * as Services from "../../src/cnpg/Services.ts"
import type { KubernetesObject } from "../../src/kubernetes/Kubernetes.ts"
import {
  archiver,
  assertLine,
  at,
  cluster,
  makeWorld,
  outside,
  refusal,
  restoreOf,
  start,
  stripped,
  textOf,
  type Tree
} from "./World.ts"

const object = (
  apiVersion: string,
  kind: string,
  name: string,
  namespace: string,
  spec: Tree = {}
): KubernetesObject => ({
  apiVersion,
  kind,
  metadata: { name, namespace },
  spec
})

const store = (namespace: string) =>
  object("barmancloud.cnpg.io/v1", "ObjectStore", "orders-store", namespace, {
    configuration: { s3Credentials: { accessKeyId: { name: "s3", key: "id" } } }
  })

const orders = cluster({ plugins: [archiver()] })
const moved = restoreOf("moved", { shop: "shop-2" })
const update = (mapping: Readonly<Record<string, string>>) => {
  const restore = restoreOf("r", mapping)
  return { ...restore, spec: { ...restore.spec, existingResourcePolicy: "update" } }
}

describe("what a Cluster refers to", () => {
  it.effect("is restored before it where it is not there yet, by its original namespace", () =>
    Effect.gen(function* () {
      // The one in the old namespace does not count.
      const { process } = yield* start([store("shop")])
      const outcome = yield* process.restore(action, orders, moved)
      assert.deepStrictEqual(outcome.additionalItems, ["objectstores.barmancloud.cnpg.io shop/orders-store"])
      assertLine(
        outcome.lines,
        "Info",
        "Cluster shop/orders needs ObjectStore orders-store (its archive), which is not in namespace shop-2 yet"
      )
      assert.isTrue(outcome.isUntouched)
    })
  )

  it.effect("is of no interest where it is there", () =>
    Effect.gen(function* () {
      const { process } = yield* start([store("shop-2")])
      const outcome = yield* process.restore(action, orders, moved)
      assert.deepStrictEqual(outcome.additionalItems, [])
      assert.deepStrictEqual(outcome.lines, [])
    })
  )

  it.effect("and cannot come any more is a warning, if nothing can be recovered without it", () =>
    Effect.gen(function* () {
      const { process } = yield* start([])
      const outcome = yield* process.restore(action, store("shop"), moved)
      assertLine(outcome.lines, "Warn", "ObjectStore shop/orders-store needs Secret s3", "create it")
    })
  )

  it.effect("and is merely useful is an info", () =>
    Effect.gen(function* () {
      const { process } = yield* start([])
      const outcome = yield* process.restore(action, cluster({ superuserSecret: { name: "su" } }))
      assertLine(outcome.lines, "Info", "needs Secret su (the superuser's password)")
    })
  )

  it.effect("is no reason to fail where nothing tells whether it is there", () =>
    Effect.gen(function* () {
      const { process } = yield* start([], refusal.forbidden())
      const outcome = yield* process.restore(action, orders, moved)
      assert.deepStrictEqual(outcome.additionalItems, [])
      assert.isTrue(outcome.isUntouched)
    })
  )

  it.effect("is ready when it is where the Cluster lands", () =>
    Effect.gen(function* () {
      const additionalItems = [
        { group: "barmancloud.cnpg.io", resource: "objectstores", namespace: "shop", name: "orders-store" },
        { group: "example.com", resource: "things", namespace: "shop", name: "unknown" }
      ]
      const { areAdditionalItemsReady } = action
      assert.isDefined(areAdditionalItemsReady)
      if (areAdditionalItemsReady === undefined) return
      const isReady = (objects: ReadonlyArray<KubernetesObject>) =>
        areAdditionalItemsReady({ plugin: "p", restore: moved, additionalItems }).pipe(
          Effect.provide(Layer.provideMerge(Services.layer, makeWorld(objects).layer))
        )
      assert.strictEqual(yield* isReady([store("shop")]), false)
      assert.strictEqual(yield* isReady([store("shop-2")]), true)
    })
  )
})

describe("hosts", () => {
  const item = cluster({
    certificates: { serverAltDNSNames: ["db.example.com", "orders-rw.shop.svc"] },
    externalClusters: [
      { name: "a", connectionParameters: { host: "audit-rw.ledger.svc.cluster.local", port: "1e3", user: "shop" } },
      { name: "b", connectionParameters: { host: "x.shop,y.elsewhere" } },
      { name: "c", connectionParameters: { host: "db.example.com" } },
      { name: "d" }
    ]
  })
  const restore = restoreOf("moved", { shop: "shop-2", ledger: "ledger-2" })
  const owned = [
    ["spec", "certificates", "serverAltDNSNames", 1],
    ["spec", "externalClusters", 0, "connectionParameters", "host"],
    ["spec", "externalClusters", 1, "connectionParameters", "host"]
  ]

  it.effect("of mapped namespaces are mapped, each with a line, and nothing else changes", () =>
    Effect.gen(function* () {
      const { process } = yield* start([])
      const outcome = yield* process.restore(action, item, restore)
      assert.deepStrictEqual(
        owned.map((path) => at(outcome.tree, ...path)),
        ["orders-rw.shop-2.svc", "audit-rw.ledger-2.svc.cluster.local", "x.shop-2,y.elsewhere"]
      )
      assert.deepStrictEqual(outside(outcome.text, owned), outside(stripped(textOf(item)), owned))
      assert.strictEqual(outcome.lines.length, 3)
      assertLine(
        outcome.lines.slice(0, 1),
        "Info",
        "spec.externalClusters.0.connectionParameters.host is audit-rw.ledger-2"
      )
    })
  )

  it.effect("stay where nothing is mapped", () =>
    Effect.gen(function* () {
      const { process } = yield* start([])
      assert.isTrue((yield* process.restore(action, item)).isUntouched)
    })
  )

  it.effect("stay in a Cluster that lives and would be overwritten", () =>
    Effect.gen(function* () {
      const { process } = yield* start([cluster({}, { namespace: "shop-2" })])
      const outcome = yield* process.restore(action, item, update({ shop: "shop-2", ledger: "ledger-2" }))
      assert.isTrue(outcome.isUntouched)
      assert.deepStrictEqual(outcome.lines, [])
    })
  )
})

describe("Velero's annotation of additional items", () => {
  it.effect("has done its work and goes", () =>
    Effect.gen(function* () {
      const key = "backup.velero.io/must-include-additional-items"
      const { process } = yield* start([])
      const item = cluster({}, { annotations: { [key]: "true", other: "1" } })
      const outcome = yield* process.restore(action, item)
      assert.deepStrictEqual(at(outcome.tree, "metadata", "annotations"), { other: "1" })
    })
  )
})
