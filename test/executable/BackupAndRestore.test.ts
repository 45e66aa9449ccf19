import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { KubernetesObject } from "../../src/testing/ApiServer.ts"
import type { BackedUp, Restored } from "../../src/testing/VeleroHost.ts"
import * as VeleroHost from "../../src/testing/VeleroHost.ts"
import { at } from "./Executable.ts"
import * as Objects from "./Objects.ts"
import type { World } from "./World.ts"
import * as Worlds from "./World.ts"
import { annotation, example, kind, overrideName, plugin, sourceIn, warnings } from "./World.ts"

/** `Kind name` of items. */
const named = (items: ReadonlyArray<BackedUp | Restored>): ReadonlyArray<string> =>
  items.map(({ before }) => `${before.kind} ${before.name}`).toSorted()

const errors = (items: ReadonlyArray<BackedUp | Restored>): ReadonlyArray<string> =>
  items.flatMap(({ error }) => error ?? [])

const withOutcome = (items: ReadonlyArray<Restored>, outcome: Restored["outcome"]): ReadonlyArray<string> =>
  named(items.filter((item) => item.outcome === outcome))

/** The stored or restored object. */
const objectOf = (items: ReadonlyArray<BackedUp | Restored>, itemKind: string, name: string): unknown => {
  const found = items.find(({ before }) => before.kind === itemKind && before.name === name)
  assert.isDefined(found, `${itemKind} ${name}`)
  return JSON.parse(found?.after?.text ?? "null") as unknown
}

const annotationsOf = (object: unknown) => at(object, "metadata", "annotations")

const changed = (items: ReadonlyArray<BackedUp>): ReadonlyArray<string> =>
  named(items.filter(({ after, before }) => after?.text !== before.text))

/** Requests that were meant to change the cluster. */
const writes = ({ cluster }: World): ReadonlyArray<string> =>
  cluster
    .requests()
    .filter(({ method }) => method !== "GET")
    .map(({ method, path, status }) => `${method} ${path} ${status}`)

const configMap = ({ cluster }: World, namespace: string): KubernetesObject | undefined =>
  cluster.get(kind.configMap, namespace, overrideName)

const liveCluster = ({ cluster }: World, namespace: string, name: string): KubernetesObject => {
  const live = cluster.get(kind.cluster, namespace, name)
  assert.isDefined(live, `Cluster ${namespace}/${name}`)
  return live as KubernetesObject
}

/** The server name that a Cluster archives under. */
const serverNameOf = (cluster: unknown): string =>
  String(
    at(cluster, "spec", "plugins", 0, "parameters", "serverName") ??
      at(cluster, "spec", "backup", "barmanObjectStore", "serverName")
  )

const generatedName = (cluster: string): RegExp => new RegExp(`^${cluster}-20\\d{6}-\\d{6}$`)

const ownedByOrders = [
  "Endpoints orders-rw",
  "EndpointSlice orders-rw-sr9rj",
  "PersistentVolumeClaim orders-1",
  "PersistentVolumeClaim orders-2",
  "PersistentVolumeClaim orders-3",
  "Pod orders-1",
  "Pod orders-2",
  "Pod orders-3",
  "PodDisruptionBudget orders",
  "PodDisruptionBudget orders-primary",
  "Service orders-r",
  "Service orders-ro",
  "Service orders-rw"
].toSorted()

const ofThePooler = [
  "Deployment orders-pooler-rw",
  "Role orders-pooler-rw",
  "RoleBinding orders-pooler-rw",
  "Service orders-pooler-rw"
]

const backupsOfShop = [
  "Backup orders-before-rebuild",
  "Backup orders-before-release",
  "Backup orders-daily-20261117100512",
  "Backup orders-daily-20261118020000",
  "Backup orders-daily-20261119020000",
  "Backup orders-on-demand",
  "Backup orders-snapshot"
]

const leftOut = [...ownedByOrders, ...ofThePooler, ...backupsOfShop].toSorted()

const shop = Effect.gen(function* () {
  const world = yield* Worlds.make({ objects: yield* example("shop") })
  return { world, backedUp: yield* world.backup() }
})

