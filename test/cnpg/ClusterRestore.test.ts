import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as TestClock from "effect/testing/TestClock"
import { action as backupAction } from "../../src/cnpg/ClusterBackup.ts"
import { action, transform } from "../../src/cnpg/ClusterRestore.ts"
import { type KubernetesObject, Rejected } from "../../src/kubernetes/Kubernetes.ts"
import type * as Json from "../../src/velero/Json.ts"
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
  makeWorld,
  namespace,
  outside,
  pick,
  recorded,
  refusal,
  restoreOf,
  shop,
  start,
  startProcess,
  stripped,
  textOf,
  type Tree,
  type World,
  webhookProblems
} from "./World.ts"

const now = itIs("2026-11-19T09:30:00Z")
const destination = "orders-20261119-093000"

const inPlace = restoreOf("in-place")
const moved = restoreOf("moved", { shop: "shop-2" })
const fromVolumes = { "velero-cnpg/recover-from": "volumes" }

/** A backed-up Cluster of the Barman Cloud plugin. */
const orders = recorded({ plugins: [archiver()] })

/** What the plan may change of the Cluster with this spec. */
const ownedOf = (tree: unknown): ReadonlyArray<Json.Path> => {
  const plugins = (at(tree, "spec", "plugins") ?? []) as ReadonlyArray<{ readonly name: string }>
  const externals = (at(tree, "spec", "externalClusters") ?? []) as ReadonlyArray<{ readonly name: string }>
  const existing = externals.findIndex(({ name }) => name === "clusterBackup")
  return [
    ["status"],
    ...["resourceVersion", "uid", "generation", "creationTimestamp", "managedFields"].map((key) => ["metadata", key]),
    ["spec", "bootstrap"],
    ["spec", "externalClusters", existing === -1 ? externals.length : existing],
    ["spec", "backup", "barmanObjectStore", "serverName"],
    ...plugins.flatMap(({ name }, index) =>
      name === barman ? [["spec", "plugins", index, "parameters", "serverName"]] : []
    )
  ]
}

const assertOnlyOwnedChanged = (outcome: { readonly text: string }, item: string): void => {
  const owned = ownedOf(JSON.parse(item))
  assert.deepStrictEqual(outside(outcome.text, owned), outside(item, owned))
}

/** Data of the one ConfigMap in a namespace. */
const dataIn = (world: World, name: string): unknown =>
  world.configMaps().find(({ metadata }) => metadata?.namespace === name)?.["data"]

const assertNoConfigMap = (world: World): void => {
  assert.deepStrictEqual(world.configMaps(), [])
  assert.isTrue(world.calls.every(({ verb }) => verb !== "apply"))
}

const namesOf = (tree: unknown) => ({
  source: at(tree, "spec", "externalClusters", 0, "plugin", "parameters", "serverName"),
  destination: at(tree, "spec", "plugins", 0, "parameters", "serverName")
})

describe("a Cluster without a recorded server name", () => {
  it.effect.each([
    ["no annotations", cluster({ plugins: [archiver()] })],
    ["other annotations", cluster({}, { annotations: { "velero-cnpg/current-backup-id": "20260101T000000" } })],
    ["an empty one", recorded({ plugins: [archiver()] }, { "velero-cnpg/serverName": "" })],
    ["annotations that are null", cluster({}, { annotations: null })],
    ["a wish that means nothing", cluster({}, { annotations: { "velero-cnpg/recover-from": "tape" } })]
  ] as const)("is restored as it is, same bytes and without a call: %s", ([, item]) =>
    Effect.gen(function* () {
      // Not even the namespace is looked for.
      const { process, world } = yield* start([], refusal.forbidden())
      const outcome = yield* process.restore(action, item, moved)
      assert.isTrue(outcome.isUntouched)
      assert.isFalse(outcome.skip)
      assert.deepStrictEqual(world.calls, [])
      assertLine(outcome.lines, "Info", "Cluster shop/orders", "velero-cnpg/serverName")
    })
  )
})

