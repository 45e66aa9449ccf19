/**
 * The wire against the real thing: Velero's own client packages drive the compiled executable.
 *
 * Needs Go; without it the tests are skipped, and say so.
 */
import { spawnSync } from "node:child_process"
import * as Path from "node:path"
import { assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Manifests from "../../src/kubernetes/Manifests.ts"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import { executable, repository } from "../executable/Executable.ts"
import * as Worlds from "../executable/World.ts"
import type { Answer } from "./Velero.ts"
import * as Velero from "./Velero.ts"

const program = Velero.programOf("cnpg")

/** A Velero with our executable in its plugin directory, and a cluster behind both. */
const velero = (serverArgs: ReadonlyArray<string> = [], objects: ReadonlyArray<ApiServer.KubernetesObject> = []) =>
  Effect.gen(function* () {
    const { ask, cluster, pluginDirectory } = yield* Velero.start({
      program,
      executables: [executable],
      serverArgs,
      objects
    })
    yield* ask({ op: "manager.new" })
    return { ask, cluster, command: Path.join(pluginDirectory, Path.basename(executable)) }
  })

const shop = Effect.map(
  Manifests.load([Path.join(repository, "examples", "shop.yaml")]),
  (objects) => objects as ReadonlyArray<ApiServer.KubernetesObject>
)

const find = (objects: ReadonlyArray<ApiServer.KubernetesObject>, kind: string, name: string) => {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name)
  assert.isDefined(found, `${kind} ${name}`)
  return found
}

const backup = { metadata: { name: "b1", namespace: "velero", uid: "b1-uid" }, status: { phase: "InProgress" } }
const restore = {
  metadata: { name: "r1", namespace: "velero", uid: "r1-uid" },
  spec: { backupName: "b1", namespaceMapping: { shop: "shop2" } }
}

const backupPlugin = { op: "backupItemActionV2.execute", name: "replicated.com/cnpg-backup-plugin", backup }
const restorePlugin = { op: "restoreItemActionV2.execute", name: "replicated.com/cnpg-restore-plugin", restore }

