import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as TestClock from "effect/testing/TestClock"
import { action as backupDelete } from "../../src/cnpg/BackupDelete.ts"
import { action as backupRestore } from "../../src/cnpg/BackupRestore.ts"
import { action } from "../../src/cnpg/ClusterBackup.ts"
import { action as clusterRestore } from "../../src/cnpg/ClusterRestore.ts"
import { action as contents } from "../../src/cnpg/ContentsBackup.ts"
import type { Operation } from "../../src/cnpg/OnDemandBackup.ts"
import * as OnDemandBackup from "../../src/cnpg/OnDemandBackup.ts"
import { action as owned } from "../../src/cnpg/OwnedResourceBackup.ts"
import { action as ownedRestore } from "../../src/cnpg/OwnedResourceRestore.ts"
import type { KubernetesObject } from "../../src/kubernetes/Kubernetes.ts"
import type { Backup } from "../../src/velero/Backup.ts"
import {
  archiver,
  assertLine,
  at,
  barman,
  callsOf,
  cluster,
  completed,
  itIs,
  makeWorld,
  namespace,
  nightly,
  pluginConfig,
  refusal,
  restoreOf,
  start,
  startProcess,
  textOf,
  type Tree,
  type World
} from "./World.ts"

const key = "velero-cnpg/on-demand-backup"
const startTimeout = `${key}-start-timeout`
const parallel = `${key}-parallel`

const asking = { annotations: { [key]: "true" } }
const orders = cluster({ plugins: [archiver()] }, asking)
const good = completed("good", "2026-11-19T02:00:00Z")

const backupWith = (annotations: Readonly<Record<string, string>>, name = "nightly"): Backup => ({
  metadata: { name, namespace: "velero", uid: `uid-of-${name}`, annotations }
})
const finalizing: Backup = { ...nightly, status: { phase: "Finalizing" } }

const isMade = ({ metadata }: KubernetesObject) => metadata?.labels?.["velero-cnpg/velero-backup"] !== undefined

const made = (world: World): ReadonlyArray<KubernetesObject> =>
  world.objects().filter((object) => object.kind === "Backup" && isMade(object))

const nameOf = (object: KubernetesObject | undefined): string => object?.metadata?.name ?? ""

/** What the operator or an instance writes. */
const report = (world: World, status: Tree, metadata: Tree = {}) =>
  Effect.gen(function* () {
    for (const object of made(world)) {
      yield* world.put({
        ...object,
        metadata: { ...object.metadata, uid: `uid-of-${nameOf(object)}`, ...metadata },
        status
      })
    }
  })

const done: Tree = {
  phase: "completed",
  backupId: "20261119T030000",
  startedAt: "2026-11-19T03:00:00Z",
  stoppedAt: "2026-11-19T03:01:05Z",
  beginWal: "000000010000000000000005",
  endWal: "000000010000000000000006",
  endLSN: "0/6000138",
  pluginMetadata: { clusterUID: "uid-of-orders" }
}

const annotationsOf = (tree: unknown) => at(tree, "metadata", "annotations") as Readonly<Record<string, string>>

/** A Velero backup that has begun; the time is 03:00. */
const begin = (objects: ReadonlyArray<KubernetesObject> = [orders, good], backup: Backup = nightly) =>
  Effect.gen(function* () {
    yield* itIs("2026-11-19T03:00:00Z")
    const { process, world } = yield* start(objects)
    const stored = yield* process.backUp(action, objects[0] ?? orders, backup)
    return { process, world, stored, id: stored.operationId ?? "" }
  })

/** Asks as Velero does: with the id alone, and from a new process. */
const ask = (world: World, id: string, backup: Backup = nightly) =>
  Effect.flatMap(startProcess(world), (process) => process.progress(action, id, backup))
const giveUp = (world: World, id: string) =>
  Effect.flatMap(startProcess(world), (process) => process.cancel(action, id))