describe("a Cluster that recovers", () => {
  it.effect("has its source, backup and new name everywhere that they belong", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([namespace("shop")])
      yield* now
      const outcome = yield* process.restore(action, orders, inPlace)
      assert.isFalse(outcome.skip)
      assert.deepStrictEqual(outcome.tree as unknown, {
        apiVersion: "postgresql.cnpg.io/v1",
        kind: "Cluster",
        metadata: {
          name: "orders",
          namespace: "shop",
          annotations: {
            "velero-cnpg/serverName": "orders-v1",
            "velero-cnpg/current-backup-id": "20261119T020003"
          }
        },
        spec: {
          plugins: [archiver({ barmanObjectName: "orders-store", serverName: destination })],
          externalClusters: [
            {
              name: "clusterBackup",
              plugin: { name: barman, parameters: { barmanObjectName: "orders-store", serverName: "orders-v1" } }
            }
          ],
          bootstrap: {
            recovery: { source: "clusterBackup", recoveryTarget: { backupID: "20261119T020003" } }
          }
        }
      })
      assert.deepStrictEqual(dataIn(world, "shop"), {
        write_to_server_name: destination,
        read_from_server_name: "orders-v1",
        "orders.write_to_server_name": destination,
        "orders.read_from_server_name": "orders-v1"
      })
      assertLine(
        outcome.lines,
        "Info",
        "Cluster shop/orders",
        "orders-v1",
        "20261119T020003",
        destination,
        "ConfigMap shop/cnpg-velero-override"
      )
    })
  )

  it.effect("has all that the example's webhook defaults and users wrote", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([...shop, namespace("shop-restored")])
      yield* now
      const stored = yield* process.backUp(backupAction, pick(shop, "Cluster", "orders"))
      const outcome = yield* process.restore(action, stored.text, restoreOf("r", { shop: "shop-restored" }))
      assertOnlyOwnedChanged(outcome, stripped(stored.text))
      assert.deepStrictEqual(at(outcome.tree, "spec", "bootstrap"), {
        recovery: {
          source: "clusterBackup",
          recoveryTarget: { backupID: "20261119T020003" },
          database: "orders",
          owner: "orders_owner"
        }
      })
      assert.deepStrictEqual(namesOf(outcome.tree), { source: "orders-v1", destination })
      assert.deepStrictEqual(webhookProblems(outcome.tree), [])
      assert.isDefined(dataIn(world, "shop-restored"))
      assert.isUndefined(dataIn(world, "shop"))
    })
  )

  it.effect("from an in-tree store, with exotic numbers, keeps the spelling of the store", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([...legacy, namespace("billing-2")])
      yield* now
      const stored = yield* process.backUp(backupAction, pick(legacy, "Cluster", "invoices"))
      const text = stored.text.replace(`"wal":{`, `"data":{"jobs":2.0,"big":12345678901234567890,"x":1e400},"wal":{`)
      const outcome = yield* process.restore(action, text, restoreOf("r", { billing: "billing-2" }))
      assertOnlyOwnedChanged(outcome, stripped(text))
      const store = /"barmanObjectStore":(\{.*\}),"serverName":"invoices-20261119-093000"\}/.exec(outcome.text)
      assert.isNotNull(store)
      assert.include(outcome.text, `"data":{"jobs":2.0,"big":12345678901234567890,"x":1e400}`)
      assert.strictEqual(outcome.text.split("12345678901234567890").length, 3, "in the store and in its copy")
      assert.strictEqual(at(outcome.tree, "spec", "externalClusters", 0, "barmanObjectStore", "serverName"), "invoices")
      assert.strictEqual(
        at(outcome.tree, "spec", "backup", "barmanObjectStore", "serverName"),
        "invoices-20261119-093000"
      )
      assert.deepStrictEqual(at(outcome.tree, "spec", "bootstrap", "recovery", "database"), "app")
      assert.deepStrictEqual(webhookProblems(outcome.tree), [])
      assert.include(textOf(dataIn(world, "billing-2")), "invoices-20261119-093000")
    })
  )

  it.effect("as a replica cluster keeps all its external clusters", () =>
    Effect.gen(function* () {
      const item = pick(legacy, "Cluster", "ledger-eu")
      const { process } = yield* start(legacy.filter((object) => object !== item))
      yield* now
      const stored = yield* process.backUp(backupAction, item)
      const outcome = yield* process.restore(action, stored.text, inPlace)
      assertOnlyOwnedChanged(outcome, stripped(stored.text))
      assert.deepStrictEqual(
        (at(outcome.tree, "spec", "externalClusters") as ReadonlyArray<Tree>).map(({ name }) => name),
        ["ledger-us", "ledger-eu", "ledger-us-live", "clusterBackup"]
      )
      assert.deepStrictEqual(at(outcome.tree, "spec", "bootstrap"), {
        recovery: { source: "clusterBackup", database: "ledger", owner: "ledger" }
      })
      assert.deepStrictEqual(webhookProblems(outcome.tree), [])
      assertLine(outcome.lines, "Info", "newest backup")
    })
  )

  it.effect("loses what belonged to the old object, however Velero passed it on", () =>
    Effect.gen(function* () {
      const { process } = yield* start([namespace("shop")])
      const item = textOf({
        ...recorded(
          { plugins: [archiver()] },
          {},
          { managedFields: [{}], generation: 7, resourceVersion: "1", creationTimestamp: "x" }
        ),
        status: { phase: "Cluster in healthy state" }
      })
      const { tree } = yield* process.restore(action, item, inPlace, item)
      assert.deepStrictEqual(Object.keys(tree["metadata"] as Tree), ["name", "namespace", "annotations"])
      assert.notProperty(tree, "status")
    })
  )
})

