import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Cluster } from "../../src/cnpg/Cluster.ts"
import { decodeCluster } from "../../src/cnpg/Cluster.ts"
import * as Recoveries from "../../src/cnpg/Recoveries.ts"
import { Kubernetes, type KubernetesObject } from "../../src/kubernetes/Kubernetes.ts"
import { archiver, callsOf, cluster, completed, json, makeWorld, refusal, type World } from "./World.ts"

const orders = cluster({ plugins: [archiver()] }, { annotations: { "velero-cnpg/recover-from": "volumes" } })
const good = completed("good", "2026-11-19T02:00:00Z")
const later = completed("later", "2026-11-19T03:00:00Z")

const view = (object: KubernetesObject = orders): Cluster => Option.getOrThrow(decodeCluster(json(object)))

const start = (world: World) =>
  Effect.map(Layer.build(Layer.fresh(Layer.provide(Recoveries.layer, world.layer))), (context) => {
    const use = <A>(f: (service: Recoveries.Recoveries["Service"]) => Effect.Effect<A>): Effect.Effect<A> =>
      Effect.provide(Effect.flatMap(Recoveries.Recoveries, f), context)
    return {
      ofCluster: (owner = "backup-1", object?: KubernetesObject) =>
        use((service) => service.ofCluster(owner, view(object))),
      ofName: (owner = "backup-1", name = "orders", namespace = "shop") =>
        use((service) => service.ofName(owner, namespace, name)),
      ownedParents: (kind: Recoveries.Parent, owner = "backup-1", name = "orders") =>
        use((service) => service.ownedParents(owner, "shop", name, kind))
    }
  })

const found = (backupId: string): unknown => ({ _tag: "Found", backupId })

/** What was decided, in short. */
const recordedOf = ({ recorded }: Recoveries.Recovery): unknown =>
  recorded._tag === "Found" ? found(recorded.backup.backupId) : recorded

const recordedOfName = (recovery: Option.Option<Recoveries.Recovery>): unknown =>
  Option.getOrUndefined(Option.map(recovery, recordedOf))

const listBackups = "list backups.postgresql.cnpg.io shop"
const getStore = "get objectstores.barmancloud.cnpg.io shop/orders-store"
const getCluster = "get clusters.postgresql.cnpg.io shop/orders"