describe("backup", () => {
  it.live("of shop.yaml marks the Cluster and what it owns, and stores everything else as it is", () =>
    Effect.gen(function* () {
      const { backedUp, world } = yield* shop
      assert.deepStrictEqual(errors(backedUp), [])
      assert.deepStrictEqual(changed(backedUp), ["Cluster orders", ...ownedByOrders].toSorted())
      assert.deepStrictEqual(sourceIn(objectOf(backedUp, "Cluster", "orders")), {
        [annotation.serverName]: "orders-v1",
        [annotation.backupId]: "20261119T020003"
      })
      for (const item of ownedByOrders) {
        const [itemKind = "", name = ""] = item.split(" ")
        const annotations = annotationsOf(objectOf(backedUp, itemKind, name))
        assert.strictEqual(at(annotations, annotation.ownedBy), "orders", item)
        assert.strictEqual(at(annotations, annotation.backupId), "20261119T020003", item)
      }
      assert.deepStrictEqual(warnings(world), [])
      // What lives is never written.
      assert.deepStrictEqual(writes(world), [])
      assert.isUndefined(liveCluster(world, "shop", "orders").metadata.annotations)
    })
  )

  it.live("of legacy.yaml: in-tree store, no archive, replica without a Backup", () =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({ objects: yield* example("legacy") })
      const backedUp = yield* world.backup()
      assert.deepStrictEqual(errors(backedUp), [])
      assert.deepStrictEqual(changed(backedUp), [
        "Cluster invoices",
        "Cluster ledger-eu",
        "PersistentVolumeClaim invoices-1"
      ])
      assert.deepStrictEqual(sourceIn(objectOf(backedUp, "Cluster", "invoices")), {
        [annotation.serverName]: "invoices",
        [annotation.backupId]: "20261119T030004"
      })
      assert.deepStrictEqual(sourceIn(objectOf(backedUp, "Cluster", "ledger-eu")), {
        [annotation.serverName]: "ledger-eu"
      })
      const [warning, ...more] = warnings(world)
      assert.deepStrictEqual(more, [])
      assert.match(warning ?? "", /^Cluster billing\/ledger-eu: .*no completed Barman backup/)
      assert.isTrue(world.logs().some(({ message }) => message.startsWith("Cluster billing/reports has no archive")))
    })
  )
})

