import { assert, describe, it } from "@effect/vitest"
import * as Option from "effect/Option"
import type * as Archive from "../../src/cnpg/Archive.ts"
import type { Cluster } from "../../src/cnpg/Cluster.ts"
import { decodeCluster } from "../../src/cnpg/Cluster.ts"
import type { Newest } from "../../src/cnpg/RecordedBackup.ts"
import { candidate, collect, newestOf } from "../../src/cnpg/RecordedBackup.ts"
import type { KubernetesObject } from "../../src/kubernetes/Kubernetes.ts"
import { barman, cluster, completed, json, legacy, pick, shop, type Tree } from "./World.ts"

const plugin: Archive.Recoverable = {
  _tag: "Plugin",
  plugin: barman,
  entries: [0],
  serverName: "orders-v1",
  barmanObjectName: "store"
}
const inTree: Archive.Recoverable = { _tag: "InTree", serverName: "orders-v1" }

const orders = Option.getOrThrow(decodeCluster(cluster({})))

const pickNewest = (
  backups: ReadonlyArray<KubernetesObject>,
  archive: Archive.Recoverable = plugin,
  of: Cluster = orders
): string | undefined =>
  Option.getOrUndefined(newestOf(backups.map(json).reduce(collect, new Map() as Newest), of, archive))?.backupId

/** A deterministic shuffle. */
const shuffled = <A>(values: ReadonlyArray<A>, seed: number): ReadonlyArray<A> =>
  values
    .map((value, index) => ({ value, order: ((index + 1) * 2654435761 * (seed + 1)) % 4294967296 }))
    .toSorted((a, b) => a.order - b.order)
    .map(({ value }) => value)

const status = (object: KubernetesObject, changes: Tree): KubernetesObject => ({
  ...object,
  status: { ...(object["status"] as Tree), ...changes }
})
const spec = (object: KubernetesObject, changes: Tree): KubernetesObject => ({
  ...object,
  spec: { ...(object["spec"] as Tree), ...changes }
})
const newer = completed("newer", "2026-12-31T00:00:00Z")

/** None of these can be recovered from, though each is the newest. */
const unusable: ReadonlyArray<readonly [string, KubernetesObject]> = [
  ["a volume snapshot", spec(newer, { method: "volumeSnapshot", pluginConfiguration: null })],
  ["an in-tree backup, the archive being the plugin's", spec(newer, { method: "barmanObjectStore" })],
  ["a backup of the default method", spec(newer, { method: null })],
  ["a backup by another plugin", spec(newer, { pluginConfiguration: { name: "backup.example.com" } })],
  ["a backup by no plugin", spec(newer, { pluginConfiguration: null })],
  ["a running one", status(newer, { phase: "running" })],
  ["a started one", status(newer, { phase: "started", backupId: undefined })],
  ["a finalizing one", status(newer, { phase: "finalizing" })],
  ["a failed one", status(newer, { phase: "failed" })],
  ["one that waits for WAL", status(newer, { phase: "walArchivingFailing" })],
  ["one with an empty phase", status(newer, { phase: "" })],
  ["one without backupId", status(newer, { backupId: undefined })],
  ["one with an empty backupId", status(newer, { backupId: "" })],
  ["one without status", { ...newer, status: undefined }],
  ["one with status null", { ...newer, status: null }],
  ["one whose status is a list", { ...newer, status: [] }],
  ["one whose backupId is a number", status(newer, { backupId: 20261231 })],
  ["one without spec", { ...newer, spec: undefined }],
  ["one without cluster", spec(newer, { cluster: undefined })],
  ["one whose cluster is a string", spec(newer, { cluster: "orders" })],
  ["one without metadata", { ...newer, metadata: undefined } as unknown as KubernetesObject],
  ["another Cluster's", spec(newer, { cluster: { name: "orders-2" } })],
  ["another incarnation's", status(newer, { pluginMetadata: { clusterUID: "uid-of-another-life" } })]
]