describe("a Cluster that asks for a backup", () => {
  it.effect("has one made for the Velero backup, which is followed, and is stored once more after it", () =>
    Effect.gen(function* () {
      const { id, stored, world } = yield* begin()
      const [object, ...others] = made(world)
      assert.deepStrictEqual(others, [])
      const name = nameOf(object)
      assert.match(name, /^orders-velero-[0-9a-f]{12}$/)
      assert.deepStrictEqual(object, {
        apiVersion: "postgresql.cnpg.io/v1",
        kind: "Backup",
        metadata: {
          name,
          namespace: "shop",
          labels: {
            "cnpg.io/cluster": "orders",
            "velero-cnpg/velero-backup": "nightly",
            "velero-cnpg/velero-backup-uid": "uid-of-nightly"
          }
        },
        spec: { cluster: { name: "orders" }, method: "plugin", pluginConfiguration: { name: barman } }
      })
      assert.strictEqual(
        id,
        `shop/${name} cluster=orders by=${barman} start-timeout=900s parallel=4 since=2026-11-19T03:00:00.000Z`
      )
      assert.deepStrictEqual(stored.postOperationItems, ["clusters.postgresql.cnpg.io shop/orders"])
      // Until then the older one is what there is.
      assert.strictEqual(annotationsOf(stored.tree)["velero-cnpg/current-backup-id"], "id-of-good")
      assert.strictEqual(annotationsOf(stored.tree)["velero-cnpg/fresh-backup-name"], name)
      assert.isUndefined(annotationsOf(stored.tree)["velero-cnpg/fresh-backup-id"])
      assert.deepStrictEqual(
        stored.lines.map(({ level }) => level),
        ["Info", "Info"]
      )
    })
  )

  it.effect("has it made by the in-tree method where it archives with that", () =>
    Effect.gen(function* () {
      const inTree = cluster({ backup: { barmanObjectStore: { s3Credentials: {} } } }, asking)
      const { id, world } = yield* begin([inTree])
      assert.deepStrictEqual(made(world)[0]?.["spec"], { cluster: { name: "orders" }, method: "barmanObjectStore" })
      assert.include(id, " by=barmanObjectStore ")
      // What the id says is enough to make it.
      const { world: empty } = yield* start([inTree])
      yield* ask(empty, id)
      assert.deepStrictEqual(made(empty)[0]?.["spec"], { cluster: { name: "orders" }, method: "barmanObjectStore" })
    })
  )

  it.effect("has no second one after a crash between the first and the answer", () =>
    Effect.gen(function* () {
      const { id, stored, world } = yield* begin()
      yield* report(world, { phase: "running" })
      const again = yield* (yield* startProcess(world)).backUp(action, orders)
      assert.strictEqual(again.operationId, id)
      assert.strictEqual(again.text, stored.text)
      assert.lengthOf(made(world), 1)
      assert.strictEqual(at(made(world)[0], "status", "phase"), "running")
    })
  )

  it.effect("has one for each Velero backup, and each Cluster of a name has its own", () =>
    Effect.gen(function* () {
      const { process, world } = yield* begin()
      yield* process.backUp(action, orders, backupWith({}, "weekly"))
      const elsewhere = cluster({ plugins: [archiver()] }, { ...asking, namespace: "shop-2" })
      yield* process.backUp(action, elsewhere)
      assert.strictEqual(new Set(made(world).map(nameOf)).size, 3)
    })
  )

  it.effect.each([
    ["on the Velero Backup", backupWith({ [key]: "true" }), {}, {}, 1],
    ["in the ConfigMap", nightly, {}, { onDemandBackup: "true" }, 1],
    ["nowhere", nightly, {}, {}, 0],
    ["on the Cluster, and the Velero Backup says no", backupWith({ [key]: "false" }), { [key]: "true" }, {}, 0]
  ] as const)("says so %s", ([, backup, annotations, config, count]) =>
    Effect.gen(function* () {
      const { world } = yield* start([])
      const process = yield* startProcess(world, [backupConfig(config)])
      const stored = yield* process.backUp(action, cluster({ plugins: [archiver()] }, { annotations }), backup)
      assert.lengthOf(made(world), count)
      assert.strictEqual(stored.operationId !== undefined, count === 1)
    })
  )

  it.effect.each([
    [{ [key]: "yes" }, "true or false"],
    [{ [key]: "true", [startTimeout]: "soon" }, "1h30m"],
    [{ [key]: "true", [startTimeout]: "" }, "1h30m"],
    [{ [key]: "true", [parallel]: "0" }, "a number from 1"]
  ] as const)("and writes nothing where the word means nothing: %j", ([annotations, right]) =>
    Effect.gen(function* () {
      const { process, world } = yield* start([])
      const error = yield* Effect.flip(
        process.backUp(action, cluster({ plugins: [archiver()] }), backupWith(annotations))
      )
      assert.strictEqual(error._tag, "InvalidSetting")
      assert.include(error.message, right)
      assert.include(error.message, "Backup nightly")
      assert.deepStrictEqual(made(world), [])
    })
  )

  it.effect("is warned that there is no archive for one", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([])
      const stored = yield* process.backUp(action, cluster({}, asking))
      assert.isUndefined(stored.operationId)
      assert.deepStrictEqual(made(world), [])
      assertLine(stored.lines.slice(1), "Warn", "Cluster shop/orders", "no archive")
    })
  )

  it.effect("is stored where the Backup could not be made; its operation tells why", () =>
    Effect.gen(function* () {
      yield* itIs("2026-11-19T03:00:00Z")
      const { process, world } = yield* start([orders, good], refusal.forbidden("apply"))
      const stored = yield* process.backUp(action, orders)
      assert.strictEqual(annotationsOf(stored.tree)["velero-cnpg/current-backup-id"], "id-of-good")
      assert.strictEqual(stored.lines.filter(({ level }) => level !== "Info").length, 0)
      const error = yield* Effect.flip(ask(world, stored.operationId ?? ""))
      assert.include(error.message, "backups.postgresql.cnpg.io shop/orders-velero-")
      assert.include(error.message, "service account")
      // Granted meanwhile, it would have been made.
      world.refuse = () => undefined
      assert.isFalse((yield* ask(world, stored.operationId ?? "")).completed)
      assert.lengthOf(made(world), 1)
    })
  )
})

