/**
 * The memory layer answers as an API server does: one table of operations, run on both.
 *
 * Left out are the differences that the head of `Memory.ts` lists.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { KubernetesError, KubernetesObject, Resource, Selection } from "../../src/kubernetes/Kubernetes.ts"
import { Kubernetes, resources } from "../../src/kubernetes/Kubernetes.ts"
import * as Manifests from "../../src/kubernetes/Manifests.ts"
import * as Memory from "../../src/kubernetes/Memory.ts"
import * as TestServer from "../../src/testing/ApiServer.ts"
import { cluster, clusters, configMap, connectTo, temporaryDirectory } from "./support.ts"

const { configMaps, jobs, namespaces, services } = resources

const namespace = (name: string) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } })

const objects = [
  namespace("shop"),
  namespace("shop-2"),
  namespace("velero"),
  configMap("b", { x: "1" }, { labels: { app: "web", tier: "front" } }),
  configMap("a", {}, { labels: { app: "web" } }),
  configMap("a", { y: "2" }, { namespace: "shop-2", labels: { app: "db", "velero.io/plugin-config": "" } }),
  configMap("c", {}, { namespace: "velero" }),
  cluster("orders", { instances: 3, nested: { list: [1, { a: null }], deep: { er: true } } }),
  cluster("users", {}, { namespace: "shop-2", uid: "uid-of-users" }),
  { apiVersion: "v1", kind: "Service", metadata: { name: "a", namespace: "shop" }, spec: {} }
]

type Operation = (kubernetes: Kubernetes["Service"]) => Effect.Effect<unknown, KubernetesError>

const get =
  (resource: Resource, namespace: string | undefined, name: string): Operation =>
  (kubernetes) =>
    Effect.map(kubernetes.get(resource, namespace, name), own)

const list =
  (resource: Resource, selection: Selection = {}): Operation =>
  (kubernetes) =>
    kubernetes.fold(
      resource,
      selection,
      (): ReadonlyArray<unknown> => [],
      (found, object) => [...found, own(object)]
    )

/** Applies all, and answers with the last object and with what is there afterwards. */
const apply =
  (resource: Resource, ...objects: ReadonlyArray<KubernetesObject>): Operation =>
  (kubernetes) =>
    Effect.gen(function* () {
      const applied = yield* Effect.forEach(objects, (object) =>
        kubernetes.apply(resource, object, { fieldManager: "test", force: true })
      )
      return [applied.map(own), yield* list(resource)(kubernetes)]
    })

/** Deletes an object, if it has this UID, and answers with what is left. */
const remove =
  (resource: Resource, namespace: string | undefined, name: string, uid: string): Operation =>
  (kubernetes) =>
    Effect.andThen(kubernetes.delete(resource, namespace, name, uid), list(resource)(kubernetes))

/** Without what only a server knows. */
const own = (object: KubernetesObject): unknown => ({
  ...object,
  metadata: Object.fromEntries(Object.entries(object.metadata ?? {}).filter(([key]) => !servers.has(key)))
})

const servers = new Set(["creationTimestamp", "generation", "managedFields", "resourceVersion", "uid"])

const operations: ReadonlyArray<readonly [name: string, operation: Operation]> = [
  ["get of a built-in kind", get(configMaps, "shop", "b")],
  ["get of a custom resource", get(clusters, "shop", "orders")],
  ["get of a name that another namespace has", get(clusters, "shop", "users")],
  ["get of a name that another kind has", get(services, "shop", "b")],
  ["get of what a namespaced kind does not have there", get(configMaps, "nowhere", "a")],
  ["get of a namespaced kind without a namespace", get(configMaps, undefined, "a")],
  ["get of a namespace", get(namespaces, undefined, "velero")],
  ["get of a namespace that is missing", get(namespaces, undefined, "nowhere")],
  ["get of a kind of which there is none", get(jobs, "shop", "a")],
  ["list of all namespaces", list(configMaps)],
  ["list of an empty namespace", list(configMaps, { namespace: "" })],
  ["list of one namespace", list(configMaps, { namespace: "shop" })],
  ["list of a namespace whose name begins another", list(clusters, { namespace: "shop" })],
  ["list of a namespace that is missing", list(configMaps, { namespace: "nowhere" })],
  ["list of namespaces", list(namespaces)],
  ["list of nothing", list(jobs)],
  ["list of custom resources", list(clusters)],
  ["list by a label", list(configMaps, { labelSelector: "app=web" })],
  ["list by two labels", list(configMaps, { labelSelector: "app=web,tier=front" })],
  ["list by a label's presence", list(configMaps, { labelSelector: "velero.io/plugin-config" })],
  ["list by a label without value", list(configMaps, { labelSelector: "velero.io/plugin-config=" })],
  ["list by a label that nobody has", list(configMaps, { labelSelector: "constructor" })],
  ["list by no label", list(configMaps, { labelSelector: "" })],
  ["list by namespace and label", list(configMaps, { namespace: "shop-2", labelSelector: "app" })],
  ["apply that makes", apply(configMaps, configMap("new", { z: "1" }))],
  ["apply that changes", apply(configMaps, configMap("b", { x: "2" }))],
  ["apply that adds", apply(configMaps, configMap("b", { z: "2" }, { annotations: { here: "now" } }))],
  ["apply of the same twice", apply(configMaps, configMap("b", { x: "2" }), configMap("b", { x: "2" }))],
  ["apply deep down", apply(clusters, cluster("orders", { nested: { list: [], deep: { and: { deeper: 1 } } } }))],
  ["apply of a namespace", apply(namespaces, namespace("new"))],
  ["delete of an object", remove(clusters, "shop-2", "users", "uid-of-users")],
  ["delete of an object that is missing", remove(clusters, "shop", "users", "uid-of-users")],
  ["apply of an unpleasant key", apply(clusters, cluster("orders", JSON.parse(`{"__proto__":{"toString":{"a":1}}}`)))]
]

const outcome = (operation: Operation, kubernetes: Kubernetes["Service"]) =>
  Effect.map(
    Effect.result(operation(kubernetes)),
    Result.match({ onSuccess: JSON.stringify, onFailure: ({ _tag }) => _tag })
  )

describe("an API server, memory and manifests agree about", () => {
  it.effect("the one object that is to be deleted, and no other of its name", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects })
      const memory = yield* Effect.provide(Kubernetes, Memory.layer(objects))
      for (const kubernetes of [yield* connectTo(server), memory]) {
        const error = yield* Effect.flip(kubernetes.delete(clusters, "shop-2", "users", "uid-of-another"))
        assert.strictEqual(error._tag === "Rejected" ? error.status : error._tag, 409)
        assert.include(error.message, "refused to delete clusters.postgresql.cnpg.io shop-2/users (409)")
        assert.strictEqual((yield* kubernetes.get(clusters, "shop-2", "users")).kind, "Cluster")
      }
    })
  )

  it.effect.each(operations)("%s", ([, operation]) =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects })
      const expected = yield* outcome(operation, yield* connectTo(server))
      assert.notInclude(["Unavailable", "Rejected", "Forbidden", "NoCluster"], expected)
      const memory = yield* Effect.provide(Kubernetes, Memory.layer(objects))
      assert.strictEqual(yield* outcome(operation, memory), expected)
      const write = yield* temporaryDirectory
      const file = write("list.json", JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }))
      const manifests = yield* Effect.provide(Kubernetes, Manifests.layer([file]))
      assert.strictEqual(yield* outcome(operation, manifests), expected)
    })
  )
})
