import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { action } from "../../src/cnpg/DeclarativeRestore.ts"
import type { KubernetesObject } from "../../src/kubernetes/Kubernetes.ts"
import type { Restore } from "../../src/velero/Restore.ts"
import { assertLine, restoreOf, start } from "./World.ts"

const kinds = [
  ["Database", "cnpg.io/deleteDatabase"],
  ["Publication", "cnpg.io/deletePublication"],
  ["Subscription", "cnpg.io/deleteSubscription"],
  ["DatabaseRole", "cnpg.io/deleteRole"]
] as const

const object = (kind: string, metadata: object = {}): KubernetesObject => ({
  apiVersion: "postgresql.cnpg.io/v1",
  kind,
  metadata: { name: "reports", namespace: "shop", ...metadata },
  spec: { cluster: { name: "orders" }, name: "reports" }
})

const restoreWith = (spec: object): Restore => ({ ...restoreOf("r"), spec })

/** The metadata after the restore. */
const restored = Effect.fnUntraced(function* (item: KubernetesObject, restore = restoreOf("r")) {
  const { process, world } = yield* start([])
  const outcome = yield* process.restore(action, item, restore)
  assert.isFalse(outcome.skip)
  assert.deepStrictEqual(world.calls, [])
  const { metadata } = outcome.tree as unknown as { readonly metadata: Readonly<Record<string, unknown>> }
  return { ...outcome, metadata }
})

describe("a finalizer of an instance", () => {
  it.effect.each(kinds)("goes: %s", ([kind, finalizer]) =>
    Effect.gen(function* () {
      const { lines, metadata } = yield* restored(object(kind, { finalizers: [finalizer] }))
      assert.isFalse("finalizers" in metadata)
      assert.deepStrictEqual(lines, [])
    })
  )

  it.effect("goes alone: those of others stay, in their order", () =>
    Effect.gen(function* () {
      const finalizers = ["example.com/b", "cnpg.io/deleteDatabase", "example.com/a"]
      const { metadata } = yield* restored(object("Database", { finalizers }))
      assert.deepStrictEqual(metadata["finalizers"], ["example.com/b", "example.com/a"])
    })
  )

  it.effect("stays under policy update, which would take it from an object that lives", () =>
    Effect.gen(function* () {
      const item = object("Database", { finalizers: ["cnpg.io/deleteDatabase"] })
      assert.isTrue((yield* restored(item, restoreWith({ existingResourcePolicy: "update" }))).isUntouched)
      assert.isFalse((yield* restored(item, restoreWith({ existingResourcePolicy: "none" }))).isUntouched)
    })
  )
})

describe("a status", () => {
  const key = "velero.io/restore-status"

  it.effect("is not restored where the Restore asks for statuses", () =>
    Effect.gen(function* () {
      const restore = restoreWith({ restoreStatus: { includedResources: ["*"] } })
      const { lines, metadata } = yield* restored(object("Database"), restore)
      assert.deepStrictEqual(metadata["annotations"], { [key]: "false" })
      assertLine(lines, "Info", "Database shop/reports", "status is not restored")
    })
  )

  it.effect("is not restored where the object itself asks for it", () =>
    Effect.gen(function* () {
      const { metadata } = yield* restored(object("Publication", { annotations: { [key]: "true", other: "x" } }))
      assert.deepStrictEqual(metadata["annotations"], { [key]: "false", other: "x" })
    })
  )
})

it.effect("an object that no instance has seen goes back untouched, silently", () =>
  Effect.gen(function* () {
    for (const metadata of [{}, { finalizers: [] }, { finalizers: ["example.com/a"] }, { finalizers: null }]) {
      const { isUntouched, lines } = yield* restored(object("Database", metadata))
      assert.isTrue(isUntouched)
      assert.deepStrictEqual(lines, [])
    }
  })
)