describe("restore of shop.yaml", () => {
  /** What any restore of it must have made of it in a namespace. */
  const assertRecovering = (world: World, namespace: string) => {
    const cluster = liveCluster(world, namespace, "orders")
    const destination = serverNameOf(cluster)
    assert.match(destination, generatedName("orders"))
    assert.deepStrictEqual(at(cluster, "spec", "bootstrap"), {
      recovery: {
        source: "clusterBackup",
        recoveryTarget: { backupID: "20261119T020003" },
        database: "orders",
        owner: "orders_owner"
      }
    })
    assert.deepStrictEqual(at(cluster, "spec", "externalClusters"), [
      {
        name: "clusterBackup",
        plugin: {
          name: Objects.barmanCloud,
          parameters: { barmanObjectName: "orders-store", serverName: "orders-v1" }
        }
      }
    ])
    assert.deepStrictEqual(at(cluster, "spec", "plugins"), [
      {
        enabled: true,
        isWALArchiver: true,
        name: Objects.barmanCloud,
        parameters: { barmanObjectName: "orders-store", serverName: destination }
      }
    ])
    assert.isUndefined(cluster["status"])
    const override = configMap(world, namespace)
    assert.deepStrictEqual(override?.["data"], {
      write_to_server_name: destination,
      read_from_server_name: "orders-v1",
      "orders.write_to_server_name": destination,
      "orders.read_from_server_name": "orders-v1"
    })
    assert.strictEqual(override?.metadata.annotations?.["helm.sh/resource-policy"], "keep")
    assert.deepStrictEqual(writes(world), [`PATCH /api/v1/namespaces/${namespace}/configmaps/${overrideName} 201`])
    assert.deepStrictEqual(
      at(
        world.cluster.get(kind.deployment, namespace, "shop-web"),
        "spec",
        "template",
        "spec",
        "initContainers",
        0,
        "name"
      ),
      "fix-upload-permissions"
    )
    assert.deepStrictEqual(warnings(world), [])
  }

  /** Text that a key of a Secret holds. */
  const secretText = (world: World, namespace: string, name: string, key: string): string =>
    Buffer.from(String(at(world.cluster.get(kind.secret, namespace, name), "data", key)), "base64").toString("utf8")

  it.live("in place, after everything was lost", () =>
    Effect.gen(function* () {
      const { backedUp, world } = yield* shop
      world.disaster()
      const restored = yield* world.restore(backedUp)
      assert.deepStrictEqual(errors(restored), [])
      assert.deepStrictEqual(withOutcome(restored, "skipped"), leftOut)
      assertRecovering(world, "shop")
      const untouched = restored.filter(
        ({ after, before, outcome }) =>
          outcome === "created" && before.kind !== "Cluster" && before.name !== "shop-web" && after !== undefined
      )
      assert.isAtLeast(untouched.length, 10)
      for (const { after, before } of untouched) assert.strictEqual(after?.text, before.text, before.name)
      assert.match(secretText(world, "shop", "orders-app", "uri"), /@orders-rw\.shop:5432\/orders$/)
    })
  )

  it.live("in another namespace, beside the living, which stays as it is", () =>
    Effect.gen(function* () {
      const { backedUp, world } = yield* shop
      const living = () => JSON.stringify(world.cluster.all().filter(({ metadata }) => metadata.namespace === "shop"))
      const before = living()
      const restored = yield* world.restore(backedUp, { namespaceMapping: { shop: "shop2" } })
      assert.deepStrictEqual(errors(restored), [])
      assert.deepStrictEqual(withOutcome(restored, "skipped"), leftOut)
      assertRecovering(world, "shop2")
      assert.strictEqual(living(), before)
      for (const [key, expected] of Object.entries({
        uri: /^postgresql:\/\/orders_owner:fake-password-of-orders-owner@orders-rw\.shop2:5432\/orders$/,
        "fqdn-uri": /@orders-rw\.shop2\.svc\.cluster\.local:5432\/orders$/,
        "jdbc-uri": /^jdbc:postgresql:\/\/orders-rw\.shop2:5432\/orders\?/,
        "fqdn-jdbc-uri": /^jdbc:postgresql:\/\/orders-rw\.shop2\.svc\.cluster\.local:5432\/orders\?/,
        password: /^fake-password-of-orders-owner$/,
        host: /^orders-rw$/
      })) {
        assert.match(secretText(world, "shop2", "orders-app", key), expected, key)
      }
    })
  )

  it.live("in another namespace, with the old one gone", () =>
    Effect.gen(function* () {
      const { backedUp, world } = yield* shop
      world.disaster()
      const restored = yield* world.restore(backedUp, { namespaceMapping: { shop: "shop2" } })
      assert.deepStrictEqual(errors(restored), [])
      assertRecovering(world, "shop2")
      assert.isUndefined(configMap(world, "shop"))
    })
  )

  it.live("takes its keys of an existing ConfigMap over, and leaves what others wrote", () =>
    Effect.gen(function* () {
      const { backedUp, world } = yield* shop
      world.disaster()
      world.cluster.put({
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: overrideName, namespace: "shop", labels: { team: "a" }, annotations: { note: "b" } },
        data: { write_to_server_name: "old", other: "stays" }
      })
      yield* world.restore(backedUp)
      const override = configMap(world, "shop")
      assert.strictEqual(
        at(override, "data", "write_to_server_name"),
        serverNameOf(liveCluster(world, "shop", "orders"))
      )
      assert.strictEqual(at(override, "data", "other"), "stays")
      assert.strictEqual(override?.metadata.labels?.["team"], "a")
      assert.strictEqual(override?.metadata.annotations?.["note"], "b")
    })
  )
})