const backupConfig = (data: Readonly<Record<string, string>>) => {
  const { metadata } = pluginConfig(data)
  return { metadata: { ...metadata, labels: { "replicated.com/cnpg-backup-plugin": "BackupItemAction" } }, data }
}

describe("a Cluster that is stored once more", () => {
  const after = (status: Tree, more: ReadonlyArray<KubernetesObject> = []) =>
    Effect.gen(function* () {
      const { world } = yield* begin([orders, good, ...more])
      yield* report(world, status)
      world.calls.length = 0
      const stored = yield* (yield* startProcess(world)).backUp(action, orders, finalizing)
      assert.isUndefined(stored.operationId)
      assert.deepStrictEqual(stored.postOperationItems, [])
      assert.strictEqual(world.calls.filter(({ verb }) => verb === "apply" || verb === "delete").length, 0)
      return stored
    })
  const recorded = (stored: { readonly tree: Tree }) =>
    [
      "current-backup-id",
      "current-backup-ended-at",
      "fresh-backup-id",
      "fresh-backup-end-lsn",
      "fresh-backup-end-wal"
    ].map((name) => annotationsOf(stored.tree)[`velero-cnpg/${name}`])

  it.effect("has the fresh backup recorded, even if a newer one has ended since", () =>
    Effect.gen(function* () {
      const fresh = [
        "20261119T030000",
        "2026-11-19T03:01:05Z",
        "20261119T030000",
        "0/6000138",
        "000000010000000000000006"
      ]
      assert.deepStrictEqual(recorded(yield* after(done)), fresh)
      const stored = yield* after(done, [completed("newer", "2026-11-19T03:30:00Z")])
      assert.deepStrictEqual(recorded(stored), fresh)
      assertLine(stored.lines, "Info", "20261119T030000", "made for this Velero backup")
    })
  )

  it.effect.each([
    ["has failed", { phase: "failed", error: "no space" }],
    ["runs on, and Velero has given it up", { phase: "running" }],
    ["was for another life of the Cluster", { ...done, pluginMetadata: { clusterUID: "uid-of-another" } }]
  ] as const)("keeps the older one where the fresh one %s", ([, status]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(recorded(yield* after(status)), [
        "id-of-good",
        "2026-11-19T02:00:00Z",
        undefined,
        undefined,
        undefined
      ])
    })
  )

  it.effect("stays as it was stored before where the fresh one cannot be read", () =>
    Effect.gen(function* () {
      const { world } = yield* begin()
      world.refuse = refusal.unavailable("get")
      const error = yield* Effect.flip((yield* startProcess(world)).backUp(action, orders, finalizing))
      assert.strictEqual(error._tag, "Unavailable")
    })
  )

  it.effect("brings nothing with it: that is in the backup already", () =>
    Effect.gen(function* () {
      const secret = { apiVersion: "v1", kind: "Secret", metadata: { name: "orders-app", namespace: "shop" } }
      const { process } = yield* start([orders, secret])
      assert.deepStrictEqual((yield* process.backUp(contents, orders)).additionalItems, ["secrets shop/orders-app"])
      const again = yield* process.backUp(contents, orders, finalizing)
      assert.deepStrictEqual([again.additionalItems, again.lines, again.isUntouched], [[], [], true])
    })
  )
})

