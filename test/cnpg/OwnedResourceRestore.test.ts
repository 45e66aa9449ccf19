import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { action as backupAction } from "../../src/cnpg/OwnedResourceBackup.ts"
import { action } from "../../src/cnpg/OwnedResourceRestore.ts"
import type { KubernetesObject } from "../../src/kubernetes/Kubernetes.ts"
import { assertLine, legacy, pick, restoreOf, shop, start } from "./World.ts"

const recoverFrom = "velero-cnpg/recover-from"
const marks = { "velero-cnpg/owned-by-cluster": "orders", "velero-cnpg/current-backup-id": "20261119T020003" }

const item = (kind: string, annotations: Readonly<Record<string, string>> | null = marks): KubernetesObject => ({
  apiVersion: "v1",
  kind,
  metadata: {
    name: "orders-1",
    namespace: "shop",
    labels: { "cnpg.io/cluster": "orders" },
    ...(annotations && { annotations })
  }
})

const plain = restoreOf("plain", { shop: "shop-2" })

describe("an object that is marked", () => {
  it.effect.each([
    "PersistentVolumeClaim",
    "Pod",
    "Service",
    "Job",
    "Endpoints",
    "EndpointSlice",
    "PodDisruptionBudget"
  ] as const)("is skipped, with one line: %s", (kind) =>
    Effect.gen(function* () {
      const { process, world } = yield* start([])
      const outcome = yield* process.restore(action, item(kind), plain)
      assert.isTrue(outcome.skip)
      assert.isTrue(outcome.isUntouched)
      assertLine(outcome.lines, "Info", `${kind} shop/orders-1`, "Cluster orders", "20261119T020003")
      assert.deepStrictEqual(world.calls, [])
    })
  )

  it.effect.each([
    ["the Cluster wished for volumes", { [recoverFrom]: "volumes" }, {}],
    ["the Restore does", {}, { [recoverFrom]: "volumes" }],
    ["the Restore does, which wins", { [recoverFrom]: "object-store" }, { [recoverFrom]: "volumes" }]
  ] as const)("is restored as it is where %s", ([, ofCluster, ofRestore]) =>
    Effect.gen(function* () {
      const { process } = yield* start([])
      const outcome = yield* process.restore(
        action,
        item("PersistentVolumeClaim", { ...marks, ...ofCluster }),
        restoreOf("r", {}, ofRestore)
      )
      assert.isFalse(outcome.skip)
      assert.isTrue(outcome.isUntouched)
      assertLine(outcome.lines, "Info", "PersistentVolumeClaim shop/orders-1", "volumes")
    })
  )

  it.effect("is skipped all the same where the Restore overrules the Cluster", () =>
    Effect.gen(function* () {
      const { process } = yield* start([])
      const restore = restoreOf("r", {}, { [recoverFrom]: "object-store" })
      assert.isTrue((yield* process.restore(action, item("Pod", { ...marks, [recoverFrom]: "volumes" }), restore)).skip)
    })
  )

  it.effect.each([
    ["on the Restore", {}, { [recoverFrom]: "tape" }, "Restore r"],
    ["on the Cluster", { [recoverFrom]: "tape" }, {}, "Cluster orders"]
  ] as const)("is an error where the choice means nothing %s", ([, ofCluster, ofRestore, where]) =>
    Effect.gen(function* () {
      const { process } = yield* start([])
      const restore = restoreOf("r", {}, ofRestore)
      const error = yield* Effect.flip(process.restore(action, item("Pod", { ...marks, ...ofCluster }), restore))
      for (const part of [where, '"tape"', "object-store", "volumes"]) assert.include(error.message, part)
    })
  )
})

describe("an object that is not marked", () => {
  it.effect.each([
    ["at all", null],
    ["with a Cluster", { "velero-cnpg/current-backup-id": "20261119T020003" }],
    ["with a backup", { "velero-cnpg/owned-by-cluster": "orders" }],
    ["but with empty marks", { "velero-cnpg/owned-by-cluster": "", "velero-cnpg/current-backup-id": "" }],
    ["with a backup, only with a choice", { "velero-cnpg/owned-by-cluster": "orders", [recoverFrom]: "tape" }]
  ] as const)("is restored as it is, silently: %s", ([, annotations]) =>
    Effect.gen(function* () {
      const { process } = yield* start([])
      const outcome = yield* process.restore(action, item("PersistentVolumeClaim", annotations), plain)
      assert.isFalse(outcome.skip)
      assert.isTrue(outcome.isUntouched)
      assert.deepStrictEqual(outcome.lines, [])
    })
  )
})