describe.runIf(Velero.hasGo)("Velero's own client packages", () => {
  beforeAll(Velero.build(program), Velero.buildTimeout)

  it.live("discover every plugin, in one start that ends well", () =>
    Effect.gen(function* () {
      const { ask, command } = yield* velero()
      const { result } = yield* ask({ op: "list" })
      assert.deepStrictEqual(result.byKind.BackupItemActionV2.toSorted(), Worlds.backupPlugins.toSorted())
      assert.deepStrictEqual(result.byKind.RestoreItemActionV2.toSorted(), Worlds.restorePlugins.toSorted())
      assert.deepStrictEqual(result.byKind.ItemBlockAction, [Worlds.plugin.itemBlock])
      assert.deepStrictEqual(result.byKind.DeleteItemAction, [Worlds.plugin.backupDelete])
      assert.isTrue(result.plugins.every((plugin: { command: string }) => plugin.command === command))
    })
  )

  it.live("resolve selectors", () =>
    Effect.gen(function* () {
      const { ask } = yield* velero()
      const owned = yield* ask({
        op: "restoreItemActionV2.appliesTo",
        name: "velero-cnpg/owned-resource-restore-plugin"
      })
      assert.strictEqual(owned.result.labelSelector, "cnpg.io/cluster")
      assert.include(owned.result.includedResources, "persistentvolumeclaims")
    })
  )

  it.live("back a Cluster up and restore it into another namespace, without an error or a warning", () =>
    Effect.gen(function* () {
      const objects = yield* shop
      const { ask, cluster } = yield* velero([], objects)
      const item = find(objects, "Cluster", "orders")
      const stored = yield* ask({ ...backupPlugin, item, waitLog: "recorded server name" })
      assert.isTrue(stored.ok, stored.error)
      assert.strictEqual(stored.result.item.metadata.annotations["velero-cnpg/current-backup-id"], "20261119T020003")
      const [line] = stored.logs?.filter(({ message }) => message.includes("recorded")) ?? []
      assert.deepInclude(line?.fields, {
        backup: "velero/b1",
        resource: "Cluster.postgresql.cnpg.io",
        namespace: "shop",
        name: "orders",
        pluginName: "velero-plugin-cnpg",
        logSource: "replicated.com/cnpg-backup-plugin:report"
      })

      cluster.put({ apiVersion: "v1", kind: "Namespace", metadata: { name: "shop2" } })
      const { ownerReferences: _, uid: _uid, ...metadata } = stored.result.item.metadata
      const { status: _status, ...stripped } = stored.result.item
      const restored = yield* ask({
        ...restorePlugin,
        item: { ...stripped, metadata },
        itemFromBackup: stored.result.item
      })
      assert.isTrue(restored.ok, restored.error)
      assert.strictEqual(restored.result.item.spec.bootstrap.recovery.source, "clusterBackup")
      const configMap = cluster.get(ApiServer.resourceOfKind("v1", "ConfigMap"), "shop2", "cnpg-velero-override")
      assert.strictEqual(
        (configMap?.["data"] as Record<string, string> | undefined)?.["orders.write_to_server_name"],
        restored.result.item.spec.plugins[0].parameters.serverName
      )
      const counts = yield* ask({ op: "log.counts" })
      assert.strictEqual(counts.result.errors, 0)
      assert.strictEqual(counts.result.warnings, 0)
    })
  )

  it.live("leave an owned object out, with an item that Velero can read", () =>
    Effect.gen(function* () {
      const { ask } = yield* velero()
      const item = {
        apiVersion: "v1",
        kind: "PersistentVolumeClaim",
        metadata: {
          name: "orders-1",
          namespace: "shop",
          annotations: { "velero-cnpg/owned-by-cluster": "orders", "velero-cnpg/current-backup-id": "1" }
        }
      }
      const { result } = yield* ask({
        op: "restoreItemActionV2.execute",
        name: "velero-cnpg/owned-resource-restore-plugin",
        restore,
        item
      })
      assert.isTrue(result.skipRestore)
      assert.deepStrictEqual(result.item, item)
    })
  )

  it.live("get a message and a place for an item that cannot be read, and no crash", () =>
    Effect.gen(function* () {
      const { ask } = yield* velero()
      const refused = yield* ask({ ...backupPlugin, item: { apiVersion: "postgresql.cnpg.io/v1", kind: "Cluster" } })
      assert.isFalse(refused.ok)
      assert.strictEqual(refused.code, "Unknown")
      assert.include(refused.error, "replicated.com/cnpg-backup-plugin cannot read Cluster.postgresql.cnpg.io")
      assert.isNotEmpty(refused.errorFile)
      const next = yield* ask({ op: "backupItemActionV2.appliesTo", name: backupPlugin.name })
      assert.isTrue(next.ok)
    })
  )

  it.live("send and get an item of 32 MiB, which a Go plugin refuses", () =>
    Effect.gen(function* () {
      const { ask } = yield* velero()
      const filler = "x".repeat(32 * 1024 * 1024)
      const item = {
        apiVersion: "postgresql.cnpg.io/v1",
        kind: "Cluster",
        metadata: { name: "big", namespace: "shop", annotations: { filler } },
        spec: { backup: { barmanObjectStore: { destinationPath: "s3://b/" } } }
      }
      const stored = yield* ask({ ...backupPlugin, item })
      assert.isTrue(stored.ok, stored.error)
      assert.strictEqual(stored.result.item.metadata.annotations["velero-cnpg/serverName"], "big")
      assert.strictEqual(stored.result.item.metadata.annotations.filler, filler)
    })
  )

  it.live("call fifty times at once, kill the plugin, and go on", () =>
    Effect.gen(function* () {
      const objects = yield* shop
      const { ask } = yield* velero([], objects)
      const request = { ...backupPlugin, item: find(objects, "Cluster", "orders") }
      const many = yield* ask({ op: "concurrent", n: 50, request })
      const answers = many.result.results as ReadonlyArray<Answer>
      assert.strictEqual(answers.filter(({ ok }) => ok).length, 50)
      yield* ask({ op: "kill" })
      const after = yield* ask(request)
      assert.isTrue(after.ok, after.error)
    })
  )

  it.live("see it end by itself, quickly and with exit code 0", () =>
    Effect.gen(function* () {
      const { ask } = yield* velero()
      yield* ask({ op: "backupItemActionV2.appliesTo", name: backupPlugin.name })
      const cleaned = yield* ask({ op: "manager.cleanup", waitLog: "plugin process exited" })
      const exit = cleaned.logs?.find(({ message }) => message === "plugin process exited")
      assert.strictEqual(exit?.level, "info")
      // Velero's host waits two seconds before it kills.
      assert.isBelow(cleaned.result.cleanupMs, 2000)
    })
  )

  it.live.each([
    { version: "1.14", args: ["--log-level", "debug", "--features", "EnableCSI"] },
    { version: "1.15 and later", args: ["--features=EnableCSI", "--uploader-type=kopia", "--log-level=debug"] }
  ])("pass the arguments of Velero $version on", ({ args }) =>
    Effect.gen(function* () {
      const { ask } = yield* velero(args)
      const answer = yield* ask({
        ...backupPlugin,
        item: { apiVersion: "postgresql.cnpg.io/v1", kind: "Cluster", metadata: { name: "a", namespace: "b" } },
        waitLog: "report"
      })
      assert.isTrue(answer.ok, answer.error)
      const steps = answer.logs?.filter(({ fields, level }) => level === "debug" && fields["logSource"] !== undefined)
      assert.include(steps?.map(({ message }) => message) ?? [], "report", "the plugin took the log level over")
    })
  )

  it("speak AutoMTLS with go-plugin, and refuse strangers", () => {
    const run = spawnSync(program, ["automtls", "--plugin", executable], { encoding: "utf8" })
    const report = JSON.parse(run.stdout) as {
      readonly ok: boolean
      readonly exited: boolean
      readonly refused: Readonly<Record<string, string>>
    }
    assert.isTrue(report.ok, run.stdout)
    assert.isTrue(report.exited)
    assert.isNotEmpty(report.refused["plaintext"])
    assert.isNotEmpty(report.refused["noClientCertificate"])
  })

  it("tell a multiplexing go-plugin host the truth", () => {
    const run = spawnSync(program, ["automtls", "--multiplex", "--plugin", executable], { encoding: "utf8" })
    assert.include(run.stdout, "plugin does not support the feature")
    assert.notInclude(run.stdout, "recompile")
  })
})