describe("the backup to recover from", () => {
  const good = completed("good", "2026-11-19T02:01:41Z")

  it.for(unusable)("is not %s", ([, backup]) => {
    assert.isTrue(Option.isNone(candidate(orders, plugin, json(backup))))
    assert.strictEqual(pickNewest([backup, good]), "id-of-good")
    assert.strictEqual(pickNewest([good, backup]), "id-of-good")
    assert.isUndefined(pickNewest([backup]))
  })

  it("is none of no Backups", () => assert.isUndefined(pickNewest([])))

  it("is found among 1,200 in any order, with everything else on top", () => {
    const old = Array.from({ length: 1_200 }, (_, index) =>
      completed(`b${index}`, new Date(Date.UTC(2026, 0, 1) + index * 60_000).toISOString())
    )
    const all = [...old, ...unusable.map(([, backup]) => backup)]
    assert.strictEqual(pickNewest(all), "id-of-b1199")
    assert.strictEqual(pickNewest(all.toReversed()), "id-of-b1199")
    for (const seed of [1, 2, 3, 4, 5]) assert.strictEqual(pickNewest(shuffled(all, seed)), "id-of-b1199")
  })

  it("is the one that ended last, not the one that was made or begun last", () => {
    const made = (object: KubernetesObject, creationTimestamp: string): KubernetesObject => ({
      ...object,
      metadata: { ...object.metadata, creationTimestamp }
    })
    const long = status(made(completed("long", "2026-11-19T06:00:00Z"), "2026-11-19T00:00:00Z"), {
      startedAt: "2026-11-19T00:00:01Z"
    })
    const short = status(made(completed("short", "2026-11-19T05:00:00Z"), "2026-11-19T04:00:00Z"), {
      startedAt: "2026-11-19T04:00:01Z"
    })
    assert.strictEqual(pickNewest([long, short]), "id-of-long")
    assert.strictEqual(pickNewest([short, long]), "id-of-long")
  })

  it("is dated by its creation where its end was not noted", () => {
    const undated = (name: string, creationTimestamp: string, stoppedAt: string | null | undefined) =>
      status({ ...completed(name, undefined), metadata: { name, creationTimestamp } }, { stoppedAt })
    for (const stoppedAt of [undefined, null, ""]) {
      const late = undated("late", "2026-11-20T00:00:00Z", stoppedAt)
      const early = undated("early", "2026-11-18T00:00:00Z", stoppedAt)
      assert.strictEqual(pickNewest([good, late]), "id-of-late")
      assert.strictEqual(pickNewest([early, good]), "id-of-good")
      assert.strictEqual(pickNewest([late, early]), "id-of-late")
    }
    const never = { ...completed("never", undefined), metadata: { name: "never" } }
    assert.strictEqual(pickNewest([never, good]), "id-of-good")
    assert.strictEqual(pickNewest([good, completed("odd", "last Tuesday")]), "id-of-good")
    assert.strictEqual(pickNewest([never]), "id-of-never")
  })

  it("compares times, not texts", () => {
    const utc = completed("utc", "2026-11-19T02:00:00Z")
    assert.strictEqual(pickNewest([utc, completed("zone", "2026-11-19T03:30:00+02:00")]), "id-of-utc")
    assert.strictEqual(pickNewest([utc, completed("zone", "2026-11-19T01:00:00-02:00")]), "id-of-zone")
    assert.strictEqual(pickNewest([utc, completed("micro", "2026-11-19T02:00:00.5Z")]), "id-of-micro")
  })

  it("is the same whatever the order when several ended in one second", () => {
    const tied = ["a", "b", "c"].map((name) => completed(name, "2026-11-19T02:01:41Z"))
    for (const seed of [1, 2, 3, 4]) assert.strictEqual(pickNewest(shuffled(tied, seed)), "id-of-c")
    const same = (name: string) => completed(name, "2026-11-19T02:01:41Z", { backupId: "same" })
    const fold = (...backups: ReadonlyArray<KubernetesObject>) =>
      Option.getOrUndefined(newestOf(backups.reduce(collect, new Map() as Newest), orders, plugin))?.name
    assert.strictEqual(fold(same("a"), same("b")), "b")
    assert.strictEqual(fold(same("b"), same("a")), "b")
  })

  it("may be of any incarnation where none is noted, or the Cluster has no uid", () => {
    assert.strictEqual(pickNewest([completed("old", "2026-11-19T02:01:41Z", { pluginMetadata: null })]), "id-of-old")
    assert.strictEqual(pickNewest([completed("old", "2026-11-19T02:01:41Z", { pluginMetadata: {} })]), "id-of-old")
    const nameless = Option.getOrThrow(decodeCluster(cluster({}, { uid: null })))
    const other = completed("other", "2026-11-19T02:01:41Z", { pluginMetadata: { clusterUID: "x" } })
    assert.strictEqual(pickNewest([other], plugin, nameless), "id-of-other")
  })

  it("of all Clusters at once is for each what it is alone", () => {
    const uids = [undefined, "uid-of-orders", "uid-of-another-life"]
    const variants = uids.flatMap((clusterUID, life) =>
      ["orders", "orders-2"].flatMap((name) =>
        [
          { method: "plugin", pluginConfiguration: { name: barman } },
          { method: "plugin", pluginConfiguration: { name: "backup.example.com" } },
          { method: "barmanObjectStore" },
          { method: "volumeSnapshot" }
        ].flatMap((how, kind) =>
          [undefined, "orders-v1", "orders-v0"].map((serverName, server) =>
            spec(
              completed(`b-${life}-${name}-${kind}-${server}`, `2026-11-19T0${life}:0${kind}:0${server}Z`, {
                pluginMetadata: clusterUID === undefined ? null : { clusterUID },
                serverName
              }),
              { cluster: { name }, pluginConfiguration: undefined, ...how }
            )
          )
        )
      )
    )
    const together = shuffled(variants.map(json), 7).reduce(collect, new Map() as Newest)
    for (const name of ["orders", "orders-2", "orders-3"]) {
      for (const uid of [null, "uid-of-orders", "uid-of-another-life", "uid-of-none"]) {
        const of = Option.getOrThrow(decodeCluster(cluster({}, { name, uid })))
        for (const archive of [plugin, inTree]) {
          const alone = variants
            .flatMap((each) => Option.toArray(candidate(of, archive, json(each))))
            .toSorted((a, b) => b.at - a.at)[0]
          assert.strictEqual(Option.getOrUndefined(newestOf(together, of, archive))?.backupId, alone?.backupId)
        }
      }
    }
  })

  it("notes name, id and end", () => {
    assert.deepStrictEqual(Option.getOrUndefined(candidate(orders, plugin, good)), {
      backupId: "id-of-good",
      name: "good",
      at: Date.UTC(2026, 10, 19, 2, 1, 41),
      endedAt: "2026-11-19T02:01:41Z"
    })
  })
})

