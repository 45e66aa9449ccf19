import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { action as clusterAction } from "../../src/cnpg/ClusterBackup.ts"
import { action, ownedResources, parentOf, transform } from "../../src/cnpg/OwnedResourceBackup.ts"
import type { Recorded, Recovery } from "../../src/cnpg/Recoveries.ts"
import type { KubernetesObject } from "../../src/kubernetes/Kubernetes.ts"
import {
  archiver,
  assertLine,
  at,
  callsOf,
  cluster,
  completed,
  legacy,
  nightly,
  outside,
  pick,
  refusal,
  shop,
  start,
  textOf,
  type Tree
} from "./World.ts"

const ownedBy = "velero-cnpg/owned-by-cluster"
const backupId = "velero-cnpg/current-backup-id"
const recoverFrom = "velero-cnpg/recover-from"
const owned = [ownedBy, backupId, recoverFrom].map((key) => ["metadata", "annotations", key])

const orders = cluster({ plugins: [archiver()] })
const good = completed("good", "2026-11-19T02:00:00Z")

const clusterOwner = {
  apiVersion: "postgresql.cnpg.io/v1",
  kind: "Cluster",
  name: "orders",
  uid: "uid-of-orders",
  controller: true
}
const ownerOf = (apiVersion: string, kind: string, name: string) => ({ apiVersion, kind, name, uid: `uid-of-${name}` })

/** An object with the Cluster's label. */
const labelled = (
  kind: string,
  name: string,
  owners: ReadonlyArray<unknown> = [clusterOwner],
  metadata: Tree = {}
): KubernetesObject => ({
  apiVersion: kind === "Job" ? "batch/v1" : "v1",
  kind,
  metadata: {
    name,
    namespace: "shop",
    labels: { "cnpg.io/cluster": "orders" },
    ...(owners.length === 0 ? {} : { ownerReferences: owners }),
    ...metadata
  }
})

const service = labelled("Service", "orders-rw")
const job = labelled("Job", "orders-1-initdb")
const marks = { [ownedBy]: "orders", [backupId]: "id-of-good" }
const markedAs = (tree: unknown) => at(tree, "metadata", "annotations")

describe("an object that a Cluster owns", () => {
  const cases: ReadonlyArray<readonly [string, KubernetesObject]> = [
    ["a PVC", labelled("PersistentVolumeClaim", "orders-1")],
    ["an instance's Pod", labelled("Pod", "orders-1")],
    ["a Service", service],
    ["a Job", job],
    ["a PodDisruptionBudget", labelled("PodDisruptionBudget", "orders")],
    ["a Pod of a Job of its", labelled("Pod", "orders-1-initdb-x", [ownerOf("batch/v1", "Job", "orders-1-initdb")])],
    ["the Endpoints of a Service of its", labelled("Endpoints", "orders-rw", [])],
    [
      "an EndpointSlice of a Service of its",
      labelled("EndpointSlice", "orders-rw-x", [ownerOf("v1", "Service", "orders-rw")])
    ],
    [
      "one with several owners",
      labelled("PersistentVolumeClaim", "orders-1", [ownerOf("v1", "Pod", "x"), clusterOwner])
    ],
    [
      "one of a later API version",
      labelled("PersistentVolumeClaim", "orders-1", [{ ...clusterOwner, apiVersion: "postgresql.cnpg.io/v2" }])
    ],
    [
      "one with annotations",
      labelled("PersistentVolumeClaim", "orders-1", [clusterOwner], { annotations: { mine: "stays" } })
    ]
  ]
  it.effect.each(cases)("is marked with its Cluster and the backup, and nothing else of it changes: %s", ([, item]) =>
    Effect.gen(function* () {
      const { process } = yield* start([orders, good, service, job])
      const outcome = yield* process.backUp(action, item)
      assert.deepStrictEqual(markedAs(outcome.tree), { ...item.metadata?.annotations, ...marks })
      assert.deepStrictEqual(outside(outcome.text, owned), outside(textOf(item), owned))
      assert.deepStrictEqual(outcome.lines, [])
      assert.isTrue((yield* process.backUp(action, outcome.text)).isUntouched)
    })
  )

  it.effect("is also marked with the Cluster's wish to recover from volumes, unchecked", () =>
    Effect.gen(function* () {
      for (const wish of ["volumes", "object-store", "nonsense"]) {
        const wishing = cluster({ plugins: [archiver()] }, { annotations: { [recoverFrom]: wish } })
        const { process } = yield* start([wishing, good])
        const { tree } = yield* process.backUp(action, labelled("Pod", "orders-1"))
        assert.deepStrictEqual(markedAs(tree), { ...marks, [recoverFrom]: wish })
      }
    })
  )

  it.effect("has its old marks replaced", () =>
    Effect.gen(function* () {
      const { process } = yield* start([orders, good])
      const annotations = { [ownedBy]: "old", [backupId]: "old", [recoverFrom]: "volumes", mine: "stays" }
      const { tree } = yield* process.backUp(action, labelled("Pod", "orders-1", [clusterOwner], { annotations }))
      assert.deepStrictEqual(markedAs(tree), { ...marks, mine: "stays" })
    })
  )
})

