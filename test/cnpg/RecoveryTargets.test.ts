/** The target of a recovery, through the whole action: where it is said, what is asked of the cluster, what is refused. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { action } from "../../src/cnpg/ClusterRestore.ts"
import { action as ownedAction } from "../../src/cnpg/OwnedResourceRestore.ts"
import type { KubernetesObject } from "../../src/kubernetes/Kubernetes.ts"
import {
  archiver,
  assertLine,
  at,
  callsOf,
  cluster,
  itIs,
  makeWorld,
  namespace,
  pluginConfig,
  recorded,
  refusal,
  restoreOf,
  start,
  startProcess,
  type Tree,
  webhookProblems
} from "./World.ts"

const key = "velero-cnpg/recovery-target"
const plugin = "replicated.com/cnpg-restore-plugin"
const id = "20261119T020003"
const storedAt = "2026-11-19T09:30:00.000Z"
const times = {
  "velero-cnpg/current-backup-ended-at": "2026-11-19T02:01:41Z",
  "velero-cnpg/stored-at": storedAt,
  "velero-cnpg/first-recoverability-point": "2026-11-01T02:00:00Z"
}
const today = itIs("2026-11-20T00:00:00Z")

const orders = (annotations: Tree = {}) => recorded({ plugins: [archiver()] }, { ...times, ...annotations })
const to = (target: string, mapping: Readonly<Record<string, string>> = {}) =>
  restoreOf("r", mapping, { [key]: target })
const targetIn = (tree: unknown) => at(tree, "spec", "bootstrap", "recovery", "recoveryTarget")

const store = (first: string): KubernetesObject => ({
  apiVersion: "barmancloud.cnpg.io/v1",
  kind: "ObjectStore",
  metadata: { name: "orders-store", namespace: "shop" },
  status: { serverRecoveryWindow: { "orders-v1": { firstRecoverabilityPoint: first } } }
})
const getStore = "get objectstores.barmancloud.cnpg.io shop/orders-store"

describe("the target of a recovery", () => {
  it.effect("is the Restore's, else the Cluster's, else the ConfigMap's, else the end of the archive", () =>
    Effect.gen(function* () {
      yield* today
      const run = (
        restore: string | undefined,
        ofCluster: string | undefined,
        config: Readonly<Record<string, string>>
      ) =>
        Effect.gen(function* () {
          const process = yield* startProcess(makeWorld([namespace("shop")]), [pluginConfig(config, plugin)])
          const item = orders(ofCluster === undefined ? {} : { [key]: ofCluster })
          const wish = restore === undefined ? restoreOf("r") : to(restore)
          return targetIn((yield* process.restore(action, item, wish)).tree)
        })
      const backup = { backupID: id, targetImmediate: true }
      assert.deepStrictEqual(yield* run(undefined, undefined, {}), { backupID: id })
      assert.deepStrictEqual(yield* run(undefined, undefined, { recoveryTarget: "backup" }), backup)
      assert.deepStrictEqual(yield* run(undefined, "latest", { recoveryTarget: "backup" }), { backupID: id })
      assert.deepStrictEqual(yield* run("lsn:0/3000060", "backup", {}), { targetLSN: "0/3000060" })
      assert.deepStrictEqual(yield* run("latest", "nonsense", {}), { backupID: id })
    })
  )

  it.effect.each(["tomorrow", "", "2026-11-19T09:30:00", "xid:-1"] as const)(
    "that means nothing is an error with the right ones, and nothing is written: %j",
    (target) =>
      Effect.gen(function* () {
        yield* today
        const { process, world } = yield* start([namespace("shop")])
        const error = yield* Effect.flip(process.restore(action, orders(), to(target)))
        for (const part of [key, "Restore r", JSON.stringify(target), "latest", "velero-backup", "lsn:", "timeline:"]) {
          assert.include(error.message, part)
        }
        const ofCluster = yield* Effect.flip(process.restore(action, orders({ [key]: target })))
        for (const part of [key, "Cluster shop/orders"]) assert.include(ofCluster.message, part)
        assert.deepStrictEqual(world.configMaps(), [])
      })
  )

  it.effect("of the ConfigMap is checked too", () =>
    Effect.gen(function* () {
      const process = yield* startProcess(makeWorld([namespace("shop")]), [
        pluginConfig({ recoveryTarget: "tomorrow" }, plugin)
      ])
      const error = yield* Effect.flip(process.restore(action, orders()))
      assert.strictEqual(error._tag, "InvalidPluginConfig")
      for (const part of ["velero/tested", "recoveryTarget", "velero-backup"]) assert.include(error.message, part)
    })
  )

  it.effect("is in the log, with the backup that the recovery starts from", () =>
    Effect.gen(function* () {
      yield* today
      const { process } = yield* start([namespace("shop")])
      const { lines } = yield* process.restore(action, orders(), to("2026-11-19T03:00:00Z"))
      assertLine(
        lines,
        "Info",
        "from server name orders-v1, the newest backup before 2026-11-19T03:00:00Z up to 2026-11-19T03:00:00Z, and archives under orders-20261120-000000"
      )
    })
  )

  it.effect("velero-backup warns that it may not be reached", () =>
    Effect.gen(function* () {
      yield* today
      const { process } = yield* start([namespace("shop")])
      const { lines, tree } = yield* process.restore(action, orders(), to("velero-backup"))
      assert.deepStrictEqual(targetIn(tree), { backupID: id, targetTime: storedAt })
      assert.deepStrictEqual(
        lines.map(({ level }) => level),
        ["Warn", "Info"]
      )
      assert.deepStrictEqual(webhookProblems(tree), [])
    })
  )
})

describe("how far back the archive reaches", () => {
  it.effect("is not asked for where the recovery goes to its end", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([namespace("shop"), store("2026-11-19T10:00:00Z")])
      yield* process.restore(action, orders())
      assert.notInclude(callsOf(world), getStore)
    })
  )

  it.effect.each([
    ["by what the backup recorded", [], "2026-11-01T01:00:00Z", "2026-11-01T02:00:00Z"],
    [
      "by the living ObjectStore, which is newer",
      ["2026-11-10T00:00:00Z"],
      "2026-11-05T00:00:00Z",
      "2026-11-10T00:00:00Z"
    ],
    ["by the later of both", ["2026-10-01T00:00:00Z"], "2026-11-01T01:00:00Z", "2026-11-01T02:00:00Z"]
  ] as const)("refuses an earlier time, and nothing is written: %s", ([, stores, target, window]) =>
    Effect.gen(function* () {
      yield* today
      const { process, world } = yield* start([namespace("shop"), namespace("shop-2"), ...stores.map(store)])
      const error = yield* Effect.flip(process.restore(action, orders(), to(target, { shop: "shop-2" })))
      assert.strictEqual(error._tag, "UnreachableTarget")
      for (const part of ["Cluster shop/orders", target, "orders-v1", window]) assert.include(error.message, part)
      assert.include(callsOf(world), getStore)
      assert.deepStrictEqual(world.configMaps(), [])
    })
  )

  it.effect("is for an in-tree store what the status of the backed-up Cluster says", () =>
    Effect.gen(function* () {
      yield* today
      const item = {
        ...recorded({ backup: { barmanObjectStore: { s3Credentials: {} } } }),
        status: { firstRecoverabilityPointByMethod: { barmanObjectStore: "2026-11-01T02:00:00Z" } }
      }
      const { process, world } = yield* start([namespace("shop")])
      const error = yield* Effect.flip(process.restore(action, item, to("2026-11-01T01:00:00Z")))
      assert.include(error.message, "begins at 2026-11-01T02:00:00Z")
      const { tree } = yield* process.restore(action, item, to("2026-11-01T03:00:00Z"))
      assert.deepStrictEqual(targetIn(tree), { targetTime: "2026-11-01T03:00:00Z" })
      assert.isFalse(callsOf(world).some((call) => call.includes("objectstores")))
    })
  )

  it.effect("is not known without the right to read it: a warning, and what the backup recorded still counts", () =>
    Effect.gen(function* () {
      yield* today
      const refuse = refusal.forbidden("get", "objectstores.barmancloud.cnpg.io")
      const { process } = yield* start([namespace("shop"), store("2026-11-10T00:00:00Z")], refuse)
      const { lines, tree } = yield* process.restore(action, orders(), to("2026-11-05T00:00:00Z"))
      assert.deepStrictEqual(targetIn(tree), { targetTime: "2026-11-05T00:00:00Z" })
      assertLine(lines.slice(0, 1), "Warn", "how far back", "Grant the verb get on objectstores.barmancloud.cnpg.io")
      const error = yield* Effect.flip(process.restore(action, orders(), to("2026-10-05T00:00:00Z")))
      assert.strictEqual(error._tag, "UnreachableTarget")
    })
  )

  it.effect("is not known, silently, where there is no such ObjectStore any more", () =>
    Effect.gen(function* () {
      yield* today
      const { process } = yield* start([namespace("shop")])
      const { lines } = yield* process.restore(action, orders(), to("2026-11-05T00:00:00Z"))
      assert.deepStrictEqual(
        lines.map(({ level }) => level),
        ["Info"]
      )
    })
  )
})

describe("a target without a recovery", () => {
  const fromVolumes = { "velero-cnpg/recover-from": "volumes" }

  it.effect.each([
    ["a Cluster that starts on its volumes", orders(), restoreOf("r", {}, { [key]: "backup", ...fromVolumes }), []],
    ["a Cluster that lives already", orders(), to("backup"), [cluster({ plugins: [archiver()] })]],
    ["a Cluster that was recorded no archive", cluster({}), to("backup"), []],
    ["the Cluster's own", cluster({}, { annotations: { [key]: "backup" } }), restoreOf("r"), []]
  ] as const)("is not applied, with a warning: %s", ([, item, restore, objects]) =>
    Effect.gen(function* () {
      yield* today
      const { process } = yield* start([namespace("shop"), ...objects])
      const { lines, text } = yield* process.restore(action, item, restore)
      assert.notInclude(text, "recoveryTarget")
      const warnings = lines.filter(({ message }) => message.includes(key))
      assertLine(warnings, "Warn", "Cluster shop/orders", `"backup"`, "not applied")
    })
  )

  it.effect("is not mentioned where nobody asked for one", () =>
    Effect.gen(function* () {
      const { process } = yield* start([namespace("shop")])
      for (const annotations of [fromVolumes, { ...fromVolumes, [key]: "latest" }]) {
        const { lines } = yield* process.restore(action, orders(), restoreOf("r", {}, annotations))
        assertLine(lines, "Info", "starts in namespace shop on its restored volumes")
      }
    })
  )
})

describe("recover-from in the ConfigMap", () => {
  const owned: KubernetesObject = {
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: {
      name: "orders-1",
      namespace: "shop",
      labels: { "cnpg.io/cluster": "orders" },
      annotations: { "velero-cnpg/owned-by-cluster": "orders", "velero-cnpg/current-backup-id": id }
    }
  }

  it.effect("is that of the Cluster's plugin, for the Cluster and for what belongs to it", () =>
    Effect.gen(function* () {
      const volumes = pluginConfig({ recoverFrom: "volumes" }, plugin)
      const process = yield* startProcess(makeWorld([namespace("shop")]), [volumes])
      assert.notInclude((yield* process.restore(action, orders())).text, "clusterBackup")
      assert.isFalse((yield* process.restore(ownedAction, owned)).skip)
      const wish = restoreOf("r2", {}, { "velero-cnpg/recover-from": "object-store" })
      assert.include((yield* process.restore(action, orders(), wish)).text, "clusterBackup")
      assert.isTrue((yield* process.restore(ownedAction, owned, wish)).skip)
    })
  )

  it.effect("of the owned resources' plugin is not looked at, as it could say another thing", () =>
    Effect.gen(function* () {
      const process = yield* startProcess(makeWorld([]), [pluginConfig({ recoverFrom: "volumes" })])
      assert.isTrue((yield* process.restore(ownedAction, owned)).skip)
    })
  )
})