describe("an operation", () => {
  const told = (status: Tree, metadata: Tree = {}, minutes = 5) =>
    Effect.gen(function* () {
      const { id, world } = yield* begin()
      yield* report(world, status, { creationTimestamp: "2026-11-19T03:00:00Z", ...metadata })
      yield* TestClock.adjust(`${minutes} minutes`)
      const progress = yield* ask(world, id)
      assert.deepStrictEqual(progress.updated, yield* DateTime.now)
      assert.isDefined(progress.started)
      return { ...progress, left: made(world).length }
    })

  it.effect.each([
    ["not looked at", {}, "is created; the operator has not looked at it yet, for 5m00s"],
    ["pending", { phase: "pending" }, "is pending, for 5m00s: the operator waits"],
    ["started", { phase: "started", instanceID: { podName: "orders-2" } }, "is started on orders-2, for 5m00s"],
    ["running", { phase: "running", startedAt: "2026-11-19T03:02:55Z" }, "is running, for 2m05s"],
    [
      "held up",
      { phase: "walArchivingFailing", error: "no WAL\narrives" },
      "is walArchivingFailing, for 5m00s: no WAL; arrives"
    ]
  ] as const)("goes on while the Backup is %s", ([, status, text]) =>
    Effect.gen(function* () {
      const { completed: isCompleted, description = "", error, left } = yield* told(status)
      assert.deepStrictEqual([isCompleted, error, left], [false, undefined, 1])
      assert.match(description, /^CNPG Backup shop\/orders-velero-[0-9a-f]{12} is /)
      assert.include(description, text)
    })
  )

  it.effect("is over with the Backup", () =>
    Effect.gen(function* () {
      const { completed: isCompleted, description, error } = yield* told(done)
      assert.deepStrictEqual([isCompleted, error], [true, undefined])
      assert.include(
        description ?? "",
        "is completed: id 20261119T030000, took 1m05s, WAL 000000010000000000000005 to 000000010000000000000006, ends at 0/6000138"
      )
    })
  )

  it.effect.each([
    ["failed", { phase: "failed", error: "rpc error:\n no space left" }, "has failed: rpc error:; no space left", 1],
    ["completed without an id", { phase: "completed" }, "without an id", 1],
    // The operator would run no other Backup of the Cluster as long as this one is there.
    [
      "invalid",
      { phase: "invalid backup definition", error: "no such method" },
      "invalid to the operator: no such method",
      0
    ]
  ] as const)("fails with the operator's words where the Backup is %s", ([, status, text, left]) =>
    Effect.gen(function* () {
      const progress = yield* told(status)
      assert.isTrue(progress.completed)
      assert.include(progress.error ?? "", text)
      assert.include(progress.error ?? "", "older backup is recorded of the Cluster stays valid")
      assert.strictEqual(progress.left, left)
    })
  )

  it.effect.each([
    ["", {}, 15, false],
    ["", {}, 16, true],
    ["pending", { phase: "pending" }, 16, true],
    ["started", { phase: "started" }, 600, false],
    ["completed", done, 600, false]
  ] as const)(
    "ends by its own limit where nothing begins, and then nothing is left: %s, %j, %i minutes",
    ([, status, minutes, isOver]) =>
      Effect.gen(function* () {
        const { error, left } = yield* told(status, {}, minutes)
        assert.strictEqual(left, isOver ? 0 : 1)
        if (!isOver) return assert.isUndefined(error)
        assert.include(error ?? "", "was not begun within 16m00s")
        assert.include(error ?? "", startTimeout)
        assert.include(error ?? "", "stays valid")
      })
  )

  it.effect("has no limit where there is to be none, or another", () =>
    Effect.gen(function* () {
      for (const [limit, left] of [
        ["0", 1],
        ["30m", 1],
        ["90s", 0]
      ] as const) {
        const { id, world } = yield* begin([orders, good], backupWith({ [startTimeout]: limit }))
        yield* report(world, {}, { creationTimestamp: "2026-11-19T03:00:00Z" })
        yield* TestClock.adjust("20 minutes")
        yield* ask(world, id)
        assert.lengthOf(made(world), left, limit)
      }
    })
  )

  it.effect("waits beyond its limit for another Backup of the Cluster that runs", () =>
    Effect.gen(function* () {
      const long = completed("long", undefined, { phase: "running" })
      const { id, world } = yield* begin([orders, good, long])
      yield* report(world, { phase: "pending" }, { creationTimestamp: "2026-11-19T03:00:00Z" })
      yield* TestClock.adjust("2 hours")
      const { completed: isCompleted, description } = yield* ask(world, id)
      assert.isFalse(isCompleted)
      assert.include(description ?? "", "is pending: CNPG Backup long of the same Cluster runs")
      yield* world.put({ ...long, status: { phase: "failed" } })
      assert.isTrue((yield* ask(world, id)).completed)
    })
  )

  it.effect("says that the Backup could not be removed", () =>
    Effect.gen(function* () {
      const { id, world } = yield* begin()
      yield* report(world, {}, { creationTimestamp: "2026-11-19T03:00:00Z" })
      yield* TestClock.adjust("1 hour")
      world.refuse = refusal.forbidden("delete")
      const { completed: isCompleted, error } = yield* ask(world, id)
      assert.isTrue(isCompleted)
      assert.match(error ?? "", /was not begun .* could not be removed: .*RBAC says no/)
    })
  )

  it.effect("goes on where the API server is away for a while, and ends where nothing is allowed", () =>
    Effect.gen(function* () {
      const { id, world } = yield* begin()
      world.refuse = refusal.unavailable()
      const { completed: isCompleted, description } = yield* ask(world, id)
      assert.isFalse(isCompleted)
      assert.include(description ?? "", "connection refused")
      world.refuse = refusal.forbidden("get")
      assert.strictEqual((yield* Effect.flip(ask(world, id)))._tag, "Forbidden")
    })
  )

  it.effect.each(["", "shop/orders", "2026-11-19T02:00:03.000Z+30s shop/one"])(
    "of an id of nobody's is none: %j",
    (id) =>
      Effect.gen(function* () {
        const { world } = yield* begin()
        const errors = [yield* Effect.flip(ask(world, id)), yield* Effect.flip(giveUp(world, id))]
        assert.deepStrictEqual(
          errors.map(({ _tag }) => _tag),
          ["InvalidOperation", "InvalidOperation"]
        )
      })
  )

  it.effect.each([
    ["not looked at", {}, 0],
    ["running", { phase: "running" }, 0],
    ["completed", done, 1],
    ["failed", { phase: "failed" }, 1]
  ] as const)("that Velero gives up leaves nothing that is not over: %s", ([, status, left]) =>
    Effect.gen(function* () {
      const { id, world } = yield* begin()
      yield* report(world, status)
      yield* giveUp(world, id)
      assert.lengthOf(made(world), left)
      assert.deepStrictEqual(
        world.objects().filter(({ metadata }) => metadata?.name === "good"),
        [good]
      )
      // Once more, and where it is gone.
      yield* giveUp(world, id)
    })
  )

  it("is in its id, and comes back from it", () => {
    const operation: Operation = {
      namespace: "a-b",
      name: "o-velero-0123456789ab",
      cluster: "o",
      plugin: undefined,
      startTimeout: 0,
      parallel: 999,
      since: DateTime.makeUnsafe("2026-11-19T03:00:00.123Z")
    }
    for (const each of [operation, { ...operation, plugin: barman }]) {
      assert.deepStrictEqual(Result.getOrThrow(OnDemandBackup.operationOf(OnDemandBackup.operationId(each))), each)
    }
  })
})