describe("the ConfigMap", () => {
  it.effect("lies where the Cluster will land", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([namespace("shop"), namespace("shop-2"), namespace("other")])
      const mapping = restoreOf("r", { other: "shop", shop: "shop-2" })
      yield* process.restore(action, orders, mapping)
      assert.deepStrictEqual(
        world.configMaps().map(({ metadata }) => metadata?.namespace),
        ["shop-2"]
      )
    })
  )

  it.effect("is applied with a field manager of ours, by force, and stays when Helm goes", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([namespace("shop")])
      yield* process.restore(action, orders, inPlace)
      const apply = world.calls.find(({ verb }) => verb === "apply")
      assert.deepStrictEqual(apply?.options, { fieldManager: "velero-plugin-cnpg.orders", force: true })
      assert.strictEqual(apply?.name, "cnpg-velero-override")
      assert.strictEqual(world.configMaps()[0]?.metadata?.annotations?.["helm.sh/resource-policy"], "keep")
    })
  )

  it.effect("keeps other people's keys and labels, and takes ours over from whoever wrote them", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([
        namespace("shop"),
        {
          apiVersion: "v1",
          kind: "ConfigMap",
          metadata: {
            name: "cnpg-velero-override",
            namespace: "shop",
            labels: { team: "shop" },
            annotations: { note: "theirs" }
          },
          data: { write_to_server_name: "by-the-go-plugin", theirs: "stays", "audit.write_to_server_name": "audit-1" }
        }
      ])
      yield* now
      yield* process.restore(action, orders, inPlace)
      const [configMap] = world.configMaps()
      assert.deepStrictEqual(configMap?.metadata?.labels, { team: "shop" })
      assert.strictEqual(configMap?.metadata?.annotations?.["note"], "theirs")
      assert.deepStrictEqual(configMap?.["data"], {
        write_to_server_name: destination,
        theirs: "stays",
        "audit.write_to_server_name": "audit-1",
        read_from_server_name: "orders-v1",
        "orders.write_to_server_name": destination,
        "orders.read_from_server_name": "orders-v1"
      })
    })
  )

  it.effect("is found by both of two Clusters in a namespace, whoever comes first", () =>
    Effect.gen(function* () {
      const audit = recorded(
        { plugins: [archiver({ barmanObjectName: "s", serverName: "audit-v1" })] },
        { "velero-cnpg/serverName": "audit-v1" },
        { name: "audit" }
      )
      for (const items of [
        [orders, audit],
        [audit, orders]
      ]) {
        const { process, world } = yield* start([namespace("shop")])
        yield* now
        for (const item of items) yield* process.restore(action, item, inPlace)
        const data = dataIn(world, "shop")
        assert.strictEqual(at(data, "orders.write_to_server_name"), destination)
        assert.strictEqual(at(data, "orders.read_from_server_name"), "orders-v1")
        assert.strictEqual(at(data, "audit.write_to_server_name"), "audit-20261119-093000")
        assert.strictEqual(at(data, "audit.read_from_server_name"), "audit-v1")
        assert.strictEqual(world.configMaps().length, 1)
        const managers = world.calls.flatMap(({ options }) => (options === undefined ? [] : [options.fieldManager]))
        assert.strictEqual(new Set(managers).size, 2)
      }
    })
  )

  it.effect("is written last, when nothing else can fail", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([namespace("shop-2")])
      yield* process.restore(action, orders, moved)
      assert.deepStrictEqual(callsOf(world), [
        "get namespaces shop-2",
        "get clusters.postgresql.cnpg.io shop-2/orders",
        "get configmaps shop-2/cnpg-velero-override",
        "list clusters.postgresql.cnpg.io",
        "apply configmaps shop-2/cnpg-velero-override"
      ])
    })
  )
})