describe("an object that no Cluster owns", () => {
  const cases: ReadonlyArray<readonly [string, KubernetesObject]> = [
    ["that only bears the label", labelled("PersistentVolumeClaim", "mine", [])],
    ["a Pooler's Service", labelled("Service", "pooler", [ownerOf("postgresql.cnpg.io/v1", "Pooler", "pooler")])],
    ["a Pooler's Pod", labelled("Pod", "pooler-x", [ownerOf("apps/v1", "ReplicaSet", "pooler-1")])],
    ["the Endpoints of a Pooler's Service", labelled("Endpoints", "pooler", [])],
    [
      "an EndpointSlice of a Pooler's Service",
      labelled("EndpointSlice", "pooler-x", [ownerOf("v1", "Service", "pooler")])
    ],
    ["an EndpointSlice that somebody wrote by hand", labelled("EndpointSlice", "orders-rw", [])],
    ["Endpoints of no Service", labelled("Endpoints", "by-hand", [])],
    ["a Pod of somebody else's Job", labelled("Pod", "report-x", [ownerOf("batch/v1", "Job", "report")])],
    ["a Cluster of another API group", labelled("Pod", "x", [{ ...clusterOwner, apiVersion: "cluster.x-k8s.io/v1" }])],
    [
      "one of a group that only begins alike",
      labelled("Pod", "x", [{ ...clusterOwner, apiVersion: "postgresql.cnpg.io.evil/v1" }])
    ],
    ["with an empty label", labelled("Endpoints", "orders-rw", [], { labels: { "cnpg.io/cluster": "" } })],
    [
      "another Cluster's Endpoints by label",
      labelled("Endpoints", "orders-rw", [], { labels: { "cnpg.io/cluster": "audit" } })
    ]
  ]
  const pooler = labelled("Service", "pooler", [ownerOf("postgresql.cnpg.io/v1", "Pooler", "pooler")])
  const report = labelled("Job", "report", [])

  it.effect.each(cases)("is left alone: %s", ([, item]) =>
    Effect.gen(function* () {
      const { process } = yield* start([orders, good, service, job, pooler, report])
      const outcome = yield* process.backUp(action, item)
      assert.isTrue(outcome.isUntouched)
      assert.deepStrictEqual(outcome.lines, [])
    })
  )

  it.effect("loses marks of an earlier life", () =>
    Effect.gen(function* () {
      const { process } = yield* start([orders, good])
      const annotations = { ...marks, [recoverFrom]: "volumes", mine: "stays" }
      const item = labelled("PersistentVolumeClaim", "orders-1", [], { annotations })
      assert.deepStrictEqual(markedAs((yield* process.backUp(action, item)).tree), { mine: "stays" })
    })
  )
})