describe("many Clusters", () => {
  const many = Array.from({ length: 5 }, (_, index) =>
    cluster({ plugins: [archiver()] }, { ...asking, name: `c${index}`, namespace: index % 2 === 0 ? "shop" : "shop-2" })
  )

  it.effect("have as many backups at once as may be, and the others one after another", () =>
    Effect.gen(function* () {
      yield* itIs("2026-11-19T03:00:00Z")
      const backup = backupWith({ [parallel]: "2" })
      const { process, world } = yield* start(many)
      const stored = yield* Effect.forEach(many, (each) => process.backUp(action, each, backup), {
        concurrency: "unbounded"
      })
      assert.lengthOf(made(world), 2)
      const ids = stored.map(({ operationId = "" }) => operationId)
      const tick = Effect.forEach(ids, (id) => ask(world, id, backup))
      const finish = Effect.gen(function* () {
        for (const object of made(world)) yield* world.put({ ...object, status: done })
      })
      const waiting = yield* tick
      assert.lengthOf(made(world), 2)
      assert.strictEqual(
        waiting.filter(({ description }) => description?.includes(`waits: 2 of this Velero backup at once`)).length,
        3
      )
      for (const count of [4, 5, 5]) {
        yield* finish
        yield* tick
        assert.lengthOf(made(world), count)
      }
      assert.isTrue((yield* tick).every(({ completed: isCompleted }) => isCompleted))
    })
  )

  it.effect("of two Velero backups do not count for each other", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start(many)
      for (const name of ["one", "two"]) {
        yield* Effect.forEach(many, (each) => process.backUp(action, each, backupWith({ [parallel]: "3" }, name)))
      }
      assert.lengthOf(made(world), 6)
    })
  )
})

