import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import { action, type Facts, transform } from "../../src/cnpg/ClusterBackup.ts"
import type { Recorded } from "../../src/cnpg/Recoveries.ts"
import * as RecoveryWindow from "../../src/cnpg/RecoveryWindow.ts"
import type { KubernetesObject } from "../../src/kubernetes/Kubernetes.ts"
import * as Json from "../../src/velero/Json.ts"
import {
  archiver,
  assertLine,
  at,
  barman,
  callsOf,
  cluster,
  completed,
  itIs,
  legacy,
  nightly,
  outside,
  pick,
  refusal,
  shop,
  start,
  startProcess,
  textOf,
  type Tree
} from "./World.ts"

const serverName = "velero-cnpg/serverName"
const backupId = "velero-cnpg/current-backup-id"
const endedAt = "velero-cnpg/current-backup-ended-at"
const storedAt = "velero-cnpg/stored-at"
const first = "velero-cnpg/first-recoverability-point"

/** The tests' clock stands. */
const atZero = { [storedAt]: "1970-01-01T00:00:00.000Z" }

const annotationsOf = (tree: unknown) => at(tree, "metadata", "annotations")

const fresh = ["name", "id", "end-lsn", "end-wal"].map((part) => `velero-cnpg/fresh-backup-${part}`)

const owned = [serverName, backupId, endedAt, storedAt, first, ...fresh].map((key) => ["metadata", "annotations", key])

const orders = cluster({ plugins: [archiver()] })
const good = completed("good", "2026-11-19T02:00:00Z")

/** What a Cluster that was restored once carries. */
const stale = {
  [serverName]: "orders-v0",
  [backupId]: "20250101T000000",
  [endedAt]: "2025-01-01T00:00:09Z",
  [storedAt]: "2025-01-02T00:00:00.000Z",
  [first]: "2024-12-01T00:00:00Z",
  "velero-cnpg/fresh-backup-id": "20250101T000000",
  mine: "stays"
}