describe("the new name", () => {
  const nameOf = (outcome: { readonly tree: Tree }) => namesOf(outcome.tree).destination

  it.effect("is not the source, should that be of this very second", () =>
    Effect.gen(function* () {
      const { process } = yield* start([namespace("shop")])
      yield* now
      const item = recorded({ plugins: [archiver()] }, { "velero-cnpg/serverName": destination })
      const outcome = yield* process.restore(action, item, inPlace)
      assert.deepStrictEqual(namesOf(outcome.tree), { source: destination, destination: "orders-20261119-093001" })
    })
  )

  it.effect("is none of the target namespace's ConfigMap, by whomever", () =>
    Effect.gen(function* () {
      const { process } = yield* start([
        namespace("shop"),
        {
          apiVersion: "v1",
          kind: "ConfigMap",
          metadata: { name: "cnpg-velero-override", namespace: "shop" },
          data: { write_to_server_name: destination, read_from_server_name: "orders-20261119-093001" }
        }
      ])
      yield* now
      assert.strictEqual(nameOf(yield* process.restore(action, orders, inPlace)), "orders-20261119-093002")
    })
  )

  it.effect("is none of a live Cluster in any namespace", () =>
    Effect.gen(function* () {
      const live = (name: string, serverName: string) =>
        cluster({ plugins: [archiver({ barmanObjectName: "s", serverName })] }, { name, namespace: `of-${name}` })
      const { process } = yield* start([
        namespace("shop"),
        live("orders", destination),
        live("audit", "orders-20261119-093001")
      ])
      yield* now
      assert.strictEqual(nameOf(yield* process.restore(action, orders, inPlace)), "orders-20261119-093002")
    })
  )

  it.effect("is another one for same-named Clusters of two namespaces", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([namespace("shop-2"), namespace("store-2")])
      yield* now
      const theirs = recorded({ plugins: [archiver()] }, {}, { namespace: "store" })
      const restore = restoreOf("r", { shop: "shop-2", store: "store-2" })
      const outcomes = yield* Effect.all(
        [process.restore(action, orders, restore), process.restore(action, theirs, restore)],
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(outcomes.map(nameOf).toSorted(), [destination, "orders-20261119-093001"].toSorted())
      for (const [index, name] of ["shop-2", "store-2"].entries()) {
        assert.strictEqual(at(dataIn(world, name), "write_to_server_name"), nameOf(outcomes[index] ?? { tree: {} }))
      }
    })
  )

  it.effect("is the same for the same item in the same Restore, however late", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([namespace("shop")])
      yield* now
      const first = yield* process.restore(action, orders, inPlace)
      yield* TestClock.adjust("10 minutes")
      const second = yield* process.restore(action, orders, inPlace)
      assert.strictEqual(second.text, first.text)
      assert.strictEqual(at(dataIn(world, "shop"), "orders.write_to_server_name"), destination)
    })
  )

  it.effect("is the same in a new process, which finds it in the ConfigMap", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([namespace("shop-2")])
      yield* now
      const first = yield* process.restore(action, orders, moved)
      yield* TestClock.adjust("10 minutes")
      const second = yield* (yield* startProcess(world)).restore(action, orders, moved)
      assert.strictEqual(second.text, first.text)
      const other = { ...moved, metadata: { ...moved.metadata, uid: "uid-of-another" } }
      const third = yield* (yield* startProcess(world)).restore(action, orders, other)
      assert.strictEqual(nameOf(third), "orders-20261119-094000")
    })
  )

  it.effect("is the same when the ConfigMap could not be written at first", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([namespace("shop")], refusal.unavailable("apply"))
      yield* now
      yield* Effect.flip(process.restore(action, orders, inPlace))
      world.refuse = () => undefined
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(nameOf(yield* process.restore(action, orders, inPlace)), destination)
    })
  )

  it.effect("tells Restores without UID apart by name", () =>
    Effect.gen(function* () {
      const { process } = yield* start([namespace("shop")])
      yield* now
      const named = (name: string) => ({ metadata: { name, namespace: "velero" } })
      assert.strictEqual(nameOf(yield* process.restore(action, orders, named("a"))), destination)
      assert.strictEqual(nameOf(yield* process.restore(action, orders, named("b"))), "orders-20261119-093001")
      assert.strictEqual(nameOf(yield* process.restore(action, orders, named("a"))), destination)
    })
  )
})

describe("an action that is run on its own output", () => {
  it.effect.each([
    ["of the plugin", orders],
    ["of the plugin, server name defaulted", recorded({ plugins: [archiver({ barmanObjectName: "s" })] })],
    [
      "of an in-tree store",
      recorded({
        backup: { barmanObjectStore: { s3Credentials: {}, wal: {} } },
        bootstrap: { initdb: { owner: "me", secret: { name: "s" } } }
      })
    ],
    ["with parameters null", recorded({ plugins: [archiver(), { name: barman, parameters: null }] })]
  ] as const)("gives the same bytes: %s", ([, item]) =>
    Effect.gen(function* () {
      const { process } = yield* start([namespace("shop")])
      yield* now
      const first = yield* process.restore(action, item, inPlace)
      yield* TestClock.adjust("1 minute")
      const second = yield* process.restore(action, first.text, inPlace, first.text)
      assert.strictEqual(second.text, first.text)
    })
  )
})

describe("a status that Velero would restore", () => {
  const asking = { ...inPlace, spec: { ...inPlace.spec, restoreStatus: { includedResources: ["*"] } } }
  const ofVolumes = { ...asking, metadata: { ...asking.metadata, annotations: fromVolumes } }
  const annotated = (value: string) => recorded({ plugins: [archiver()] }, { "velero.io/restore-status": value })

  it.effect.each([
    ["the Restore asks for statuses", orders, asking],
    ["the Restore asks for them, and for volumes", orders, ofVolumes],
    ["the Restore asks for them, and nothing was recorded", cluster({}, { annotations: { other: "x" } }), asking],
    ["the Cluster asks for its own", annotated("true"), inPlace],
    ["the Cluster says what nobody understands", annotated("perhaps"), inPlace]
  ] as const)("is kept away by Velero's annotation, with a warning: %s", ([, item, restore]) =>
    Effect.gen(function* () {
      const { process } = yield* start([namespace("shop")])
      yield* now
      const outcome = yield* process.restore(action, item, restore)
      const before = at(JSON.parse(typeof item === "string" ? item : textOf(item)), "metadata", "annotations")
      assert.deepStrictEqual(at(outcome.tree, "metadata", "annotations"), {
        ...(before as object),
        "velero.io/restore-status": "false"
      })
      const warnings = outcome.lines.filter(({ level }) => level === "Warn")
      assertLine(warnings, "Warn", /^Cluster shop\/orders: /, "status is not restored", "--status-include-resources")
    })
  )

  it.effect("that nobody asks for is not spoken of", () =>
    Effect.gen(function* () {
      const { process } = yield* start([namespace("shop")])
      yield* now
      const outcome = yield* process.restore(action, orders, inPlace)
      assert.isUndefined(at(outcome.tree, "metadata", "annotations", "velero.io/restore-status"))
      assert.deepStrictEqual(
        outcome.lines.map(({ level }) => level),
        ["Info"]
      )
    })
  )
})

