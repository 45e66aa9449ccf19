import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { KubernetesObject, Resource, Selection } from "../../src/kubernetes/Kubernetes.ts"
import { Kubernetes, resources } from "../../src/kubernetes/Kubernetes.ts"
import * as Memory from "../../src/kubernetes/Memory.ts"
import { cluster, clusters, configMap } from "./support.ts"

const { configMaps } = resources
const options = { fieldManager: "test", force: true }
const { rawJSON } = JSON as unknown as { readonly rawJSON: (text: string) => unknown }

const names = (selection: Selection) =>
  Kubernetes.use((kubernetes) =>
    kubernetes.fold(
      configMaps,
      selection,
      (): ReadonlyArray<string> => [],
      (found, { metadata }) => [...found, `${metadata?.namespace}/${metadata?.name}`]
    )
  )

describe("memory", () => {
  it.effect("shows what is in it, in the order in which it came", () =>
    Effect.gen(function* () {
      const memory = Memory.make([configMap("b"), cluster("a")])
      yield* Effect.gen(function* () {
        const kubernetes = yield* Kubernetes
        yield* kubernetes.apply(configMaps, configMap("a"), options)
        yield* kubernetes.apply(configMaps, configMap("b", { x: "1" }), options)
      }).pipe(Effect.provide(memory.layer))
      assert.deepStrictEqual(memory.objects(), [configMap("b", { x: "1" }), cluster("a"), configMap("a")])
    })
  )

  it.effect("lists in the order of an API server", () =>
    Effect.gen(function* () {
      const objects = [
        configMap("b"),
        configMap("a", {}, { namespace: "shop-2" }),
        configMap("a"),
        configMap("c", {}, { namespace: "at" })
      ]
      const found = yield* Effect.provide(names({}), Memory.layer(objects))
      assert.deepStrictEqual(found, ["at/c", "shop-2/a", "shop/a", "shop/b"])
    })
  )

  it.effect("merges what is applied, deeply, and replaces lists", () =>
    Effect.gen(function* () {
      const memory = Memory.make([cluster("orders", { a: { b: 1, c: [1, 2] }, d: null, e: 5 })])
      yield* Kubernetes.use((kubernetes) =>
        kubernetes.apply(clusters, cluster("orders", { a: { c: [3], d: { e: 1 } }, d: { x: 1 } }), options)
      ).pipe(Effect.provide(memory.layer))
      assert.deepStrictEqual(memory.objects()[0]?.["spec"], { a: { b: 1, c: [3], d: { e: 1 } }, d: { x: 1 }, e: 5 })
    })
  )

  it.effect("keeps the spelling of numbers when it merges", () =>
    Effect.gen(function* () {
      const memory = Memory.make([
        cluster("orders", { a: rawJSON("1.0"), b: rawJSON("9007199254740993"), c: { d: 1 } })
      ])
      yield* Kubernetes.use((kubernetes) =>
        kubernetes.apply(clusters, cluster("orders", { a: rawJSON("2.0"), c: rawJSON("3.0") }), options)
      ).pipe(Effect.provide(memory.layer))
      assert.strictEqual(JSON.stringify(memory.objects()[0]?.["spec"]), `{"a":2.0,"b":9007199254740993,"c":3.0}`)
    })
  )

  it.effect("does not change the objects that it was given", () =>
    Effect.gen(function* () {
      const given = cluster("orders", { a: { b: 1 } })
      const kubernetes = yield* Effect.provide(Kubernetes, Memory.layer([given]))
      yield* kubernetes.apply(clusters, cluster("orders", { a: { c: 2 } }), options)
      assert.deepStrictEqual(given, cluster("orders", { a: { b: 1 } }))
    })
  )

  it.effect("tells kinds and groups apart", () =>
    Effect.gen(function* () {
      const stranger: KubernetesObject = { ...cluster("orders"), apiVersion: "example.io/v1" }
      const kubernetes = yield* Effect.provide(Kubernetes, Memory.layer([stranger, configMap("orders")]))
      const error = yield* Effect.flip(kubernetes.get(clusters, "shop", "orders"))
      assert.strictEqual(error._tag, "NotFound")
      assert.strictEqual(error.message, "clusters.postgresql.cnpg.io shop/orders: not found")
      assert.strictEqual((yield* kubernetes.get(configMaps, "shop", "orders")).kind, "ConfigMap")
      const count = (resource: Resource) =>
        kubernetes.fold(
          resource,
          {},
          () => 0,
          (found) => found + 1
        )
      assert.strictEqual(yield* count(clusters), 0)
      assert.strictEqual(yield* count({ ...clusters, group: "example.io" }), 1)
    })
  )
})