describe("an object of a Cluster without recorded backup", () => {
  const annotations = { ...marks, mine: "stays" }
  const cases: ReadonlyArray<readonly [string, ReadonlyArray<KubernetesObject>, string]> = [
    ["there is none", [orders], "no completed backup"],
    ["none has completed", [orders, completed("x", undefined, { phase: "running" })], "no completed backup"],
    ["the Cluster has no archive", [cluster({}), good], "no archive"],
    [
      "the Cluster archives with another plugin",
      [cluster({ plugins: [{ name: "x.example.com", isWALArchiver: true }] }), good],
      "no archive"
    ]
  ]
  it.effect.each(cases)("is not marked, and one line says that it will be restored: %s", ([, objects, why]) =>
    Effect.gen(function* () {
      const { process } = yield* start(objects)
      const item = labelled("PersistentVolumeClaim", "orders-1", [clusterOwner], { annotations })
      const outcome = yield* process.backUp(action, item)
      assert.deepStrictEqual(markedAs(outcome.tree), { mine: "stays" })
      assertLine(outcome.lines, "Info", "PersistentVolumeClaim shop/orders-1", "orders", why)
      assert.isTrue((yield* process.backUp(action, labelled("Pod", "orders-1"))).isUntouched)
    })
  )

  it.effect.each([
    ["Backups may not be listed", refusal.forbidden("list", "backups.postgresql.cnpg.io"), "RBAC says no"],
    ["Clusters may not be read", refusal.forbidden("get"), "RBAC says no"],
    ["nothing answers", refusal.unavailable(), "connection refused"],
    ["there is no cluster", refusal.noCluster, "nothing names one"]
  ] as const)("is not marked where it cannot be known: %s", ([, refuse, why]) =>
    Effect.gen(function* () {
      const { process } = yield* start([orders, good], refuse)
      const outcome = yield* process.backUp(action, labelled("PersistentVolumeClaim", "orders-1"))
      assert.isTrue(outcome.isUntouched)
      assertLine(outcome.lines, "Info", "will be restored", why)
    })
  )

  it.effect("is not marked where its Cluster is gone, unreadable or another incarnation", () =>
    Effect.gen(function* () {
      const rebuilt = cluster({ plugins: [archiver()] }, { uid: "uid-of-another-life" })
      const theirs = completed("theirs", "2026-11-19T02:00:00Z", {
        pluginMetadata: { clusterUID: "uid-of-another-life" }
      })
      for (const objects of [[good], [cluster({ plugins: "x" }), good], [rebuilt, theirs]]) {
        const { process } = yield* start(objects)
        assert.isTrue((yield* process.backUp(action, labelled("PersistentVolumeClaim", "orders-1"))).isUntouched)
      }
    })
  )

  it.effect("is not marked through a Service or Job of another incarnation either", () =>
    Effect.gen(function* () {
      const rebuilt = cluster({ plugins: [archiver()] }, { uid: "uid-of-another-life" })
      const theirs = completed("theirs", "2026-11-19T02:00:00Z", {
        pluginMetadata: { clusterUID: "uid-of-another-life" }
      })
      const { process } = yield* start([rebuilt, theirs, service, job])
      for (const item of [
        service,
        labelled("Endpoints", "orders-rw", []),
        labelled("EndpointSlice", "orders-rw-x", [ownerOf("v1", "Service", "orders-rw")]),
        labelled("Pod", "orders-1-initdb-x", [ownerOf("batch/v1", "Job", "orders-1-initdb")])
      ]) {
        assert.isTrue((yield* process.backUp(action, item)).isUntouched, textOf(item))
      }
    })
  )

  it.effect("is left alone where its Service cannot be looked at", () =>
    Effect.gen(function* () {
      const { process } = yield* start([orders, good, service], refusal.forbidden("list", "services"))
      assert.isTrue((yield* process.backUp(action, labelled("Endpoints", "orders-rw", []))).isUntouched)
    })
  )
})