describe("the backup in an in-tree store", () => {
  const store = (name: string, stoppedAt: string, changes: Tree = {}) =>
    spec(completed(name, stoppedAt, { serverName: "orders-v1", pluginMetadata: undefined, ...changes }), {
      method: "barmanObjectStore",
      pluginConfiguration: undefined
    })
  const good = store("good", "2026-11-19T02:00:00Z")

  it("is of the in-tree method, which is the default", () => {
    assert.strictEqual(pickNewest([good], inTree), "id-of-good")
    for (const method of [undefined, null, ""])
      assert.strictEqual(pickNewest([spec(good, { method })], inTree), "id-of-good")
    assert.strictEqual(pickNewest([good, newer], inTree), "id-of-good")
    assert.strictEqual(pickNewest([good, spec(newer, { method: "volumeSnapshot" })], inTree), "id-of-good")
  })

  it("lies under the server name that the Cluster has now", () => {
    const elsewhere = store("elsewhere", "2026-11-20T00:00:00Z", { serverName: "orders-v0" })
    assert.strictEqual(pickNewest([good, elsewhere], inTree), "id-of-good")
    const unnamed = store("unnamed", "2026-11-20T00:00:00Z", { serverName: undefined })
    assert.strictEqual(pickNewest([good, unnamed], inTree), "id-of-unnamed")
  })
})

describe("the example namespaces", () => {
  it("have one right Backup each", () => {
    const view = (objects: typeof shop, name: string) =>
      Option.getOrThrow(decodeCluster(pick(objects, "Cluster", name)))
    const backups = (objects: typeof shop) => objects.filter(({ kind }) => kind === "Backup")
    assert.strictEqual(pickNewest(backups(shop), plugin, view(shop, "orders")), "20261119T020003")
    assert.strictEqual(
      pickNewest(backups(legacy), { _tag: "InTree", serverName: "invoices" }, view(legacy, "invoices")),
      "20261119T030004"
    )
    assert.isUndefined(pickNewest(backups(legacy), { ...plugin, serverName: "ledger-eu" }, view(legacy, "ledger-eu")))
  })
})