describe("what is recorded", () => {
  it.effect("of the example is its server name and the one right Backup of seven", () =>
    Effect.gen(function* () {
      const item = pick(shop, "Cluster", "orders")
      const { process } = yield* start(shop)
      const { lines, text, tree } = yield* process.backUp(action, item)
      assert.deepStrictEqual(annotationsOf(tree), {
        [serverName]: "orders-v1",
        [backupId]: "20261119T020003",
        [endedAt]: "2026-11-19T02:01:41Z",
        [first]: "2026-11-17T10:06:47Z",
        ...atZero
      })
      assert.deepStrictEqual(outside(text, owned), outside(textOf(item), owned))
      assertLine(
        lines,
        "Info",
        "Cluster shop/orders",
        "orders-v1",
        "20261119T020003",
        "orders-daily-20261119020000",
        "2026-11-19T02:01:41Z"
      )
    })
  )

  it.effect("of an in-tree store is the Cluster's name, which is the operator's default", () =>
    Effect.gen(function* () {
      const { process } = yield* start(legacy)
      const { lines, tree } = yield* process.backUp(action, pick(legacy, "Cluster", "invoices"))
      assert.deepStrictEqual(annotationsOf(tree), {
        [serverName]: "invoices",
        [backupId]: "20261119T030004",
        [endedAt]: "2026-11-19T03:00:58Z",
        [first]: "2026-11-17T15:21:07Z",
        ...atZero
      })
      assertLine(lines, "Info", "Cluster billing/invoices")
    })
  )

  it.effect("of a Cluster without a completed backup is its server name, with a warning", () =>
    Effect.gen(function* () {
      const { process } = yield* start(legacy)
      const { lines, tree } = yield* process.backUp(action, pick(legacy, "Cluster", "ledger-eu"))
      assert.deepStrictEqual(annotationsOf(tree), { [serverName]: "ledger-eu", ...atZero })
      assertLine(lines, "Warn", "Cluster billing/ledger-eu", "no completed Barman backup", "ScheduledBackup")
    })
  )

  it.effect("replaces what an earlier life left", () =>
    Effect.gen(function* () {
      const { process } = yield* start([orders, good])
      const { tree } = yield* process.backUp(action, cluster({ plugins: [archiver()] }, { annotations: stale }))
      assert.deepStrictEqual(annotationsOf(tree), {
        [serverName]: "orders-v1",
        [backupId]: "id-of-good",
        [endedAt]: "2026-11-19T02:00:00Z",
        ...atZero,
        mine: "stays"
      })
    })
  )

  it.effect("has no stale id where there is no completed backup now", () =>
    Effect.gen(function* () {
      const { process } = yield* start([orders, completed("failed", undefined, { phase: "failed" })])
      const { lines, tree } = yield* process.backUp(action, cluster({ plugins: [archiver()] }, { annotations: stale }))
      assert.deepStrictEqual(annotationsOf(tree), { [serverName]: "orders-v1", mine: "stays", ...atZero })
      assertLine(lines, "Warn", "no completed Barman backup")
    })
  )

  it.effect("is the newest of 1,200 Backups, with unusable ones on top", () =>
    Effect.gen(function* () {
      const many = Array.from({ length: 1_200 }, (_, index) =>
        // 7 and 1,200 have no common divisor: every minute once, in no order.
        completed(`b${index}`, new Date(Date.UTC(2026, 0, 1) + ((index * 7) % 1_200) * 60_000).toISOString())
      )
      const top: KubernetesObject = {
        ...completed("top", "2026-12-31T00:00:00Z"),
        spec: { cluster: { name: "orders" }, method: "volumeSnapshot" }
      }
      const { process, world } = yield* start([orders, top, ...many])
      const { tree } = yield* process.backUp(action, orders)
      const newest = many.find(({ status }) => at(status, "stoppedAt") === "2026-01-01T19:59:00.000Z")
      assert.strictEqual(at(annotationsOf(tree), backupId), at(newest, "status", "backupId"))
      assert.deepStrictEqual(callsOf(world), [
        "list backups.postgresql.cnpg.io shop",
        "get objectstores.barmancloud.cnpg.io shop/orders-store"
      ])
    })
  )

  it.effect("is added to annotations that are null or missing, and nothing else changes", () =>
    Effect.gen(function* () {
      const { process } = yield* start([orders, good])
      for (const annotations of [`,"annotations":null`, `,"annotations":{}`, ""]) {
        const text = `{ "kind":"Cluster","spec":{"plugins":[${textOf(archiver())}],"x":1e400, "y":1.0,"z":12345678901234567890},\n"metadata":{"namespace":"shop","name":"orders"${annotations}},"\\u0061":"\\u003c" }`
        const outcome = yield* process.backUp(action, text)
        assert.deepStrictEqual(annotationsOf(outcome.tree), {
          [serverName]: "orders-v1",
          [backupId]: "id-of-good",
          [endedAt]: "2026-11-19T02:00:00Z",
          ...atZero
        })
        assert.deepStrictEqual(outside(outcome.text, owned), outside(text, owned))
      }
    })
  )

  it.effect("is nothing new, and the very same bytes, where it is recorded already", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([orders, good])
      const { text } = yield* process.backUp(action, orders)
      assert.isTrue((yield* process.backUp(action, text)).isUntouched)
      assert.isTrue((yield* (yield* startProcess(world)).backUp(action, text)).isUntouched)
    })
  )

  it.effect("is only annotated: the live Cluster is never written", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start(shop)
      const before = textOf(world.objects())
      yield* process.backUp(action, pick(shop, "Cluster", "orders"))
      assert.strictEqual(textOf(world.objects()), before)
      assert.isTrue(world.calls.every(({ verb }) => verb !== "apply"))
    })
  )
})

describe("a Cluster that nothing can be recorded of", () => {
  const cases: ReadonlyArray<readonly [string, Tree, "Info" | "Warn", ReadonlyArray<string>]> = [
    ["has no archive", {}, "Info", ["Cluster shop/orders", "no archive"]],
    [
      "has nothing but a disabled entry",
      { plugins: [{ ...archiver(), enabled: false }] },
      "Info",
      ["Cluster shop/orders", "no archive"]
    ],
    [
      "archives with another plugin",
      { plugins: [{ name: "backup.example.com", isWALArchiver: true }, { name: barman }] },
      "Warn",
      ["Cluster shop/orders", "backup.example.com", "will not be recovered"]
    ],
    [
      "does not say with which of two entries it archives",
      { plugins: [{ name: barman }, { name: barman }] },
      "Warn",
      ["Cluster shop/orders", "isWALArchiver", "will not be recovered"]
    ]
  ]
  it.effect.each(cases)("%s: same bytes, one line, no call", ([, spec, level, parts]) =>
    Effect.gen(function* () {
      const { process, world } = yield* start([good])
      const outcome = yield* process.backUp(action, cluster(spec, { annotations: { mine: "stays" } }))
      assert.isTrue(outcome.isUntouched)
      assertLine(outcome.lines, level, ...parts)
      assert.deepStrictEqual(world.calls, [])
    })
  )

  it.effect.each(cases)("%s: loses what an earlier life recorded", ([, spec, level, parts]) =>
    Effect.gen(function* () {
      const { process } = yield* start([good])
      const item = cluster(spec, { annotations: stale })
      const outcome = yield* process.backUp(action, item)
      assert.deepStrictEqual(annotationsOf(outcome.tree), { mine: "stays" })
      assert.deepStrictEqual(outside(outcome.text, owned), outside(textOf(item), owned))
      assertLine(outcome.lines, level, ...parts)
    })
  )

  it.effect("may be the example's", () =>
    Effect.gen(function* () {
      const { process } = yield* start(legacy)
      const outcome = yield* process.backUp(action, pick(legacy, "Cluster", "reports"))
      assert.isTrue(outcome.isUntouched)
      assertLine(outcome.lines, "Info", "Cluster billing/reports")
    })
  )
})