describe("one decision for each Cluster and Velero backup", () => {
  const pvc = labelled("PersistentVolumeClaim", "orders-1")
  const idOf = (tree: unknown) => at(tree, "metadata", "annotations", backupId)
  const later = completed("later", "2026-11-19T03:00:00Z")
  const orders2: ReadonlyArray<readonly [string, boolean]> = [
    ["the PVC comes first", true],
    ["the Cluster comes first", false]
  ]

  const bothIn = Effect.fnUntraced(function* (
    isPvcFirst: boolean,
    objects: ReadonlyArray<KubernetesObject>,
    between: (world: Effect.Success<ReturnType<typeof start>>["world"]) => Effect.Effect<void>,
    refuse?: Parameters<typeof start>[1]
  ) {
    const { process, world } = yield* start(objects, refuse)
    const items = [() => process.backUp(action, pvc), () => process.backUp(clusterAction, orders)]
    const [first, second] = isPvcFirst ? items : items.toReversed()
    const outcomes = [yield* first?.() ?? Effect.never]
    yield* between(world)
    outcomes.push(yield* second?.() ?? Effect.never, yield* process.backUp(action, pvc))
    return new Set(outcomes.map(({ tree }) => idOf(tree)))
  })

  it.effect.each(orders2)("when a backup completes in between: %s", ([, isPvcFirst]) =>
    Effect.gen(function* () {
      const ids = yield* bothIn(isPvcFirst, [orders, good], (world) => world.put(later))
      assert.deepStrictEqual([...ids], ["id-of-good"])
    })
  )

  it.effect.each(orders2)("when the first backup completes in between: %s", ([, isPvcFirst]) =>
    Effect.gen(function* () {
      const ids = yield* bothIn(isPvcFirst, [orders], (world) => world.put(later))
      assert.deepStrictEqual([...ids], [undefined])
    })
  )

  it.effect.each(orders2)("when the API fails in between: %s", ([, isPvcFirst]) =>
    Effect.gen(function* () {
      const ids = yield* bothIn(isPvcFirst, [orders, good], (world) =>
        Effect.sync(() => {
          world.refuse = refusal.unavailable()
        })
      )
      assert.deepStrictEqual([...ids], ["id-of-good"])
    })
  )

  it.effect.each(orders2)("when the API comes back in between: %s", ([, isPvcFirst]) =>
    Effect.gen(function* () {
      const back = (world: Effect.Success<ReturnType<typeof start>>["world"]) =>
        Effect.sync(() => {
          world.refuse = () => undefined
        })
      const ids = yield* bothIn(isPvcFirst, [orders, good], back, refusal.unavailable())
      assert.deepStrictEqual([...ids], [undefined])
    })
  )

  it.effect("when all come at once, with each thing read once", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([orders, good, service])
      const items = Array.from({ length: 40 }, (_, index) =>
        index % 4 === 0
          ? process.backUp(clusterAction, orders)
          : process.backUp(
              action,
              index % 4 === 1 ? labelled("Endpoints", "orders-rw", []) : labelled("Pod", `orders-${index}`)
            )
      )
      const outcomes = yield* Effect.all(items, { concurrency: "unbounded" })
      assert.deepStrictEqual([...new Set(outcomes.map(({ tree }) => idOf(tree)))], ["id-of-good"])
      assert.strictEqual(world.calls.filter(({ resource }) => resource === "backups.postgresql.cnpg.io").length, 1)
      assert.isAtMost(callsOf(world).length, 4)
    })
  )

  it.effect("and a new one for another Velero backup", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([orders, good])
      assert.strictEqual(idOf((yield* process.backUp(action, pvc)).tree), "id-of-good")
      yield* world.put(later)
      const next = { metadata: { ...nightly.metadata, uid: "uid-of-another" } }
      assert.strictEqual(idOf((yield* process.backUp(action, pvc, next)).tree), "id-of-later")
      assert.strictEqual(idOf((yield* process.backUp(clusterAction, orders, next)).tree), "id-of-later")
    })
  )
})