describe("a promotion token, used in a life that is over", () => {
  const spec = {
    plugins: [archiver()],
    bootstrap: { recovery: { source: "origin" } },
    externalClusters: [{ name: "origin", connectionParameters: { host: "origin" } }],
    replica: { enabled: false, source: "origin", promotionToken: "eyJ0b2tlbiI6IDF9" }
  }
  const volumes = restoreOf("volumes", {}, fromVolumes)
  const update = { ...inPlace, spec: { existingResourcePolicy: "update" } }

  it.effect.each([
    ["of a Cluster that recovers", recorded(spec), inPlace],
    ["of one that recovers under policy update, beside nothing that lives", recorded(spec), update],
    ["of one that starts on its volumes", recorded(spec), volumes],
    ["of one that is otherwise restored as it is", cluster(spec), inPlace]
  ] as const)("goes, and the rest of spec.replica stays: %s", ([, item, restore]) =>
    Effect.gen(function* () {
      const { process } = yield* start([namespace("shop")])
      yield* now
      const outcome = yield* process.restore(action, item, restore)
      assert.deepStrictEqual(at(outcome.tree, "spec", "replica"), { enabled: false, source: "origin" })
      const lines = outcome.lines.filter(({ message }) => message.includes("promotionToken"))
      assertLine(lines, "Info", "Cluster shop/orders", "spec.replica.promotionToken is removed")
    })
  )

  it.effect("stays where policy update might take it from a Cluster that lives", () =>
    Effect.gen(function* () {
      const { process } = yield* start([])
      assert.isTrue((yield* process.restore(action, cluster(spec), update)).isUntouched)
    })
  )
})

describe("a Cluster that lives already", () => {
  const spec = {
    plugins: [archiver({ barmanObjectName: "live-store", serverName: "orders-live" })],
    bootstrap: { initdb: { database: "live", owner: "live" } },
    externalClusters: [{ name: "live", connectionParameters: { host: "live" } }],
    replica: { source: "live" },
    backup: { retentionPolicy: "1d" }
  }
  const item = recorded({
    plugins: [archiver(), { name: "other.example.com" }],
    bootstrap: { initdb: { database: "orders", owner: "orders" } },
    externalClusters: [{ name: "old", connectionParameters: {} }],
    backup: { barmanObjectStore: { s3Credentials: {} }, retentionPolicy: "30d" },
    instances: 3
  })

  const cases = [
    ["in place", inPlace, "shop"],
    ["under namespaceMapping", moved, "shop-2"],
    ["with existingResourcePolicy: update", { ...inPlace, spec: { existingResourcePolicy: "update" } }, "shop"],
    ["with the volumes wished for", restoreOf("v", {}, fromVolumes), "shop"]
  ] as const
  it.effect.each(cases)(
    "keeps where its data comes from and goes to, and no ConfigMap is written: %s",
    ([, restore, target]) =>
      Effect.gen(function* () {
        const live = cluster(spec, {
          namespace: target,
          annotations: { "velero-cnpg/serverName": "orders-live-source" }
        })
        const { process, world } = yield* start([namespace(target), live])
        const outcome = yield* process.restore(action, item, restore)
        assert.isFalse(outcome.skip)
        assert.deepStrictEqual(at(outcome.tree, "spec"), { ...spec, instances: 3, backup: { retentionPolicy: "30d" } })
        assert.deepStrictEqual(at(outcome.tree, "metadata"), {
          name: "orders",
          namespace: "shop",
          annotations: { "velero-cnpg/serverName": "orders-live-source" }
        })
        assertNoConfigMap(world)
        assertLine(outcome.lines, "Warn", `Cluster ${target}/orders exists`, "no ConfigMap")
        // Once more, and in a new process: the same.
        assert.strictEqual((yield* process.restore(action, outcome.text, restore)).text, outcome.text)
        assert.strictEqual((yield* (yield* startProcess(world)).restore(action, item, restore)).text, outcome.text)
      })
  )

  it.effect("runs on if it runs, and stays stopped if it is stopped, whatever the backup says", () =>
    Effect.gen(function* () {
      const stopped = { "cnpg.io/hibernation": "on", "cnpg.io/fencedInstances": '["*"]' }
      const of = (annotations: Tree, live: Tree) =>
        Effect.gen(function* () {
          const { process } = yield* start([namespace("shop"), cluster(spec, { annotations: live })])
          const outcome = yield* process.restore(action, recorded({ plugins: [archiver()] }, annotations), inPlace)
          return at(outcome.tree, "metadata", "annotations")
        })
      assert.deepStrictEqual(yield* of(stopped, {}), {})
      assert.deepStrictEqual(yield* of({}, stopped), stopped)
    })
  )

  it.effect("takes away from the item what it does not have", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([namespace("shop"), cluster({ instances: 1 })])
      const outcome = yield* process.restore(action, item, inPlace)
      assert.deepStrictEqual(at(outcome.tree, "spec"), { backup: { retentionPolicy: "30d" }, instances: 3 })
      assert.deepStrictEqual(at(outcome.tree, "metadata", "annotations"), {})
      assertNoConfigMap(world)
    })
  )

  it.effect("may be one that could not be recovered at all", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([namespace("shop"), cluster(spec)])
      const hopeless = recorded({ plugins: [archiver({})], externalClusters: [{ name: "a" }, { name: "a" }] })
      const outcome = yield* process.restore(action, hopeless, inPlace)
      assert.deepStrictEqual(at(outcome.tree, "spec", "plugins"), spec.plugins)
      assertNoConfigMap(world)
    })
  )

  it.effect("is no other than the one where the item lands", () =>
    Effect.gen(function* () {
      const elsewhere = [cluster(spec), cluster(spec, { name: "audit", namespace: "shop-2" })]
      const { process, world } = yield* start([namespace("shop-2"), ...elsewhere])
      yield* now
      const outcome = yield* process.restore(action, orders, moved)
      assert.deepStrictEqual(namesOf(outcome.tree), { source: "orders-v1", destination })
      assert.isDefined(dataIn(world, "shop-2"))
      assert.deepStrictEqual(
        world.objects().filter(({ kind }) => kind === "Cluster"),
        elsewhere
      )
    })
  )
})