describe("where Kubernetes does not help", () => {
  const cases = [
    [
      "Backups may not be listed",
      refusal.forbidden("list", "backups.postgresql.cnpg.io"),
      ["list", "backups.postgresql.cnpg.io", "RBAC says no", "Grant", "service account"]
    ],
    ["the API server does not answer", refusal.unavailable(), ["backups.postgresql.cnpg.io", "connection refused"]],
    ["the CRD is not there", refusal.unknownKind("postgresql.cnpg.io"), ["backups.postgresql.cnpg.io", "404"]],
    ["no cluster is configured", refusal.noCluster, ["nothing names one"]]
  ] as const
  it.effect.each(cases)("%s: the server name is recorded, a stale id is not kept, one warning", ([, refuse, parts]) =>
    Effect.gen(function* () {
      const { process } = yield* start([orders, good], refuse)
      const { lines, tree } = yield* process.backUp(action, cluster({ plugins: [archiver()] }, { annotations: stale }))
      assert.deepStrictEqual(annotationsOf(tree), { [serverName]: "orders-v1", mine: "stays", ...atZero })
      assertLine(lines, "Warn", "Cluster shop/orders", "orders-v1", "no backup id", ...parts)
    })
  )
})

describe("how far back the archive reaches", () => {
  const store = (status: unknown) => ({
    apiVersion: "barmancloud.cnpg.io/v1",
    kind: "ObjectStore",
    metadata: { name: "orders-store", namespace: "shop" },
    status
  })
  const windows = {
    "orders-v0": { firstRecoverabilityPoint: "2025-01-01T00:00:00Z" },
    "orders-v1": { firstRecoverabilityPoint: "2026-11-01T02:00:00Z" }
  }

  it.effect("is recorded from the ObjectStore's status, under the Cluster's server name", () =>
    Effect.gen(function* () {
      const { process } = yield* start([orders, good, store({ serverRecoveryWindow: windows })])
      const { lines, tree } = yield* process.backUp(action, orders)
      assert.strictEqual(at(annotationsOf(tree), first), "2026-11-01T02:00:00Z")
      assertLine(lines, "Info", "recorded server name orders-v1")
    })
  )

  it.effect.each([
    ["of others only", { serverRecoveryWindow: { "orders-v0": windows["orders-v0"] } }],
    ["with null for the server", { serverRecoveryWindow: { "orders-v1": null } }],
    ["without a first point", { serverRecoveryWindow: { "orders-v1": { firstRecoverabilityPoint: null } } }],
    ["of another shape", { serverRecoveryWindow: [] }],
    ["null", null],
    ["missing", undefined]
  ] as const)("is not recorded where the status is %s, and the old one goes, silently", ([, status]) =>
    Effect.gen(function* () {
      const { process } = yield* start([orders, good, store(status)])
      const item = cluster({ plugins: [archiver()] }, { annotations: stale })
      const { lines, tree } = yield* process.backUp(action, item)
      assert.isUndefined(at(annotationsOf(tree), first))
      assertLine(lines, "Info", "recorded server name orders-v1")
    })
  )

  it.effect("is not recorded without the right to read it, which is said in one more line", () =>
    Effect.gen(function* () {
      const refuse = refusal.forbidden("get", "objectstores.barmancloud.cnpg.io")
      const { process } = yield* start([orders, good, store({ serverRecoveryWindow: windows })], refuse)
      const { lines, tree } = yield* process.backUp(action, orders)
      assert.isUndefined(at(annotationsOf(tree), first))
      assert.strictEqual(at(annotationsOf(tree), backupId), "id-of-good")
      assert.deepStrictEqual(
        lines.map(({ level }) => level),
        ["Info", "Info"]
      )
      assertLine(lines.slice(1), "Info", "how far back", "Grant the verb get on objectstores.barmancloud.cnpg.io")
    })
  )

  it.effect("is recorded with the time at which the Cluster was stored", () =>
    Effect.gen(function* () {
      const { process } = yield* start([orders, good])
      yield* itIs("2026-11-19T09:30:00.250Z")
      assert.strictEqual(
        at(annotationsOf((yield* process.backUp(action, orders)).tree), storedAt),
        "2026-11-19T09:30:00.250Z"
      )
    })
  )
})

