/** What memory cannot show: ownership of fields, pages, lists without kinds, refusals in Kubernetes' own words. */
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { action as backupAction } from "../../src/cnpg/ClusterBackup.ts"
import { action as restoreAction } from "../../src/cnpg/ClusterRestore.ts"
import { action as ownedBackupAction } from "../../src/cnpg/OwnedResourceBackup.ts"
import * as Kubernetes from "../../src/kubernetes/ApiServer.ts"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import {
  archiver,
  assertLine,
  at,
  cluster,
  completed,
  itIs,
  json,
  namespace,
  pick,
  recorded,
  restoreOf,
  shop,
  startProcess
} from "./World.ts"

/** A plugin process that is connected to a server by a kubeconfig. */
const startOn = Effect.fnUntraced(function* (server: ApiServer.ApiServer) {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "cnpg-test-"))),
    (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
  )
  const kubeconfig = Path.join(directory, "kubeconfig")
  Fs.writeFileSync(kubeconfig, server.kubeconfig)
  const environment = ConfigProvider.layer(ConfigProvider.fromEnvRecord({ KUBECONFIG: kubeconfig }))
  return yield* startProcess({ layer: Kubernetes.layer.pipe(Layer.provide(environment)) })
})

const objects = (...given: ReadonlyArray<unknown>) => json(given) as ReadonlyArray<ApiServer.KubernetesObject>

const configMaps = ApiServer.resourceOfKind("v1", "ConfigMap")

const audit = recorded(
  { plugins: [archiver({ barmanObjectName: "s", serverName: "audit-v1" })] },
  { "velero-cnpg/serverName": "audit-v1" },
  { name: "audit" }
)
const orders = recorded({ plugins: [archiver()] })

describe("the ConfigMap on an API server", () => {
  it.effect("holds both Clusters of a namespace, whoever comes first and however often", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: objects(namespace("shop")) })
      yield* itIs("2026-11-19T09:30:00Z")
      const process = yield* startOn(server)
      for (const item of [orders, audit, orders, audit]) yield* process.restore(restoreAction, item, restoreOf("r"))
      const configMap = server.get(configMaps, "shop", "cnpg-velero-override")
      assert.deepStrictEqual(at(configMap, "data"), {
        write_to_server_name: "audit-20261119-093000",
        read_from_server_name: "audit-v1",
        "orders.write_to_server_name": "orders-20261119-093000",
        "orders.read_from_server_name": "orders-v1",
        "audit.write_to_server_name": "audit-20261119-093000",
        "audit.read_from_server_name": "audit-v1"
      })
      assert.deepStrictEqual(at(configMap, "metadata", "annotations"), {
        "helm.sh/resource-policy": "keep",
        "velero-cnpg/restore.orders": "uid-of-r",
        "velero-cnpg/restore.audit": "uid-of-r"
      })
    })
  )

  it.effect("takes our keys over from another manager, and leaves it its own keys and labels", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({
        objects: objects(namespace("shop"), {
          apiVersion: "v1",
          kind: "ConfigMap",
          metadata: { name: "cnpg-velero-override", namespace: "shop", labels: { team: "shop" } },
          data: { write_to_server_name: "by-another", read_from_server_name: "by-another", theirs: "stays" }
        })
      })
      yield* itIs("2026-11-19T09:30:00Z")
      yield* (yield* startOn(server)).restore(restoreAction, orders, restoreOf("r"))
      const configMap = server.get(configMaps, "shop", "cnpg-velero-override")
      assert.deepStrictEqual(at(configMap, "metadata", "labels"), { team: "shop" })
      assert.deepStrictEqual(at(configMap, "data"), {
        write_to_server_name: "orders-20261119-093000",
        read_from_server_name: "orders-v1",
        theirs: "stays",
        "orders.write_to_server_name": "orders-20261119-093000",
        "orders.read_from_server_name": "orders-v1"
      })
    })
  )

  it.effect("is not made by a Cluster whose namespace is missing", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: objects(namespace("shop")) })
      const process = yield* startOn(server)
      const error = yield* Effect.flip(process.restore(restoreAction, orders, restoreOf("r", { shop: "gone" })))
      assert.strictEqual(error._tag, "MissingNamespace")
      assert.deepStrictEqual(server.list(configMaps), [])
    })
  )
})

describe("a backup on an API server", () => {
  it.effect(
    "reads 1,200 Backups in pages, and marks an Endpoints through a Service that is listed without a kind",
    () =>
      Effect.gen(function* () {
        const many = Array.from({ length: 1_200 }, (_, index) =>
          completed(`b${index}`, new Date(Date.UTC(2026, 0, 1) + ((index * 7) % 1_200) * 60_000).toISOString(), {
            backupId: `id-${(index * 7) % 1_200}`
          })
        )
        const uid = { metadata: { uid: "uid-of-orders" } }
        const service = pick(shop, "Service", "orders-rw")
        const owner = { apiVersion: "postgresql.cnpg.io/v1", kind: "Cluster", name: "orders", uid: uid.metadata.uid }
        const server = yield* ApiServer.make({
          objects: objects(
            namespace("shop"),
            cluster({ plugins: [archiver()] }),
            { ...service, metadata: { ...service.metadata, ownerReferences: [owner] } },
            ...many
          )
        })
        const process = yield* startOn(server)
        const stored = yield* process.backUp(ownedBackupAction, pick(shop, "Endpoints", "orders-rw"))
        assert.strictEqual(at(stored.tree, "metadata", "annotations", "velero-cnpg/current-backup-id"), "id-1199")
        const { tree } = yield* process.backUp(backupAction, cluster({ plugins: [archiver()] }))
        assert.strictEqual(at(tree, "metadata", "annotations", "velero-cnpg/current-backup-id"), "id-1199")
        const pages = server.requests().filter(({ path }) => path.endsWith("/namespaces/shop/backups"))
        assert.isAbove(pages.length, 1)
        assert.isTrue(pages.every(({ query }) => query["limit"] !== undefined))
        assert.isTrue(server.requests().every(({ method }) => method === "GET"))
      })
  )

  it.effect("that may not list Backups says which right is missing, and on what", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({
        objects: objects(namespace("shop"), cluster({ plugins: [archiver()] })),
        authorize: ({ resource, verb }) => !(resource === "backups" && verb === "list")
      })
      const process = yield* startOn(server)
      const { lines, tree } = yield* process.backUp(backupAction, cluster({ plugins: [archiver()] }))
      assert.deepStrictEqual(at(tree, "metadata", "annotations"), {
        "velero-cnpg/serverName": "orders-v1",
        "velero-cnpg/stored-at": "1970-01-01T00:00:00.000Z"
      })
      assertLine(lines, "Warn", "list", "backups.postgresql.cnpg.io", "Grant", "service account")
    })
  )

  it.effect("without the CRD says what is missing", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: objects(namespace("shop")) })
      server.addFault({ path: /postgresql\.cnpg\.io/, answer: { status: 404, message: "404 page not found" } })
      const process = yield* startOn(server)
      const { lines, tree } = yield* process.backUp(backupAction, cluster({ plugins: [archiver()] }))
      assert.deepStrictEqual(at(tree, "metadata", "annotations"), {
        "velero-cnpg/serverName": "orders-v1",
        "velero-cnpg/stored-at": "1970-01-01T00:00:00.000Z"
      })
      assertLine(lines, "Warn", "no backup id", "postgresql.cnpg.io")
    })
  )
})