describe("the choice of volumes", () => {
  const spec = {
    plugins: [archiver()],
    bootstrap: { initdb: { database: "orders", owner: "owner" } },
    externalClusters: []
  }
  const cases = [
    ["on the Cluster", fromVolumes, {}],
    ["on the Restore", {}, fromVolumes],
    ["on the Restore, which wins", { "velero-cnpg/recover-from": "object-store" }, fromVolumes],
    ["on the Restore, though the Cluster's is nonsense", { "velero-cnpg/recover-from": "tape" }, fromVolumes]
  ] as const
  it.effect.each(cases)("changes the new name only: %s", ([, ofCluster, ofRestore]) =>
    Effect.gen(function* () {
      const { process, world } = yield* start([namespace("shop")])
      yield* now
      const outcome = yield* process.restore(action, recorded(spec, ofCluster), restoreOf("r", {}, ofRestore))
      assert.deepStrictEqual(at(outcome.tree, "spec"), {
        ...spec,
        plugins: [archiver({ barmanObjectName: "orders-store", serverName: destination })]
      })
      assert.strictEqual(at(dataIn(world, "shop"), "orders.write_to_server_name"), destination)
      assert.strictEqual(at(dataIn(world, "shop"), "orders.read_from_server_name"), "orders-v1")
      assertLine(outcome.lines, "Info", "volumes", destination)
    })
  )

  it.effect("does so in an in-tree store", () =>
    Effect.gen(function* () {
      const { process } = yield* start([namespace("shop")])
      yield* now
      const store = { s3Credentials: {}, serverName: "orders-v1" }
      const outcome = yield* process.restore(
        action,
        recorded({ backup: { barmanObjectStore: store } }, fromVolumes),
        inPlace
      )
      assert.deepStrictEqual(at(outcome.tree, "spec"), {
        backup: { barmanObjectStore: { ...store, serverName: destination } }
      })
    })
  )

  it.effect("works without a named ObjectStore", () =>
    Effect.gen(function* () {
      const { process } = yield* start([namespace("shop")])
      yield* now
      const outcome = yield* process.restore(action, recorded({ plugins: [archiver({})] }, fromVolumes), inPlace)
      assert.deepStrictEqual(at(outcome.tree, "spec", "plugins"), [archiver({ serverName: destination })])
    })
  )

  it.effect("is overruled by object-store on the Restore", () =>
    Effect.gen(function* () {
      const { process } = yield* start([namespace("shop")])
      const restore = restoreOf("r", {}, { "velero-cnpg/recover-from": "object-store" })
      const { tree } = yield* process.restore(action, recorded(spec, fromVolumes), restore)
      assert.strictEqual(at(tree, "spec", "bootstrap", "recovery", "source"), "clusterBackup")
    })
  )

  it.effect.each([
    ["on the Cluster", { "velero-cnpg/recover-from": "tape" }, {}, "Cluster shop/orders"],
    ["on the Restore", fromVolumes, { "velero-cnpg/recover-from": "tape" }, "Restore r"]
  ] as const)(
    "with another value is an error that lists the two, and no ConfigMap: %s",
    ([, ofCluster, ofRestore, where]) =>
      Effect.gen(function* () {
        const { process, world } = yield* start([namespace("shop")])
        const error = yield* Effect.flip(
          process.restore(action, recorded(spec, ofCluster), restoreOf("r", {}, ofRestore))
        )
        for (const part of [where, '"tape"', "object-store", "volumes"]) assert.include(error.message, part)
        assertNoConfigMap(world)
      })
  )
})