describe("the examples", () => {
  const isOffered = ({ kind, metadata }: KubernetesObject) =>
    ["PersistentVolumeClaim", "Pod", "Service", "Job", "Endpoints", "EndpointSlice", "PodDisruptionBudget"].includes(
      kind ?? ""
    ) && metadata?.labels?.["cnpg.io/cluster"] !== undefined

  it.effect("shop: everything of the Cluster is marked, nothing of the Pooler or the application", () =>
    Effect.gen(function* () {
      const { process } = yield* start(shop)
      const marked: Array<string> = []
      for (const item of shop.filter(isOffered)) {
        const { tree } = yield* process.backUp(action, item)
        if (at(markedAs(tree), ownedBy) === "orders") marked.push(`${item.kind} ${item.metadata?.name}`)
        else assert.notProperty(markedAs(tree) ?? {}, backupId)
      }
      assert.deepStrictEqual(marked, [
        "PersistentVolumeClaim orders-1",
        "PersistentVolumeClaim orders-2",
        "PersistentVolumeClaim orders-3",
        "Pod orders-1",
        "Pod orders-2",
        "Pod orders-3",
        "Service orders-rw",
        "Endpoints orders-rw",
        "EndpointSlice orders-rw-sr9rj",
        "Service orders-r",
        "Service orders-ro",
        "PodDisruptionBudget orders",
        "PodDisruptionBudget orders-primary"
      ])
    })
  )

  it.effect("billing: the volume of a Cluster without archive is not marked, that of the archived one is", () =>
    Effect.gen(function* () {
      const { process } = yield* start(legacy)
      assert.isTrue((yield* process.backUp(action, pick(legacy, "PersistentVolumeClaim", "reports-1"))).isUntouched)
      const { tree } = yield* process.backUp(action, pick(legacy, "PersistentVolumeClaim", "invoices-1"))
      assert.strictEqual(at(markedAs(tree), backupId), "20261119T030004")
    })
  )
})

describe("the parent", () => {
  const of = (kind: string, ...owners: ReadonlyArray<string>) =>
    parentOf({
      kind,
      metadata: { name: "me", ownerReferences: owners.map((owner) => ownerOf("v1", owner, owner.toLowerCase())) }
    })
  it("is a Service of Endpoints and EndpointSlices, a Job of Pods, and nothing of the rest", () => {
    assert.deepStrictEqual(of("Endpoints"), { kind: "Service", name: "me" })
    assert.deepStrictEqual(of("EndpointSlice", "Service"), { kind: "Service", name: "service" })
    assert.deepStrictEqual(of("Pod", "ReplicaSet", "Job"), { kind: "Job", name: "job" })
    for (const none of [
      of("EndpointSlice"),
      of("Pod"),
      of("Pod", "ReplicaSet"),
      of("Service", "Service"),
      of("Job", "Job")
    ]) {
      assert.isUndefined(none)
    }
  })
})

describe("the decision", () => {
  const view = { kind: "Pod", metadata: { name: "orders-1", namespace: "shop" } }
  const recovery = (recorded: Recorded): Recovery => ({
    clusterUid: undefined,
    archive: { _tag: "None" },
    recorded,
    window: { first: undefined, problem: undefined },
    recoverFrom: undefined,
    annotations: undefined
  })
  it("marks only with a found backup", () => {
    const removals = [
      transform(view, { cluster: undefined, recovery: undefined }),
      transform(view, { cluster: "orders", recovery: undefined }),
      transform(view, { cluster: "orders", recovery: recovery({ _tag: "NoneCompleted" }) }),
      transform(view, { cluster: "orders", recovery: recovery({ _tag: "Unknown", reason: "why" }) })
    ]
    for (const { patches } of removals) assert.isTrue(patches.every(({ op }) => op === "remove"))
    const { patches } = transform(view, {
      cluster: "orders",
      recovery: recovery({ _tag: "Found", backup: { backupId: "id", name: "b", at: 0, endedAt: undefined } })
    })
    assert.deepStrictEqual(
      patches.map(({ op }) => op),
      ["set", "set", "remove", "remove"]
    )
  })
})

describe("the selector", () => {
  it("asks for the eight kinds by their full names, and only with the label", () => {
    assert.deepStrictEqual(action.selector, { includedResources: ownedResources, labelSelector: "cnpg.io/cluster" })
    assert.deepStrictEqual(ownedResources.toSorted(), [
      "endpoints",
      "endpointslices.discovery.k8s.io",
      "jobs.batch",
      "leases.coordination.k8s.io",
      "persistentvolumeclaims",
      "poddisruptionbudgets.policy",
      "pods",
      "services"
    ])
  })
})