describe("what a Cluster owns", () => {
  const owner = [{ apiVersion: "postgresql.cnpg.io/v1", kind: "Cluster", name: "orders", uid: "uid-of-orders" }]
  const pvc: KubernetesObject = {
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: { name: "orders-1", namespace: "shop", labels: { "cnpg.io/cluster": "orders" }, ownerReferences: owner }
  }

  it.effect(
    "is marked with the older backup, or where there is none with the one under way, and left out at restore",
    () =>
      Effect.gen(function* () {
        for (const [objects, id] of [
          [[orders, good], "id-of-good"],
          [[orders], undefined]
        ] as const) {
          const { process, world } = yield* begin(objects)
          const { lines, text, tree } = yield* process.backUp(owned, pvc)
          assert.deepStrictEqual(lines, [])
          assert.strictEqual(annotationsOf(tree)["velero-cnpg/owned-by-cluster"], "orders")
          assert.strictEqual(annotationsOf(tree)["velero-cnpg/current-backup-id"], id)
          assert.strictEqual(
            annotationsOf(tree)["velero-cnpg/fresh-backup-name"],
            id === undefined ? nameOf(made(world)[0]) : undefined
          )
          const restored = yield* process.restore(ownedRestore, text)
          assert.isTrue(restored.skip)
          assertLine(restored.lines, "Info", id ?? nameOf(made(world)[0]))
          const wanted = restoreOf("monday", {}, { "velero-cnpg/recover-from": "volumes" })
          assert.isFalse((yield* process.restore(ownedRestore, text, wanted)).skip)
        }
      })
  )

  it.effect("is marked too where nobody may say whether there is an older one", () =>
    Effect.gen(function* () {
      const { process } = yield* start([orders, good], refusal.forbidden("list", "backups.postgresql.cnpg.io"))
      const { tree } = yield* process.backUp(owned, pvc)
      assert.strictEqual(annotationsOf(tree)["velero-cnpg/owned-by-cluster"], "orders")
      assert.isDefined(annotationsOf(tree)["velero-cnpg/fresh-backup-name"])
    })
  )

  it.effect("is left alone where none is asked for, or none can be made", () =>
    Effect.gen(function* () {
      for (const [spec, annotations] of [
        [{ plugins: [archiver()] }, {}],
        [{ plugins: [archiver()] }, { [key]: "yes" }],
        [{}, { [key]: "true" }]
      ] as const) {
        const { process } = yield* start([cluster(spec, { annotations })])
        const marked = {
          ...pvc,
          metadata: { ...pvc.metadata, annotations: { "velero-cnpg/fresh-backup-name": "old" } }
        }
        const { tree } = yield* process.backUp(owned, marked)
        assert.deepStrictEqual(annotationsOf(tree), {})
      }
    })
  )

  it.effect("of a first backup that failed is still to be had: the restored Cluster says how", () =>
    Effect.gen(function* () {
      const { stored, world } = yield* begin([orders, namespace("shop")])
      yield* report(world, { phase: "failed" })
      const again = yield* (yield* startProcess(world)).backUp(action, orders, finalizing)
      assertLine(again.lines, "Warn", "there is no completed Barman backup")
      const lost = yield* startProcess(makeWorld([namespace("shop")]))
      for (const text of [stored.text, again.text]) {
        const { lines, tree } = yield* lost.restore(clusterRestore, text)
        assert.deepStrictEqual(at(tree, "spec", "bootstrap", "recovery"), { source: "clusterBackup" })
        const warnings = lines.filter(({ level }) => level === "Warn")
        assertLine(warnings, "Warn", nameOf(made(world)[0]), "velero-cnpg/recover-from: volumes")
      }
      yield* report(world, done)
      const { text } = yield* (yield* startProcess(world)).backUp(action, orders, finalizing)
      assert.deepStrictEqual(
        (yield* lost.restore(clusterRestore, text)).lines.map(({ level }) => level),
        ["Info"]
      )
    })
  )

  it.effect("of a first backup says so in one line, and no warning", () =>
    Effect.gen(function* () {
      const { stored } = yield* begin([orders])
      assert.isUndefined(annotationsOf(stored.tree)["velero-cnpg/current-backup-id"])
      assert.deepStrictEqual(
        stored.lines.map(({ level }) => level),
        ["Info", "Info"]
      )
      assert.include(stored.lines[1]?.message ?? "", "first Barman backup is being made")
    })
  )
})