describe("restore of legacy.yaml", () => {
  it.live("recovers the archived two, each with its keys, and leaves the third to its volumes", () =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({ objects: yield* example("legacy") })
      const backedUp = yield* world.backup()
      world.disaster()
      const restored = yield* world.restore(backedUp)
      assert.deepStrictEqual(errors(restored), [])
      assert.deepStrictEqual(withOutcome(restored, "skipped"), [
        "Backup invoices-before-audit",
        "Backup invoices-daily-20261119030000",
        "PersistentVolumeClaim invoices-1"
      ])

      const invoices = liveCluster(world, "billing", "invoices")
      const store = {
        destinationPath: "s3://billing-backups/",
        endpointURL: "https://s3.example.com",
        s3Credentials: {
          accessKeyId: { key: "ACCESS_KEY_ID", name: "billing-s3" },
          secretAccessKey: { key: "ACCESS_SECRET_KEY", name: "billing-s3" }
        },
        wal: { compression: "gzip" }
      }
      assert.match(serverNameOf(invoices), generatedName("invoices"))
      assert.deepStrictEqual(at(invoices, "spec", "backup", "barmanObjectStore"), {
        ...store,
        serverName: serverNameOf(invoices)
      })
      assert.deepStrictEqual(at(invoices, "spec", "externalClusters"), [
        { name: "clusterBackup", barmanObjectStore: { ...store, serverName: "invoices" } }
      ])

      const ledger = liveCluster(world, "billing", "ledger-eu")
      assert.match(serverNameOf(ledger), generatedName("ledger-eu"))
      assert.deepStrictEqual(
        (at(ledger, "spec", "externalClusters") as ReadonlyArray<unknown>).map((external) => at(external, "name")),
        ["ledger-us", "ledger-eu", "ledger-us-live", "clusterBackup"]
      )
      assert.deepStrictEqual(at(ledger, "spec", "bootstrap"), {
        recovery: { source: "clusterBackup", database: "ledger", owner: "ledger" }
      })
      assert.deepStrictEqual(at(ledger, "spec", "replica"), {
        primary: "ledger-us",
        self: "ledger-eu",
        source: "ledger-us"
      })

      // What has no archive comes back as it was stored.
      for (const [itemKind, name] of [
        ["Cluster", "reports"],
        ["PersistentVolumeClaim", "reports-1"]
      ]) {
        const item = restored.find(({ before }) => before.kind === itemKind && before.name === name)
        assert.strictEqual(item?.after?.text, item?.before.text)
      }

      const data = configMap(world, "billing")?.["data"] as Readonly<Record<string, string>>
      assert.deepStrictEqual(data, {
        "invoices.write_to_server_name": serverNameOf(invoices),
        "invoices.read_from_server_name": "invoices",
        "ledger-eu.write_to_server_name": serverNameOf(ledger),
        "ledger-eu.read_from_server_name": "ledger-eu",
        // The one that was restored last.
        write_to_server_name: serverNameOf(ledger),
        read_from_server_name: "ledger-eu"
      })
    })
  )
})

describe("server names", () => {
  it.live("differ for Clusters of one name that are restored in one second", () =>
    Effect.gen(function* () {
      const namespaces = Array.from({ length: 8 }, (_, index) => `team-${index}`)
      const world = yield* Worlds.make({
        objects: namespaces.flatMap((namespace) => [
          Objects.namespace(namespace),
          Objects.cluster(namespace, "db", { annotations: { [annotation.serverName]: "db" } })
        ])
      })
      const clusters = world.cluster.list(kind.cluster)
      world.disaster()
      for (const namespace of namespaces) world.cluster.put(Objects.namespace(namespace))
      // At once, as no Velero does: the hardest case.
      const replies = yield* world.session(({ restore }) =>
        Effect.forEach(clusters, (cluster) => restore(plugin.clusterRestore, cluster), { concurrency: "unbounded" })
      )
      const given = replies.map(({ text }) => serverNameOf(JSON.parse(text)))
      for (const name of given) assert.match(name, generatedName("db"))
      assert.strictEqual(new Set(given).size, namespaces.length, given.join())
      for (const [index, namespace] of namespaces.entries()) {
        assert.strictEqual(at(configMap(world, namespace), "data", "write_to_server_name"), given[index])
      }
      // The names that are in use are read once.
      const lists = world.cluster.requests().filter(({ path }) => path === "/apis/postgresql.cnpg.io/v1/clusters")
      assert.strictEqual(lists.length, 1)
    })
  )

  it.live("differ for one backup that is restored into two namespaces, by two Restores", () =>
    Effect.gen(function* () {
      const { backedUp, world } = yield* shop
      yield* world.restore(backedUp, { name: "one", namespaceMapping: { shop: "one" } })
      yield* world.restore(backedUp, { name: "two", namespaceMapping: { shop: "two" } })
      const [one, two] = ["one", "two"].map((namespace) => serverNameOf(liveCluster(world, namespace, "orders")))
      assert.match(one ?? "", generatedName("orders"))
      assert.match(two ?? "", generatedName("orders"))
      assert.notStrictEqual(one, two)
    })
  )

  it.live("of the second generation: what was restored is backed up and restored under its new name", () =>
    Effect.gen(function* () {
      const { backedUp, world } = yield* shop
      world.disaster()
      yield* world.restore(backedUp, { name: "first" })
      const first = serverNameOf(liveCluster(world, "shop", "orders"))

      // Without a Backup of its own the id of the earlier life is not kept.
      const early = yield* world.backup({ name: "early" })
      assert.deepStrictEqual(sourceIn(objectOf(early, "Cluster", "orders")), { [annotation.serverName]: first })

      world.cluster.put(Objects.backup("shop", "orders", "new", 60))
      world.cluster.put({
        ...liveCluster(world, "shop", "orders"),
        metadata: { ...liveCluster(world, "shop", "orders").metadata, uid: Objects.uidOf("shop", "orders") }
      })
      const second = yield* world.backup({ name: "second" })
      assert.deepStrictEqual(sourceIn(objectOf(second, "Cluster", "orders")), {
        [annotation.serverName]: first,
        [annotation.backupId]: "20261119T000100"
      })

      world.disaster()
      const restored = yield* world.restore(second, { name: "second" })
      assert.deepStrictEqual(errors(restored), [])
      const cluster = liveCluster(world, "shop", "orders")
      assert.match(serverNameOf(cluster), generatedName("orders"))
      assert.notStrictEqual(serverNameOf(cluster), first)
      assert.deepStrictEqual(at(cluster, "spec", "externalClusters"), [
        {
          name: "clusterBackup",
          plugin: { name: Objects.barmanCloud, parameters: { barmanObjectName: "orders-store", serverName: first } }
        }
      ])
      assert.deepStrictEqual(at(cluster, "spec", "bootstrap"), {
        recovery: {
          source: "clusterBackup",
          recoveryTarget: { backupID: "20261119T000100" },
          database: "orders",
          owner: "orders_owner"
        }
      })
      assert.deepStrictEqual(at(configMap(world, "shop"), "data", "read_from_server_name"), first)
    })
  )
})