describe("the recovery of a Cluster", () => {
  it.effect("tells uid, archive, newest backup and the user's wish", () =>
    Effect.gen(function* () {
      const { ofCluster, ofName } = yield* start(makeWorld([orders, good, later]))
      const recovery = yield* ofCluster()
      assert.strictEqual(recovery.clusterUid, "uid-of-orders")
      assert.strictEqual(recovery.archive._tag, "Plugin")
      assert.strictEqual(recovery.recoverFrom, "volumes")
      assert.deepStrictEqual(recordedOf(recovery), found("id-of-later"))
      assert.deepStrictEqual(yield* ofName(), Option.some(recovery))
    })
  )

  it.effect("is read once, whoever asks and however often", () =>
    Effect.gen(function* () {
      const world = makeWorld([orders, good])
      const { ofCluster, ofName } = yield* start(world)
      yield* Effect.all([ofCluster(), ofName(), ofCluster(), ofName(), ofName()], { concurrency: "unbounded" })
      yield* ofCluster()
      assert.deepStrictEqual(callsOf(world), [listBackups, getStore])
    })
  )

  it.effect("is read once where the name comes first", () =>
    Effect.gen(function* () {
      const world = makeWorld([orders, good])
      const { ofCluster, ofName } = yield* start(world)
      yield* Effect.all([ofName(), ofName(), ofCluster(), ofName()], { concurrency: "unbounded" })
      assert.deepStrictEqual(callsOf(world), [getCluster, listBackups, getStore])
    })
  )

  it.effect("reads a namespace's Backups once for all its Clusters, and gives each its own", () =>
    Effect.gen(function* () {
      const names = Array.from({ length: 50 }, (_, index) => `orders-${index}`)
      const clusters = names.map((name) => cluster({ plugins: [archiver()] }, { name, uid: `uid-of-${name}` }))
      const backups = names.flatMap((name) =>
        ["01", "02"].map((hour) => ({
          ...completed(`${name}-${hour}`, `2026-11-19T${hour}:00:00Z`, {
            pluginMetadata: { clusterUID: `uid-of-${name}` }
          }),
          spec: { ...(good["spec"] as object), cluster: { name } }
        }))
      )
      const world = makeWorld([...clusters, ...backups])
      const { ofCluster } = yield* start(world)
      const recoveries = yield* Effect.forEach(clusters, (each) => ofCluster("backup-1", each), { concurrency: 8 })
      assert.deepStrictEqual(
        recoveries.map(recordedOf),
        names.map((name) => found(`id-of-${name}-02`))
      )
      assert.strictEqual(callsOf(world).filter((call) => call === listBackups).length, 1)
    })
  )

  for (const first of ["Cluster", "name"] as const) {
    it.effect(`stays what it was when a backup completes in between (${first} first)`, () =>
      Effect.gen(function* () {
        const world = makeWorld([orders, good])
        const { ofCluster, ofName } = yield* start(world)
        if (first === "Cluster") yield* ofCluster()
        else yield* ofName()
        yield* world.put(later)
        assert.deepStrictEqual(recordedOf(yield* ofCluster()), found("id-of-good"))
        assert.deepStrictEqual(recordedOfName(yield* ofName()), found("id-of-good"))
      })
    )

    it.effect(`stays what it was when the API fails, or comes back, in between (${first} first)`, () =>
      Effect.gen(function* () {
        const world = makeWorld([orders, good])
        const { ofCluster, ofName } = yield* start(world)
        const ask = (which: "Cluster" | "name", owner: string) =>
          which === "Cluster" ? Effect.map(ofCluster(owner), recordedOf) : Effect.map(ofName(owner), recordedOfName)
        const second = first === "Cluster" ? "name" : "Cluster"
        assert.deepStrictEqual(yield* ask(first, "up-then-down"), found("id-of-good"))
        world.refuse = refusal.unavailable()
        assert.deepStrictEqual(yield* ask(second, "up-then-down"), found("id-of-good"))

        const unknown = yield* ask(first, "down-then-up")
        assert.strictEqual((unknown as Recoveries.Recorded)._tag, "Unknown")
        world.refuse = () => undefined
        assert.deepStrictEqual(yield* ask(second, "down-then-up"), unknown)
      })
    )
  }

  it.effect("is decided anew for another Velero backup", () =>
    Effect.gen(function* () {
      const world = makeWorld([orders, good])
      const { ofCluster, ofName } = yield* start(world)
      assert.deepStrictEqual(recordedOf(yield* ofCluster("backup-1")), found("id-of-good"))
      yield* world.put(later)
      assert.deepStrictEqual(recordedOf(yield* ofCluster("backup-2")), found("id-of-later"))
      assert.deepStrictEqual(recordedOfName(yield* ofName("backup-2")), found("id-of-later"))
    })
  )

  it.effect("is each Cluster's own", () =>
    Effect.gen(function* () {
      const elsewhere = (object: KubernetesObject): KubernetesObject => ({
        ...object,
        metadata: { ...object.metadata, namespace: "shop-2" }
      })
      const world = makeWorld([
        orders,
        good,
        elsewhere(orders),
        elsewhere(completed("theirs", "2026-11-19T04:00:00Z")),
        cluster({ plugins: [archiver()] }, { name: "audit" })
      ])
      const { ofName } = yield* start(world)
      assert.deepStrictEqual(recordedOfName(yield* ofName("b", "orders", "shop")), found("id-of-good"))
      assert.deepStrictEqual(recordedOfName(yield* ofName("b", "orders", "shop-2")), found("id-of-theirs"))
      assert.deepStrictEqual(recordedOfName(yield* ofName("b", "audit", "shop")), { _tag: "NoneCompleted" })
    })
  )

  it.effect("looks for no backups where there is no archive", () =>
    Effect.gen(function* () {
      const world = makeWorld([cluster({}), good])
      const { ofName } = yield* start(world)
      const recorded = recordedOfName(yield* ofName()) as Recoveries.Recorded
      assert.strictEqual(recorded._tag, "Unknown")
      assert.deepStrictEqual(callsOf(world), [getCluster])
    })
  )

  it.effect("is none of a Cluster that does not exist, and NoneCompleted should one turn up", () =>
    Effect.gen(function* () {
      const world = makeWorld([good])
      const { ofCluster, ofName } = yield* start(world)
      assert.deepStrictEqual(yield* ofName(), Option.none())
      yield* world.put(orders)
      assert.deepStrictEqual(recordedOf(yield* ofCluster()), { _tag: "NoneCompleted" })
      assert.deepStrictEqual(yield* ofName(), Option.none())
    })
  )

  it.effect("is none of a Cluster that cannot be understood, or whose kind is unknown", () =>
    Effect.gen(function* () {
      const { ofName } = yield* start(makeWorld([cluster({ plugins: "all of them" })]))
      assert.deepStrictEqual(yield* ofName(), Option.none())
      const without = yield* start(makeWorld([], refusal.unknownKind("postgresql.cnpg.io")))
      assert.deepStrictEqual(yield* without.ofName(), Option.none())
    })
  )

  it.effect("does not depend on a caller that went away", () =>
    Effect.gen(function* () {
      const asked = yield* Deferred.make<void>()
      let isSlow = true
      const world = makeWorld([orders, good])
      const slow = Layer.effect(
        Kubernetes,
        Effect.map(Kubernetes, (kubernetes) =>
          Kubernetes.of({
            ...kubernetes,
            fold: (...args) =>
              Effect.suspend(() =>
                isSlow ? Effect.andThen(Deferred.succeed(asked, undefined), Effect.never) : kubernetes.fold(...args)
              )
          })
        )
      ).pipe(Layer.provide(world.layer))
      const { ofCluster } = yield* start({ ...world, layer: slow })
      const gone = yield* Effect.forkChild(ofCluster())
      yield* Deferred.await(asked)
      yield* Fiber.interrupt(gone)
      isSlow = false
      assert.deepStrictEqual(recordedOf(yield* ofCluster()), found("id-of-good"))
    })
  )
})