describe("an object of a backup that nobody marked", () => {
  const cluster = { apiVersion: "postgresql.cnpg.io/v1", kind: "Cluster", name: "orders", uid: "u" }
  const job = { apiVersion: "batch/v1", kind: "Job", name: "orders-1-initdb", uid: "u" }
  const service = { apiVersion: "v1", kind: "Service", name: "orders-rw", uid: "u" }
  const pooler = { apiVersion: "postgresql.cnpg.io/v1", kind: "Pooler", name: "pool", uid: "u" }
  const notCnpg = { apiVersion: "example.com/v1", kind: "Cluster", name: "orders", uid: "u" }
  const rebuild = "velero-cnpg/rebuild-unmarked"

  const restored = Effect.fnUntraced(function* (
    kind: string,
    owners: ReadonlyArray<object>,
    asked: string | undefined
  ) {
    const { process } = yield* start([])
    const stored = { ...item(kind, null).metadata, ownerReferences: owners }
    const text = JSON.stringify({ ...item(kind, null), metadata: stored })
    return yield* process.restore(action, text, restoreOf("r", {}, asked === undefined ? {} : { [rebuild]: asked }))
  })

  it.effect.each([
    ["PersistentVolumeClaim", [cluster]],
    ["Service", [cluster]],
    ["Pod", [cluster]],
    ["Pod", [job]],
    ["Endpoints", []],
    ["EndpointSlice", [service]]
  ] as const)("is left out where the Restore asks for it, if a Cluster owned it: %s", ([kind, owners]) =>
    Effect.gen(function* () {
      const outcome = yield* restored(kind, owners, "true")
      assert.isTrue(outcome.skip)
      assertLine(outcome.lines, "Info", `${kind} shop/orders-1`, rebuild)
      for (const asked of [undefined, "false"]) assert.isFalse((yield* restored(kind, owners, asked)).skip)
    })
  )

  it.effect.each([
    ["PersistentVolumeClaim", []],
    ["Service", [pooler]],
    ["PersistentVolumeClaim", [notCnpg]],
    ["Pod", []]
  ] as const)("is restored all the same where no Cluster owned it: %s", ([kind, owners]) =>
    Effect.gen(function* () {
      assert.isFalse((yield* restored(kind, owners, "true")).skip)
    })
  )

  it.effect("is an error where the setting means nothing", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(restored("Service", [cluster], "yes"))
      for (const part of [rebuild, "Restore r", '"yes"', "true or false"]) assert.include(error.message, part)
    })
  )
})

describe("what was backed up by its pair", () => {
  const through = Effect.fnUntraced(function* (objects: ReadonlyArray<KubernetesObject>, kind: string, name: string) {
    const { process } = yield* start(objects)
    const stored = yield* process.backUp(backupAction, pick(objects, kind, name))
    return (yield* process.restore(action, stored.text, restoreOf("r"))).skip
  })

  it.effect("is skipped where the archive holds the data, and else restored", () =>
    Effect.gen(function* () {
      assert.isTrue(yield* through(shop, "PersistentVolumeClaim", "orders-1"))
      assert.isTrue(yield* through(shop, "Endpoints", "orders-rw"))
      assert.isTrue(yield* through(legacy, "PersistentVolumeClaim", "invoices-1"))
      assert.isFalse(yield* through(legacy, "PersistentVolumeClaim", "reports-1"))
      assert.isFalse(yield* through(shop, "PersistentVolumeClaim", "shop-web-uploads"))
      const withoutBackups = shop.filter(({ kind }) => kind !== "Backup")
      assert.isFalse(yield* through(withoutBackups, "PersistentVolumeClaim", "orders-1"))
    })
  )
})

describe("the selector", () => {
  it("is that of its pair", () => assert.deepStrictEqual(action.selector, backupAction.selector))
})