describe("a living Cluster", () => {
  it.live.each([{ policy: "none" as const }, { policy: "update" as const }])(
    "keeps its data's origin and destination, and no ConfigMap is written: existingResourcePolicy $policy",
    ({ policy }) =>
      Effect.gen(function* () {
        const { backedUp, world } = yield* shop
        world.disaster()
        yield* world.restore(backedUp, { name: "first" })
        const before = liveCluster(world, "shop", "orders")
        const override = JSON.stringify(configMap(world, "shop"))
        world.cluster.clearRequests()

        const again = yield* world.restore(backedUp, { name: "again", existingResourcePolicy: policy })
        assert.deepStrictEqual(errors(again), [])
        assert.include(withOutcome(again, policy === "update" ? "updated" : "exists"), "Cluster orders")
        assert.deepStrictEqual(writes(world), [])
        assert.strictEqual(JSON.stringify(configMap(world, "shop")), override)
        const after = liveCluster(world, "shop", "orders")
        for (const field of ["bootstrap", "externalClusters", "plugins", "backup", "replica"]) {
          assert.deepStrictEqual(at(after, "spec", field), at(before, "spec", field), field)
          assert.deepStrictEqual(
            at(objectOf(again, "Cluster", "orders"), "spec", field),
            at(before, "spec", field),
            `${field} of the item`
          )
        }
        const [warning, ...more] = warnings(world)
        assert.deepStrictEqual(more, [])
        assert.match(warning ?? "", /^Cluster shop\/orders exists: it keeps its bootstrap/)
      })
  )

  it.live("with an in-tree store keeps it, too", () =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({ objects: yield* example("legacy") })
      const backedUp = yield* world.backup()
      const before = liveCluster(world, "billing", "invoices")
      world.cluster.clearRequests()
      yield* world.restore(backedUp, { existingResourcePolicy: "update" })
      const after = liveCluster(world, "billing", "invoices")
      assert.deepStrictEqual(after["spec"], before["spec"])
      assert.deepStrictEqual(writes(world), [])
    })
  )
})