describe("a restore that cannot be", () => {
  it.effect("names a namespace that is missing, and the Cluster", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([namespace("shop")])
      const error = yield* Effect.flip(process.restore(action, orders, moved))
      assert.strictEqual(error._tag, "MissingNamespace")
      for (const part of ["Cluster shop/orders", "namespace shop-2"]) assert.include(error.message, part)
      assertNoConfigMap(world)
    })
  )

  it.effect.each([
    ["no barmanObjectName", { plugins: [archiver({ serverName: "orders-v1" })] }, "barmanObjectName"],
    ["no archive", {}, "neither spec.plugins nor spec.backup.barmanObjectStore"],
    ["a foreign archiver", { plugins: [{ name: "x.example.com", isWALArchiver: true }] }, "names an archive"],
    ["two archivers", { plugins: [archiver(), archiver()] }, "the operator refuses it"],
    ["a replica of nothing", { plugins: [archiver()], replica: { source: "us" } }, "spec.replica.source"]
  ] as const)("says why, and writes no ConfigMap: %s", ([, spec, why]) =>
    Effect.gen(function* () {
      const { process, world } = yield* start([namespace("shop")])
      const error = yield* Effect.flip(process.restore(action, recorded(spec), inPlace))
      assert.strictEqual(error._tag, "NotRecoverable")
      assert.include(error.message, why)
      assert.include(error.message, "Cluster shop/orders")
      assertNoConfigMap(world)
    })
  )

  it.effect("may be one whose volumes would make a replica cluster that the operator refuses", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([namespace("shop")])
      const item = recorded(
        {
          plugins: [archiver()],
          bootstrap: { initdb: { database: "a", owner: "a" } },
          externalClusters: [{ name: "us", connectionParameters: {} }],
          replica: { source: "us", primary: "us" }
        },
        fromVolumes
      )
      assert.include((yield* Effect.flip(process.restore(action, item, inPlace))).message, "replica")
      assertNoConfigMap(world)
      const { tree } = yield* process.restore(
        action,
        item,
        restoreOf("r", {}, { "velero-cnpg/recover-from": "object-store" })
      )
      assert.deepStrictEqual(webhookProblems(tree), [])
    })
  )

  it.effect.each([
    ["the namespace cannot be read", refusal.unavailable("get", "namespaces")],
    ["the live Cluster cannot be read", refusal.unavailable("get", "clusters.postgresql.cnpg.io")],
    ["the live Cluster may not be read", refusal.forbidden("get", "clusters.postgresql.cnpg.io")],
    ["the ConfigMap cannot be read", refusal.unavailable("get", "configmaps")],
    ["there is no cluster", refusal.noCluster]
  ] as const)("fails before anything is written: %s", ([, refuse]) =>
    Effect.gen(function* () {
      const { process, world } = yield* start([namespace("shop")], refuse)
      const error = yield* Effect.flip(process.restore(action, orders, inPlace))
      assert.match(error._tag, /^(Unavailable|Forbidden|NoCluster)$/)
      assertNoConfigMap(world)
    })
  )

  it.effect.each([
    ["forbidden", refusal.forbidden("apply"), ["configmaps", "RBAC says no", "Grant"]],
    ["unavailable", refusal.unavailable("apply"), ["cnpg-velero-override", "connection refused"]],
    [
      "rejected",
      (call: { readonly verb: string }) =>
        call.verb === "apply"
          ? new Rejected({ verb: "patch", what: "the ConfigMap", status: 422, detail: "immutable" })
          : undefined,
      ["the ConfigMap", "immutable"]
    ]
  ] as const)("fails when the ConfigMap is %s", ([, refuse, parts]) =>
    Effect.gen(function* () {
      const { process, world } = yield* start([namespace("shop")], refuse)
      const error = yield* Effect.flip(process.restore(action, orders, inPlace))
      for (const part of parts) assert.include(error.message, part)
      assert.deepStrictEqual(world.configMaps(), [])
    })
  )
})

describe("a right that is missing", () => {
  it.effect.each([
    [
      "to list Clusters",
      refusal.forbidden("list", "clusters.postgresql.cnpg.io"),
      ["list", "clusters.postgresql.cnpg.io", "RBAC says no"]
    ],
    ["to an answer on Clusters", refusal.unavailable("list", "clusters.postgresql.cnpg.io"), ["connection refused"]],
    ["to read the ConfigMap", refusal.forbidden("get", "configmaps"), ["get", "configmaps", "RBAC says no"]]
  ] as const)("%s is a warning, and the Cluster recovers", ([, refuse, parts]) =>
    Effect.gen(function* () {
      const { process, world } = yield* start([namespace("shop")], refuse)
      yield* now
      const outcome = yield* process.restore(action, orders, inPlace)
      assert.deepStrictEqual(namesOf(outcome.tree), { source: "orders-v1", destination })
      assert.isDefined(dataIn(world, "shop"))
      assertLine(
        outcome.lines.filter(({ level }) => level === "Warn"),
        "Warn",
        "Cluster shop/orders",
        "could not all be checked",
        ...parts
      )
      assert.strictEqual(outcome.lines.length, 2)
    })
  )

  it.effect("to read namespaces does not matter: the apply would tell", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([], refusal.forbidden("get", "namespaces"))
      yield* process.restore(action, orders, inPlace)
      assert.isDefined(dataIn(world, "shop"))
    })
  )

  it.effect("and a CRD that Velero has not restored yet, do not matter either", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([namespace("shop")], refusal.unknownKind("postgresql.cnpg.io"))
      yield* process.restore(action, orders, inPlace)
      assert.isDefined(dataIn(world, "shop"))
    })
  )
})

