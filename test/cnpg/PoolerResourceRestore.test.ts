import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { action } from "../../src/cnpg/PoolerResourceRestore.ts"
import type { KubernetesObject } from "../../src/kubernetes/Kubernetes.ts"
import { assertLine, pick, restoreOf, shop, start, stripped, textOf } from "./World.ts"

const pooler = { apiVersion: "postgresql.cnpg.io/v1", kind: "Pooler", name: "rw", uid: "u", controller: true }
const item = (ownerReferences?: ReadonlyArray<unknown>): KubernetesObject => ({
  apiVersion: "rbac.authorization.k8s.io/v1",
  kind: "Role",
  metadata: { name: "rw", namespace: "shop", ...(ownerReferences && { ownerReferences }) }
})

describe("what the operator made for a Pooler", () => {
  it.effect.each(["Deployment", "Service", "Role", "RoleBinding"] as const)("is skipped: %s of the example", (kind) =>
    Effect.gen(function* () {
      const { process, world } = yield* start([])
      const outcome = yield* process.restore(action, pick(shop, kind, "orders-pooler-rw"))
      assert.isTrue(outcome.skip)
      assert.isTrue(outcome.isUntouched)
      assertLine(outcome.lines, "Info", `${kind} shop/orders-pooler-rw`, "Pooler orders-pooler-rw")
      assert.deepStrictEqual(world.calls, [])
    })
  )

  it.effect("is skipped: a ServiceAccount", () =>
    Effect.gen(function* () {
      const { process } = yield* start([])
      const account: KubernetesObject = { ...item([pooler]), apiVersion: "v1", kind: "ServiceAccount" }
      const outcome = yield* process.restore(action, account)
      assert.isTrue(outcome.skip)
      assertLine(outcome.lines, "Info", "ServiceAccount shop/rw", "Pooler rw")
    })
  )

  it.effect("is skipped whatever the Restore wishes, and wherever it goes", () =>
    Effect.gen(function* () {
      const { process } = yield* start([])
      const wish = restoreOf("r", { shop: "shop-2" }, { "velero-cnpg/recover-from": "volumes" })
      assert.isTrue((yield* process.restore(action, item([pooler]), wish)).skip)
    })
  )

  it.effect("may have other owners besides", () =>
    Effect.gen(function* () {
      const { process } = yield* start([])
      const other = { apiVersion: "v1", kind: "ConfigMap", name: "x", uid: "x" }
      assert.isTrue((yield* process.restore(action, item([other, pooler]))).skip)
    })
  )

  it.effect("is known by the item as it was backed up: Velero takes the owner away", () =>
    Effect.gen(function* () {
      const { process } = yield* start([])
      const [owned, orphan] = [textOf(item([pooler])), textOf(item())]
      assert.strictEqual(stripped(owned), orphan)
      assert.isTrue((yield* process.restore(action, orphan, restoreOf("r"), owned)).skip)
      assert.isFalse((yield* process.restore(action, owned, restoreOf("r"), orphan)).skip)
    })
  )
})

describe("everything else", () => {
  it.effect.each([
    ["without owner", item()],
    ["a Cluster's", item([{ ...pooler, kind: "Cluster" }])],
    ["another kind of Pooler's", item([{ ...pooler, apiVersion: "pools.example.com/v1" }])],
    ["the application's Deployment", pick(shop, "Deployment", "shop-web")],
    ["a Service of the Cluster", pick(shop, "Service", "orders-rw")]
  ] as const)("is restored as it is, silently: %s", ([, object]) =>
    Effect.gen(function* () {
      const { process } = yield* start([])
      const outcome = yield* process.restore(action, object)
      assert.isFalse(outcome.skip)
      assert.isTrue(outcome.isUntouched)
      assert.deepStrictEqual(outcome.lines, [])
    })
  )

  it.effect("may be an item whose backed-up self cannot be understood", () =>
    Effect.gen(function* () {
      const { process } = yield* start([])
      assert.isFalse((yield* process.restore(action, textOf(item()), restoreOf("r"), "{}")).skip)
    })
  )
})

describe("the selector", () => {
  it("asks for the five kinds by their full names, without a label: Roles have none", () => {
    assert.deepStrictEqual(action.selector, {
      includedResources: [
        "deployments.apps",
        "services",
        "roles.rbac.authorization.k8s.io",
        "rolebindings.rbac.authorization.k8s.io",
        "serviceaccounts"
      ]
    })
  })
})