describe("recover-from", () => {
  const volumes = { [annotation.recoverFrom]: "volumes" }

  /** shop.yaml with annotations on the Cluster, backed up and lost. */
  const shopWith = (annotations: Readonly<Record<string, string>>) =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({ objects: yield* example("shop") })
      const live = liveCluster(world, "shop", "orders")
      world.cluster.put({ ...live, metadata: { ...live.metadata, annotations } })
      const backedUp = yield* world.backup()
      world.disaster()
      world.cluster.clearRequests()
      return { world, backedUp }
    })

  it.live.each<{
    readonly on: string
    readonly cluster: Readonly<Record<string, string>>
    readonly restore: Readonly<Record<string, string>>
    readonly fromVolumes: boolean
  }>([
    { on: "nothing", cluster: {}, restore: {}, fromVolumes: false },
    { on: "the Restore", cluster: {}, restore: volumes, fromVolumes: true },
    { on: "the Cluster", cluster: volumes, restore: {}, fromVolumes: true },
    {
      on: "both, and the Restore wins",
      cluster: volumes,
      restore: { [annotation.recoverFrom]: "object-store" },
      fromVolumes: false
    }
  ])("volumes, on $on", ({ cluster, fromVolumes, restore }) =>
    Effect.gen(function* () {
      const { backedUp, world } = yield* shopWith(cluster)
      const restored = yield* world.restore(backedUp, { annotations: restore })
      assert.deepStrictEqual(errors(restored), [])
      const live = liveCluster(world, "shop", "orders")
      assert.match(serverNameOf(live), generatedName("orders"))
      assert.strictEqual(at(configMap(world, "shop"), "data", "orders.write_to_server_name"), serverNameOf(live))
      assert.deepStrictEqual(
        withOutcome(restored, "skipped"),
        fromVolumes ? [...ofThePooler, ...backupsOfShop].toSorted() : leftOut
      )
      assert.strictEqual(at(live, "spec", "bootstrap", "initdb", "database"), fromVolumes ? "orders" : undefined)
      assert.strictEqual(at(live, "spec", "externalClusters") === undefined, fromVolumes)
    })
  )

  it.live.each<{ readonly on: string; readonly cluster: string | undefined; readonly restore: string | undefined }>([
    { on: "the Restore", cluster: undefined, restore: "volume" },
    { on: "the Cluster", cluster: "Volumes", restore: undefined },
    { on: "the Restore, empty", cluster: "volumes", restore: "" }
  ])("anything else on $on fails the items, names the two choices and writes nothing", ({ cluster, restore }) =>
    Effect.gen(function* () {
      const annotated = (value: string | undefined) => (value === undefined ? {} : { [annotation.recoverFrom]: value })
      const { backedUp, world } = yield* shopWith(annotated(cluster))
      const restored = yield* world.restore(backedUp, { annotations: annotated(restore) })
      assert.deepStrictEqual(withOutcome(restored, "failed"), ["Cluster orders", ...ownedByOrders].toSorted())
      for (const error of errors(restored)) {
        assert.include(error, `annotation ${annotation.recoverFrom} on `)
        assert.include(error, `is ${JSON.stringify(restore ?? cluster)}; it can be object-store or volumes`)
      }
      assert.deepStrictEqual(writes(world), [])
      assert.isUndefined(configMap(world, "shop"))
    })
  )
})

