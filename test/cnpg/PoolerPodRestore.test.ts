import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { action } from "../../src/cnpg/PoolerPodRestore.ts"
import type { KubernetesObject } from "../../src/kubernetes/Kubernetes.ts"
import { assertLine, restoreOf, start, stripped, textOf } from "./World.ts"

const item = (
  kind: string,
  owner?: string,
  labels: Record<string, string> = { "cnpg.io/poolerName": "rw" }
): KubernetesObject => ({
  apiVersion: kind === "Pod" ? "v1" : "apps/v1",
  kind,
  metadata: {
    name: "rw-558b9ccb6f",
    namespace: "shop",
    labels,
    ...(owner && { ownerReferences: [{ apiVersion: "apps/v1", kind: owner, name: "rw", uid: "u", controller: true }] })
  }
})

describe("what Kubernetes made of a Pooler's Deployment", () => {
  it.effect.each([
    ["ReplicaSet", "Deployment"],
    ["Pod", "ReplicaSet"]
  ] as const)("is skipped: a %s of a %s", ([kind, owner]) =>
    Effect.gen(function* () {
      const { process, world } = yield* start([])
      const outcome = yield* process.restore(action, item(kind, owner))
      assert.isTrue(outcome.skip)
      assert.isTrue(outcome.isUntouched)
      assertLine(outcome.lines, "Info", `${kind} shop/rw-558b9ccb6f`, "Pooler rw")
      assert.deepStrictEqual(world.calls, [])
    })
  )

  it.effect("is known by the item as it was backed up: Velero takes the owner away", () =>
    Effect.gen(function* () {
      const { process } = yield* start([])
      const [owned, orphan] = [textOf(item("Pod", "ReplicaSet")), textOf(item("Pod"))]
      assert.strictEqual(stripped(owned), orphan)
      assert.isTrue((yield* process.restore(action, orphan, restoreOf("r"), owned)).skip)
      assert.isFalse((yield* process.restore(action, owned, restoreOf("r"), orphan)).skip)
    })
  )
})

describe("everything else", () => {
  it.effect.each([
    ["a Pod that nothing owns", item("Pod")],
    ["a Pod of a Job", item("Pod", "Job")],
    ["a Pod with an empty label", item("Pod", "ReplicaSet", { "cnpg.io/poolerName": "" })]
  ] as const)("is restored as it is, silently: %s", ([, object]) =>
    Effect.gen(function* () {
      const { process } = yield* start([])
      const outcome = yield* process.restore(action, object)
      assert.isFalse(outcome.skip)
      assert.isTrue(outcome.isUntouched)
      assert.deepStrictEqual(outcome.lines, [])
    })
  )
})

describe("the selector", () => {
  it("asks for what bears a Pooler's label only: Velero has many Pods", () => {
    assert.deepStrictEqual(action.selector, {
      includedResources: ["replicasets.apps", "pods"],
      labelSelector: "cnpg.io/poolerName"
    })
  })
})