describe("a second life, and a third", () => {
  it.effect("each recover from the one before, and write under a name of their own", () =>
    Effect.gen(function* () {
      yield* itIs("2026-11-19T09:30:00Z")
      const storeOf = pick(shop, "Cluster", "orders")
      const first = yield* start(shop)
      const backup1 = yield* first.process.backUp(backupAction, storeOf)

      const second = makeWorld([namespace("shop")])
      const restored1 = yield* (yield* startProcess(second)).restore(action, backup1.text, restoreOf("one"))
      assert.deepStrictEqual(namesOf(restored1.tree), { source: "orders-v1", destination })

      // It lives, under a new UID, and no backup of it has completed.
      yield* TestClock.adjust("1 day")
      const alive: KubernetesObject = JSON.parse(restored1.text) as KubernetesObject
      yield* second.put({ ...alive, metadata: { ...alive.metadata, uid: "uid-of-the-second-life" } })
      for (const old of shop.filter(({ kind }) => kind === "Backup")) yield* second.put(old)
      const live = pick(second.objects(), "Cluster", "orders")
      const backup2 = yield* (yield* startProcess(second)).backUp(backupAction, live)
      assert.deepStrictEqual(at(backup2.tree, "metadata", "annotations"), {
        "velero-cnpg/serverName": destination,
        "velero-cnpg/stored-at": "2026-11-20T09:30:00.000Z"
      })
      assertLine(backup2.lines, "Warn", "no completed Barman backup")

      yield* second.put(
        completed("mine", "2026-11-20T02:00:00Z", {
          backupId: "20261120T015800",
          pluginMetadata: { clusterUID: "uid-of-the-second-life" }
        })
      )
      const backup3 = yield* (yield* startProcess(second)).backUp(backupAction, live)

      const third = makeWorld([namespace("shop")])
      const restored2 = yield* (yield* startProcess(third)).restore(action, backup3.text, restoreOf("two"))
      assert.deepStrictEqual(namesOf(restored2.tree), { source: destination, destination: "orders-20261120-093000" })
      assert.deepStrictEqual(at(restored2.tree, "spec", "bootstrap"), {
        recovery: {
          source: "clusterBackup",
          recoveryTarget: { backupID: "20261120T015800" },
          database: "orders",
          owner: "orders_owner"
        }
      })
      assert.strictEqual((at(restored2.tree, "spec", "externalClusters") as ReadonlyArray<unknown>).length, 1)
      assert.deepStrictEqual(webhookProblems(restored2.tree), [])
    })
  )
})

describe("items that are no Clusters", () => {
  it.effect.each([["{}"], [`{"metadata":{"name":"o","annotations":{"a":1}}}`], ["null"], [""]] as const)(
    "fail: %s",
    ([text]) =>
      Effect.gen(function* () {
        const { process, world } = yield* start([namespace("shop")])
        const error = yield* Effect.flip(process.restore(action, text, inPlace, text))
        assert.match(error._tag, /^(UnreadableItem|MalformedItem)$/)
        assert.deepStrictEqual(world.calls, [])
      })
  )
})

describe("the decision", () => {
  const view = {
    metadata: { name: "orders", namespace: "shop", annotations: { "velero-cnpg/serverName": "orders-v1" } },
    spec: { plugins: [{ name: barman, isWALArchiver: true, parameters: { barmanObjectName: "s" } }] }
  }
  const target = { namespace: "shop-2", live: Option.none(), destination, now: 0, warnings: [] }

  it("writes a ConfigMap exactly when the Cluster is made anew", () => {
    const overrideOf = (facts: Parameters<typeof transform>[1], of: Parameters<typeof transform>[0] = view) =>
      Result.getOrThrow(transform(of, facts)).override
    assert.deepStrictEqual(overrideOf({ restore: inPlace, target }), {
      namespace: "shop-2",
      cluster: "orders",
      writeTo: destination,
      readFrom: "orders-v1",
      restore: "uid-of-in-place"
    })
    assert.isDefined(overrideOf({ restore: restoreOf("v", {}, fromVolumes), target }))
    assert.isUndefined(overrideOf({ restore: inPlace, target: { ...target, live: Option.some({}) } }))
    assert.isUndefined(overrideOf({ restore: inPlace, target: undefined }))
    assert.isUndefined(overrideOf({ restore: inPlace, target }, { metadata: { name: "orders" } }))
  })
})

describe("the selector", () => {
  it("asks for Clusters, by their full name", () => {
    assert.deepStrictEqual(action.selector, { includedResources: ["clusters.postgresql.cnpg.io"] })
  })
})