describe("a CNPG Backup that was made for a Velero backup", () => {
  const backup = (world: World) => made(world)[0] ?? {}

  it.effect("counts as any other for the next Velero backup, when it is completed", () =>
    Effect.gen(function* () {
      const { world } = yield* begin()
      const next = cluster({ plugins: [archiver()] })
      const idOf = Effect.map(
        Effect.flatMap(startProcess(world), (process) => process.backUp(action, next, backupWith({}, "next"))),
        ({ tree }) => annotationsOf(tree)["velero-cnpg/current-backup-id"]
      )
      yield* report(world, { phase: "running" })
      assert.strictEqual(yield* idOf, "id-of-good")
      yield* report(world, done)
      assert.strictEqual(yield* idOf, "20261119T030000")
    })
  )

  it.effect("is never restored, whatever the ConfigMap says", () =>
    Effect.gen(function* () {
      const { process, world } = yield* begin()
      const restore = restoreOf("monday", {}, { "velero-cnpg/restore-backups": "true" })
      const { lines, skip } = yield* process.restore(backupRestore, backup(world), restore)
      assert.isTrue(skip)
      assertLine(lines, "Info", "made for Velero backup nightly")
      assert.isFalse((yield* process.restore(backupRestore, good, restore)).skip)
    })
  )

  it.effect("goes with it, and nothing else does", () =>
    Effect.gen(function* () {
      const { process, stored, world } = yield* begin()
      yield* process.backUp(action, orders, backupWith({}, "weekly"))
      yield* report(world, done)
      assert.lengthOf(made(world), 2)
      const { lines } = yield* process.remove(backupDelete, stored.text)
      assertLine(lines, "Info", "is deleted with the Velero backup", "Barman's retention")
      assert.deepStrictEqual(
        made(world).map((object) => at(object, "metadata", "labels", "velero-cnpg/velero-backup")),
        ["weekly"]
      )
      assert.isTrue(world.objects().some(({ metadata }) => metadata?.name === "good"))
      // Once more.
      assert.deepStrictEqual((yield* process.remove(backupDelete, stored.text)).lines, [])
    })
  )

  it.effect("goes too where Velero has found the backup again, under another UID", () =>
    Effect.gen(function* () {
      const { process, stored, world } = yield* begin()
      yield* report(world, done)
      yield* process.remove(backupDelete, stored.text, {
        metadata: { name: "nightly", namespace: "velero", uid: "uid-of-the-same-found-again" }
      })
      assert.deepStrictEqual(made(world), [])
    })
  )

  it.effect.each([
    ["another Velero backup", { "velero-cnpg/velero-backup": "weekly" }, "nightly"],
    ["another Cluster", { "cnpg.io/cluster": "users" }, "nightly"],
    ["nobody", { "velero-cnpg/velero-backup-uid": "uid-of-another" }, "nightly"]
  ] as const)("stays where it is of %s", ([, labels]) =>
    Effect.gen(function* () {
      const { process, stored, world } = yield* begin()
      yield* report(world, done, { labels: { ...backup(world).metadata?.labels, ...labels } })
      assertLine(
        (yield* process.remove(backupDelete, stored.text)).lines,
        "Info",
        "was not made for this Velero backup"
      )
      assert.lengthOf(made(world), 1)
    })
  )

  it.effect("is not asked for where the stored Cluster names none", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([good])
      yield* process.remove(backupDelete, textOf(cluster({ plugins: [archiver()] })))
      assert.deepStrictEqual(callsOf(world), [])
    })
  )
})

describe("names", () => {
  it("are labels and DNS names, however long", () => {
    const long = "n".repeat(253)
    const backup: Backup = { metadata: { name: long, namespace: "velero" } }
    const name = OnDemandBackup.nameOf(backup, long.slice(0, 63), "c".repeat(50))
    assert.match(name, /^[a-z][-a-z0-9]{0,99}$/)
    const operation = Option.getOrThrow(
      Result.getSuccess(
        OnDemandBackup.operationOf(`shop/${name} cluster=c by=b start-timeout=1s parallel=1 since=2026-11-19T03:00:00Z`)
      )
    )
    for (const value of Object.values(OnDemandBackup.manifest(backup, operation).metadata?.labels ?? {})) {
      assert.match(value, /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/)
    }
  })

  it("tell spans as people do", () => {
    const from = DateTime.makeUnsafe("2026-11-19T03:00:00Z")
    const spans = [-5, 0, 59, 60, 3600, 3725].map((seconds) =>
      OnDemandBackup.span(from, DateTime.add(from, { seconds }))
    )
    assert.deepStrictEqual(spans, ["0s", "0s", "59s", "1m00s", "1h00m00s", "1h02m05s"])
  })
})