describe("plugin configuration", () => {
  const configured = (...configMaps: ReadonlyArray<KubernetesObject>) =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({ objects: [...(yield* example("shop")), ...configMaps] })
      const backedUp = yield* world.backup()
      world.disaster()
      world.cluster.clearRequests()
      return { world, restored: yield* world.restore(backedUp) }
    })

  const initContainers = (items: ReadonlyArray<Restored>): ReadonlyArray<unknown> =>
    (
      (at(objectOf(items, "Deployment", "shop-web"), "spec", "template", "spec", "initContainers") ??
        []) as ReadonlyArray<unknown>
    ).map((container) => at(container, "name"))

  it.live.each<{ readonly names: string; readonly left: ReadonlyArray<string> }>([
    { names: "fix-upload-permissions", left: ["wait-for-migration-job"] },
    { names: "fix-upload-permissions, wait-for-migration-job", left: [] },
    { names: "none-of-them", left: ["wait-for-migration-job", "fix-upload-permissions"] },
    { names: "", left: ["wait-for-migration-job", "fix-upload-permissions"] }
  ])("names the init containers to remove: '$names'", ({ left, names }) =>
    Effect.gen(function* () {
      const { restored } = yield* configured(
        Objects.pluginConfig("deployments", plugin.deploymentRestore, { initContainers: names })
      )
      assert.deepStrictEqual(errors(restored), [])
      assert.deepStrictEqual(initContainers(restored), left)
    })
  )

  it.live("can have Backups restored, with a warning for each", () =>
    Effect.gen(function* () {
      const { restored, world } = yield* configured(
        Objects.pluginConfig("backups", plugin.backupRestore, { restoreBackups: "true" })
      )
      assert.deepStrictEqual(errors(restored), [])
      assert.deepStrictEqual(
        withOutcome(restored, "created").filter((item) => item.startsWith("Backup ")),
        backupsOfShop
      )
      assert.strictEqual(warnings(world).length, backupsOfShop.length)
    })
  )

  it.live("is read once for a restore, for all plugins together", () =>
    Effect.gen(function* () {
      const { world } = yield* configured()
      const reads = world.cluster.requests().filter(({ path }) => path === "/api/v1/namespaces/velero/configmaps")
      assert.strictEqual(reads.length, 1)
    })
  )

  it.live.each<{
    readonly name: string
    readonly configMaps: ReadonlyArray<KubernetesObject>
    readonly says: RegExp
    readonly fails: ReadonlyArray<string>
  }>([
    {
      name: "two ConfigMaps for one plugin",
      configMaps: [
        Objects.pluginConfig("one", plugin.deploymentRestore, { initContainers: "a" }),
        Objects.pluginConfig("two", plugin.deploymentRestore, {})
      ],
      says: /found more than one ConfigMap matching label selector.*deployment-restore-plugin.*\[one two\]\. Delete all but one/,
      fails: ["Deployment orders-pooler-rw", "Deployment shop-web"]
    },
    {
      name: "a value that means nothing",
      configMaps: [Objects.pluginConfig("backups", plugin.backupRestore, { restoreBackups: "yes" })],
      says: /ConfigMap velero\/backups configures velero-cnpg\/backup-restore-plugin wrongly: .*expected true or false.*restoreBackups.*Correct that key/,
      fails: backupsOfShop
    },
    {
      name: "a key that does not exist",
      configMaps: [Objects.pluginConfig("backups", plugin.backupRestore, { restoreBackup: "true" })],
      says: /ConfigMap velero\/backups configures velero-cnpg\/backup-restore-plugin wrongly: .*restoreBackup"/,
      fails: backupsOfShop
    }
  ])("that is wrong fails that plugin's items and no others: $name", ({ configMaps, fails, says }) =>
    Effect.gen(function* () {
      const { restored } = yield* configured(...configMaps)
      assert.deepStrictEqual(withOutcome(restored, "failed"), fails)
      for (const error of errors(restored)) assert.match(error, says)
    })
  )
})