describe("many at once", () => {
  it.effect("read each thing once for each Cluster, and once more for another Velero backup", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([orders, good])
      const outcomes = yield* Effect.forEach(Array.from({ length: 50 }), () => process.backUp(action, orders), {
        concurrency: "unbounded"
      })
      assert.strictEqual(new Set(outcomes.map(({ text }) => text)).size, 1)
      assert.strictEqual(world.calls.length, 2)
      yield* world.put(completed("later", "2026-11-19T03:00:00Z"))
      assert.strictEqual(at(annotationsOf((yield* process.backUp(action, orders)).tree), backupId), "id-of-good")
      const other = { metadata: { ...nightly.metadata, uid: "uid-of-another" } }
      assert.strictEqual(
        at(annotationsOf((yield* process.backUp(action, orders, other)).tree), backupId),
        "id-of-later"
      )
      assert.strictEqual(world.calls.length, 4)
    })
  )
})

describe("items that are no Clusters", () => {
  it.effect.each([
    ["an empty object", "{}"],
    ["metadata without a name", `{"metadata":{},"spec":{}}`],
    ["plugins that are no list", `{"metadata":{"name":"orders"},"spec":{"plugins":{}}}`],
    ["a plugin without a name", `{"metadata":{"name":"orders"},"spec":{"plugins":[{"enabled":true}]}}`],
    [
      "a number for a server name",
      `{"metadata":{"name":"o"},"spec":{"plugins":[{"name":"p","parameters":{"serverName":1}}]}}`
    ],
    ["a list", "[]"],
    ["no JSON", "{"]
  ] as const)("fail, and touch nothing: %s", ([, text]) =>
    Effect.gen(function* () {
      const { process, world } = yield* start([])
      const error = yield* Effect.flip(process.backUp(action, text))
      assert.match(error._tag, /^(UnreadableItem|MalformedItem)$/)
      assert.deepStrictEqual(world.calls, [])
    })
  )
})

describe("the decision", () => {
  const view = { metadata: { name: "orders", namespace: "shop" } }
  const archive = {
    _tag: "Plugin",
    plugin: barman,
    entries: [0],
    serverName: "orders-v1",
    barmanObjectName: "store"
  } as const
  const now = DateTime.makeUnsafe(0)
  const of = (recorded: Recorded, facts: Partial<Facts> = {}) =>
    transform(view, { archive, recorded, now, window: RecoveryWindow.unknown, ...facts })
  const at0 = { backupId: "id", name: "b", at: 0, endedAt: undefined }
  const set = (key: string, value: string) => Json.set(["metadata", "annotations", key], value)
  const remove = (key: string) => Json.remove(["metadata", "annotations", key])
  it("sets the server name, and sets or removes the id", () => {
    assert.deepStrictEqual(of({ _tag: "Found", backup: at0 }).patches, [
      set(serverName, "orders-v1"),
      set(backupId, "id"),
      remove(endedAt),
      ...fresh.map(remove),
      set(storedAt, "1970-01-01T00:00:00.000Z"),
      remove(first)
    ])
    for (const recorded of [{ _tag: "NoneCompleted" }, { _tag: "Unknown", reason: "why" }] as const) {
      assert.deepStrictEqual(of(recorded).patches, [
        set(serverName, "orders-v1"),
        remove(backupId),
        remove(endedAt),
        ...fresh.map(remove),
        set(storedAt, "1970-01-01T00:00:00.000Z"),
        remove(first)
      ])
    }
  })

  it("never warns of a good backup, and never keeps quiet about a missing one", () => {
    assert.strictEqual(of({ _tag: "Found", backup: at0 }).notes[0]?.level, "info")
    assert.strictEqual(of({ _tag: "NoneCompleted" }).notes[0]?.level, "warn")
    assert.strictEqual(of({ _tag: "Unknown", reason: "why" }).notes[0]?.level, "warn")
    assert.include(of({ _tag: "Unknown", reason: "why" }).notes[0]?.message ?? "", "why")
  })
})

describe("the selector", () => {
  it("asks for Clusters, by their full name", () => {
    assert.deepStrictEqual(action.selector, { includedResources: ["clusters.postgresql.cnpg.io"] })
  })
})