describe("what is not known", () => {
  const cases = [
    ["may not list Backups", refusal.forbidden("list"), ["list", "backups.postgresql.cnpg.io", "service account"]],
    ["may not get Clusters", refusal.forbidden("get"), ["get", "clusters.postgresql.cnpg.io", "service account"]],
    ["gets no answer", refusal.unavailable(), ["connection refused"]],
    ["has no cluster", refusal.noCluster, ["nothing names one"]]
  ] as const
  it.effect.each(cases)("is why, for a plugin that %s", ([, refuse, parts]) =>
    Effect.gen(function* () {
      const { ofName } = yield* start(makeWorld([orders, good], refuse))
      const recorded = recordedOfName(yield* ofName()) as Recoveries.Recorded
      assert.strictEqual(recorded._tag, "Unknown")
      for (const part of parts) assert.include(recorded._tag === "Unknown" ? recorded.reason : "", part)
    })
  )
})

describe("Services and Jobs of a Cluster", () => {
  const owner = { apiVersion: "postgresql.cnpg.io/v1", kind: "Cluster", name: "orders", uid: "uid-of-orders" }
  const parent = (
    name: string,
    owners: ReadonlyArray<unknown> | null = [owner],
    labels: Readonly<Record<string, string>> = { "cnpg.io/cluster": "orders" },
    kind: Recoveries.Parent = "Service"
  ): KubernetesObject => ({
    apiVersion: kind === "Service" ? "v1" : "batch/v1",
    kind,
    metadata: { name, namespace: "shop", labels, ...(owners === null ? {} : { ownerReferences: owners }) }
  })
  const objects = [
    parent("orders-rw"),
    parent("labelled", null),
    parent("unlabelled", [owner], {}),
    parent("another-cluster", [{ ...owner, name: "audit" }]),
    parent("of-a-pooler", [{ ...owner, kind: "Pooler" }]),
    parent("of-another-group", [{ ...owner, apiVersion: "cluster.x-k8s.io/v1" }]),
    parent("second-owner", [{ ...owner, kind: "Pooler" }, owner]),
    parent("orders-1-initdb", [owner], { "cnpg.io/cluster": "orders" }, "Job")
  ]

  it.effect("are those with its label that it owns itself", () =>
    Effect.gen(function* () {
      const { ownedParents } = yield* start(makeWorld(objects))
      assert.deepStrictEqual([...(yield* ownedParents("Service")).keys()].toSorted(), ["orders-rw", "second-owner"])
      assert.deepStrictEqual([...(yield* ownedParents("Job")).keys()], ["orders-1-initdb"])
    })
  )

  it.effect("are listed once for each Velero backup, and none where they cannot be", () =>
    Effect.gen(function* () {
      const world = makeWorld(objects)
      const { ownedParents } = yield* start(world)
      yield* Effect.all([ownedParents("Service"), ownedParents("Service"), ownedParents("Job")], {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(callsOf(world).toSorted(), ["list jobs.batch shop", "list services shop"])
      world.refuse = refusal.forbidden()
      assert.strictEqual((yield* ownedParents("Service")).size, 2)
      assert.strictEqual((yield* ownedParents("Service", "backup-2")).size, 0)
    })
  )
})