describe("what an action does not own", () => {
  /** Text that no JSON library writes again as it is; put where nobody looks. */
  const odd =
    '{"7":9223372036854775807,"1":1.0,"big":1e400,"tiny":-0.10e-7,"html":"\\u003ca\\u003e \\/ \\u00e9","dup":1,"dup":2,"empty":{ },"list":[1.0 ,\t1E+2]}'

  const spaced = (text: string): string => `\n ${text.replace('"kind"', '"kind" ')} \n`

  const item = (itemKind: string, apiVersion: string, metadata: string, rest: string) =>
    spaced(
      `{"zz":${odd},"apiVersion":"${apiVersion}","kind":"${itemKind}","metadata":{"name":"x","namespace":"shop",${metadata}"generation":9223372036854775807},${rest}"2":${odd}}`
    )

  const labelled = `"labels":{"cnpg.io/cluster":"orders"},`

  it.live.each<{ readonly name: string; readonly kind: "backup" | "restore"; readonly text: string }>([
    { name: plugin.clusterBackup, kind: "backup", text: item("Cluster", "postgresql.cnpg.io/v1", "", "") },
    { name: plugin.ownedBackup, kind: "backup", text: item("Service", "v1", labelled, "") },
    { name: plugin.clusterRestore, kind: "restore", text: item("Cluster", "postgresql.cnpg.io/v1", "", "") },
    {
      name: plugin.deploymentRestore,
      kind: "restore",
      text: item(
        "Deployment",
        "apps/v1",
        "",
        '"spec":{"template":{"spec":{"initContainers":[{"name":"a", "x":1.0}]}}},'
      )
    },
    { name: plugin.ownedRestore, kind: "restore", text: item("Service", "v1", labelled, "") },
    { name: plugin.secretRestore, kind: "restore", text: item("Secret", "v1", labelled, '"data":{"uri":"AA=="},') },
    { name: plugin.poolerRestore, kind: "restore", text: item("Role", "rbac.authorization.k8s.io/v1", "", "") },
    { name: plugin.backupRestore, kind: "restore", text: item("Backup", "postgresql.cnpg.io/v1", "", "") }
  ])("comes back byte for byte where nothing is to do: $name", ({ kind: action, name, text }) =>
    Effect.gen(function* () {
      const world = yield* Worlds.make()
      const replied = yield* world.session(({ backup, restore }) =>
        action === "backup"
          ? Effect.map(backup(name, text), (reply) => reply.text)
          : Effect.map(restore(name, text), (reply) => reply.text)
      )
      assert.strictEqual(replied, text)
    })
  )

  it.live("comes back byte for byte around what is changed", () =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({
        objects: [Objects.namespace("shop"), Objects.backup("shop", "orders", "b", 0)]
      })
      const cluster = (annotations: string, tail: string, serverName: string, more: string) =>
        `{"kind":"Cluster" ,"9":${odd},"apiVersion":"postgresql.cnpg.io/v1","metadata":{"x":${odd},"name":"orders","namespace":"shop"${annotations}},"spec":{"storage":${odd},"plugins":[${odd.replace("{", '{"name":"other",')},{"name":"${Objects.barmanCloud}","isWALArchiver":true,"parameters":{"barmanObjectName":"\\u0073tore"${serverName}},"y":${odd}}],"4":1.0${more}},"extra":${odd}${tail}}`
      yield* world.session(({ backup, restore }) =>
        Effect.gen(function* () {
          const stored = yield* backup(plugin.clusterBackup, cluster("", "", "", ""))
          const storedAt = at(JSON.parse(stored.text), "metadata", "annotations", "velero-cnpg/stored-at")
          assert.strictEqual(
            stored.text,
            cluster(
              `,"annotations":{"${annotation.serverName}":"orders","${annotation.backupId}":"20261119T000000","velero-cnpg/current-backup-ended-at":"2026-11-19T00:00:00Z","velero-cnpg/stored-at":"${String(storedAt)}"}`,
              "",
              "",
              ""
            )
          )

          const annotations = `,"annotations":{"b":"1","${annotation.serverName}":"orders","a":"\\u003c"}`
          const restored = yield* restore(plugin.clusterRestore, cluster(annotations, `,"status":${odd}`, "", ""))
          const destination = serverNameOf({ spec: { plugins: [at(JSON.parse(restored.text), "spec", "plugins", 1)] } })
          assert.match(destination, generatedName("orders"))
          assert.strictEqual(
            restored.text,
            cluster(
              annotations,
              "",
              `,"serverName":"${destination}"`,
              `,"externalClusters":[{"name":"clusterBackup","plugin":{"name":"${Objects.barmanCloud}","parameters":{"barmanObjectName":"store","serverName":"orders"}}}],"bootstrap":{"recovery":{"source":"clusterBackup"}}`
            )
          )

          const deployment = (containers: string) =>
            `{"kind":"Deployment","5":${odd},"metadata":{"name":"x","namespace":"shop"},"spec":{"replicas":1.0,"template":{"spec":{"initContainers":[${containers}],"z":${odd}}}}}`
          const [first, last] = [`{"image":"\\u003c","name":"first","n":${odd}}`, `{ "name":"last" , "n":${odd}}`]
          assert.strictEqual(
            (yield* restore(
              plugin.deploymentRestore,
              deployment(`${first}, {"name":"wait-for-migration-job"},${last}`)
            )).text,
            deployment(`${first},${last}`)
          )
        })
      )
    })
  )

  it.live("comes back byte for byte from a whole backup and restore", () =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({ objects: [Objects.namespace("shop")] })
      const text = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","namespace":"shop"},"data":${odd}}`
      const service = `{"apiVersion":"v1","kind":"Service","metadata":{"name":"y","namespace":"shop","labels":{"cnpg.io/cluster":"orders"}},"spec":${odd}}`
      const backedUp = yield* world.backup({}, [VeleroHost.entryOf(text), VeleroHost.entryOf(service)])
      const restored = yield* world.restore(backedUp)
      assert.deepStrictEqual(
        restored.map(({ after }) => after?.text),
        [text, service]
      )
    })
  )
})
