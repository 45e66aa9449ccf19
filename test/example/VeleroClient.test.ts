/** The example and Kyma packs against Velero's own client packages: every kind, and both executables in one directory. */
import * as Path from "node:path"
import { assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { KubernetesObject } from "../../src/testing/ApiServer.ts"
import * as Velero from "../velero-client/Velero.ts"
import { backup, executableOf, restore } from "./Host.ts"

const program = Velero.programOf("packs")
const executables = [executableOf("example"), executableOf("kyma")]

const object = (
  kind: string,
  name: string,
  metadata: Readonly<Record<string, unknown>> = {},
  rest: Readonly<Record<string, unknown>> = {}
) => ({ apiVersion: "v1", kind, metadata: { name, namespace: "shop", ...metadata }, ...rest })

const settings = object("ConfigMap", "settings", {}, { data: { a: "b" } })
const stamps = { "backup.example.com/processed": "true", "backup.example.com/timestamp": "2026-11-19T02:00:00Z" }

const start = (options: Partial<Velero.Options> = {}) =>
  Effect.gen(function* () {
    const velero = yield* Velero.start({ program, executables, ...options })
    yield* velero.ask({ op: "manager.new" })
    /** Asks, and wants an answer. */
    const get = (request: Readonly<Record<string, unknown>>) =>
      Effect.map(velero.ask(request), (answer) => {
        assert.isTrue(answer.ok, answer.error)
        return answer
      })
    /** Nothing that would fail a backup, or show in one, unless it is expected. */
    const assertCounts = (expected: { readonly errors: number; readonly warnings: number }) =>
      Effect.map(get({ op: "log.counts" }), ({ result }) => {
        const { errors, warnings } = result as typeof expected
        assert.deepStrictEqual({ errors, warnings }, expected)
      })
    return { ...velero, get, assertCounts }
  })

describe.runIf(Velero.hasGo)("Velero's own client packages", () => {
  beforeAll(Velero.build(program), Velero.buildTimeout)

  it.live("discover both packs, each plugin under its kind and version", () =>
    Effect.gen(function* () {
      const { get, pluginDirectory } = yield* start()
      const { result } = yield* get({ op: "list" })
      const listed = (result.plugins as ReadonlyArray<{ kind: string; name: string; command: string }>)
        .filter(({ command }) => command.startsWith(pluginDirectory))
        .map(({ command, kind, name }) => `${Path.basename(command)} ${kind} ${name}`)
      assert.deepStrictEqual(
        listed.toSorted(),
        [
          "velero-plugin-example BackupItemAction example.com/configurable-action",
          "velero-plugin-example BackupItemAction example.com/custom-backup-action",
          "velero-plugin-example BackupItemActionV2 example.com/async-backup-action",
          "velero-plugin-example DeleteItemAction example.com/custom-delete-action",
          "velero-plugin-example ItemBlockAction example.com/custom-item-block-action",
          "velero-plugin-example ObjectStore example.com/custom-object-store",
          "velero-plugin-example RestoreItemAction example.com/custom-restore-action",
          "velero-plugin-example VolumeSnapshotter example.com/custom-volume-snapshotter",
          "velero-plugin-kyma RestoreItemAction kyma-project.io/by-label-restore-plugin",
          "velero-plugin-kyma RestoreItemAction kyma-project.io/instances-restore-plugin",
          "velero-plugin-kyma RestoreItemAction kyma-project.io/knative-kyma-integration-restore-plugin",
          "velero-plugin-kyma RestoreItemAction kyma-project.io/nats-channels-restore-plugin",
          "velero-plugin-kyma RestoreItemAction kyma-project.io/secrets-restore-plugin"
        ].toSorted()
      )
      // In the order of registration; v1 actions are Velero's v2 actions too, by its own adapter.
      assert.deepStrictEqual(result.byKind.BackupItemAction, [
        "example.com/custom-backup-action",
        "example.com/configurable-action"
      ])
      assert.includeMembers(result.byKind.BackupItemActionV2, [
        "example.com/async-backup-action",
        "example.com/configurable-action",
        "example.com/custom-backup-action"
      ])
    })
  )

  it.live.each(["backupItemAction", "backupItemActionV2"])("call a v1 backup item action as %s", (kind) =>
    Effect.gen(function* () {
      const { assertCounts, get } = yield* start()
      const name = "example.com/custom-backup-action"
      const selector = yield* get({ op: `${kind}.appliesTo`, name })
      assert.deepStrictEqual(selector.result.includedResources, ["configmaps", "secrets"])
      const stored = yield* get({
        op: `${kind}.execute`,
        name,
        item: settings,
        backup: backup(),
        waitLog: "Executing custom backup action"
      })
      assert.deepStrictEqual(stored.result.item.metadata.annotations, stamps)
      assert.deepStrictEqual(stored.result.additionalItems, [])
      const line = stored.logs?.find(({ message }) => message === "Executing custom backup action")
      assert.deepInclude(line?.fields, {
        logSource: "example.com/custom-backup-action:report",
        pluginName: "velero-plugin-example",
        resource: "ConfigMap",
        namespace: "shop",
        name: "settings"
      })
      const again = yield* get({
        op: `${kind}.execute`,
        name,
        item: stored.result.item,
        backup: backup(),
        waitLog: "Already processed, skipping"
      })
      assert.strictEqual(again.result.itemJSON, stored.result.itemJSON)
      yield* assertCounts({ errors: 0, warnings: 0 })
    })
  )

  it.live.each(["restoreItemAction", "restoreItemActionV2"])("call v1 restore item actions as %s", (kind) =>
    Effect.gen(function* () {
      const binding: KubernetesObject = {
        apiVersion: "servicecatalog.k8s.io/v1beta1",
        kind: "ServiceBinding",
        metadata: { name: "redis", namespace: "shop", uid: "uid-of-redis" }
      }
      const { assertCounts, get } = yield* start({ objects: [binding] })
      const run = (name: string, item: object) => get({ op: `${kind}.execute`, name, item, restore })
      const one = yield* run(
        "example.com/custom-restore-action",
        object("Deployment", "web", {}, { spec: { replicas: 3 } })
      )
      assert.deepStrictEqual(one.result.item.spec, { replicas: 1 })

      const service = object("Service", "c", { labels: { "messaging.knative.dev/role": "natss-channel" } })
      const skipped = yield* run("kyma-project.io/nats-channels-restore-plugin", service)
      assert.isTrue(skipped.result.skipRestore)
      assert.deepStrictEqual(skipped.result.item, service)

      const owned = yield* run("kyma-project.io/secrets-restore-plugin", object("Secret", "redis"))
      assert.deepInclude(owned.result.item.metadata.ownerReferences[0], { kind: "ServiceBinding", uid: "uid-of-redis" })
      const instance = object(
        "ServiceInstance",
        "redis",
        {},
        { spec: { serviceClassRef: {}, servicePlanRef: {}, a: 1 } }
      )
      const cleaned = yield* run("kyma-project.io/instances-restore-plugin", instance)
      assert.deepStrictEqual(cleaned.result.item.spec, { a: 1 })
      yield* assertCounts({ errors: 0, warnings: 0 })
    })
  )

  it.live("read a configuration by Velero's labels", () =>
    Effect.gen(function* () {
      const config: KubernetesObject = {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: {
          name: "custom-plugin-config",
          namespace: "velero",
          labels: { "velero.io/plugin-config": "", "example.com/configurable-action": "BackupItemAction" }
        },
        data: { annotationKey: "custom.example.com/backup" }
      }
      const { get } = yield* start({ objects: [config] })
      const request = { op: "backupItemActionV2.execute", name: "example.com/configurable-action", item: settings }
      const { result } = yield* get({ ...request, backup: backup() })
      assert.deepStrictEqual(result.item.metadata.annotations, { "custom.example.com/backup": "true" })
    })
  )

  it.live("call a delete item action and an item block action", () =>
    Effect.gen(function* () {
      const { assertCounts, ask, get } = yield* start()
      const deleting = "example.com/custom-delete-action"
      const selector = yield* get({ op: "deleteItemAction.appliesTo", name: deleting })
      assert.deepStrictEqual(selector.result.includedResources, ["configmaps", "secrets"])
      const item = object("Secret", "tls", { annotations: stamps })
      const words = "Backup velero/nightly no longer holds tls"
      const request = { op: "deleteItemAction.execute", name: deleting, item, backup: backup() }
      const deleted = yield* get({ ...request, waitLog: words })
      assert.isDefined(deleted.logs?.find(({ message }) => message === words))

      const block = "example.com/custom-item-block-action"
      assert.deepStrictEqual((yield* get({ op: "itemBlockAction.appliesTo", name: block })).result.includedResources, [
        "pods"
      ])
      const volumes = [{ configMap: { name: "settings" } }, { secret: { secretName: "tls" } }]
      const pod = object("Pod", "web", {}, { spec: { volumes } })
      const related = yield* get({ op: "itemBlockAction.getRelatedItems", name: block, item: pod, backup: backup() })
      assert.deepStrictEqual(related.result.relatedItems, [
        { group: "", resource: "configmaps", namespace: "shop", name: "settings" },
        { group: "", resource: "secrets", namespace: "shop", name: "tls" }
      ])
      yield* assertCounts({ errors: 0, warnings: 0 })

      // Errors come with a place, and the process lives on.
      for (const [op, name] of [
        ["deleteItemAction.execute", deleting],
        ["itemBlockAction.getRelatedItems", block]
      ] as const) {
        const broken = object("Pod", "x", {}, { spec: { volumes: "none" } })
        const failed = yield* ask({ op, name, item: { ...broken, metadata: { annotations: {} } }, backup: backup() })
        assert.isFalse(failed.ok)
        assert.strictEqual(failed.code, "Unknown")
        assert.include(failed.error, `${name} cannot read Pod`)
        assert.isNotEmpty(failed.errorFile)
      }
      yield* get({ ...request })
    })
  )

  it.live("follow and give up an operation, each time in a new process", () =>
    Effect.gen(function* () {
      const { get } = yield* start()
      const name = "example.com/async-backup-action"
      const item = object("ConfigMap", "export", { annotations: { "backup.example.com/operation-seconds": "30" } })
      const { result } = yield* get({ op: "backupItemActionV2.execute", name, item, backup: backup() })
      const { operationID } = result
      assert.deepStrictEqual(result.postOperationItems, [
        { group: "", resource: "configmaps", namespace: "shop", name: "export" }
      ])
      const progress = (id: string) =>
        Effect.andThen(
          get({ op: "manager.new" }),
          get({ op: "backupItemActionV2.progress", name, operationID: id, backup: backup() })
        )
      const running = (yield* progress(operationID)).result
      assert.deepInclude(running, { completed: false, err: "", nTotal: 30, operationUnits: "seconds" })
      // The time of the id, as Velero read it from the answer.
      assert.strictEqual(running.started, operationID.split("+")[0].replace(/\.?0*Z$/, "Z"))
      const later = operationID.replace(/^\S+?\+/, "2026-01-01T00:00:00.000Z+")
      assert.deepInclude((yield* progress(later)).result, { completed: true, nCompleted: 30 })
      yield* get({ op: "manager.new" })
      const cancelled = yield* get({
        op: "backupItemActionV2.cancel",
        name,
        operationID,
        backup: backup(),
        waitLog: "Operation of shop/export cancelled"
      })
      assert.isDefined(cancelled.logs?.find(({ message }) => message.includes("cancelled")))
    })
  )

  it.live("are told that v1 actions have no operations", () =>
    Effect.gen(function* () {
      const { ask } = yield* start()
      const name = "example.com/custom-backup-action"
      const refused = yield* ask({ op: "backupItemActionV2.progress", name, operationID: "x", backup: backup() })
      assert.isFalse(refused.ok)
    })
  )

  it.live("put, list, get and delete objects", () =>
    Effect.gen(function* () {
      const { assertCounts, ask, get } = yield* start()
      const name = "example.com/custom-object-store"
      const at = { name, bucket: "b" }
      const wrong = yield* ask({ op: "objectStore.init", name, config: { bucket: "b", prefix: "", region: "r" } })
      assert.include(
        wrong.error,
        "config has invalid keys [region]; valid keys are [bucket caCert credentialsFile prefix]"
      )
      yield* get({ op: "objectStore.init", name, config: { bucket: "b", prefix: "p" } })

      const size = 1_000_000
      const put = yield* get({ ...at, op: "objectStore.putObject", key: "p/backups/one/one.tar.gz", size })
      assert.strictEqual(put.result.size, size)
      yield* get({ ...at, op: "objectStore.putObject", key: "p/backups/one/one-logs.gz", body: "AAEC" })
      yield* get({ ...at, op: "objectStore.putObject", key: "p/backups/two/two.tar.gz", body: "AAEC" })

      const got = yield* get({ ...at, op: "objectStore.getObject", key: "p/backups/one/one.tar.gz" })
      assert.strictEqual(got.result.sha256, put.result.sha256)
      const exists = (key: string) =>
        Effect.map(get({ ...at, op: "objectStore.objectExists", key }), ({ result }) => result.exists as boolean)
      assert.deepStrictEqual([yield* exists("p/backups/one/one-logs.gz"), yield* exists("p/none")], [true, false])
      const prefixes = yield* get({ ...at, op: "objectStore.listCommonPrefixes", prefix: "p/backups/", delimiter: "/" })
      assert.deepStrictEqual(prefixes.result.prefixes, ["p/backups/one/", "p/backups/two/"])
      const keys = yield* get({ ...at, op: "objectStore.listObjects", prefix: "p/backups/one/" })
      assert.deepStrictEqual(keys.result.keys, ["p/backups/one/one-logs.gz", "p/backups/one/one.tar.gz"])
      yield* get({ ...at, op: "objectStore.deleteObject", key: "p/backups/one/one-logs.gz" })
      assert.isFalse(yield* exists("p/backups/one/one-logs.gz"))

      const missing = yield* ask({ ...at, op: "objectStore.getObject", key: "p/none" })
      assert.include(missing.error, "there is no object b/p/none")
      const signed = yield* ask({ ...at, op: "objectStore.createSignedURL", key: "p/none", ttlMs: 600_000 })
      assert.include(signed.error, "objects in memory have no address")
      yield* assertCounts({ errors: 0, warnings: 0 })
    })
  )

  it.live("snapshot a volume that is none", () =>
    Effect.gen(function* () {
      const { assertCounts, get } = yield* start()
      const name = "example.com/custom-volume-snapshotter"
      const volume = { apiVersion: "v1", kind: "PersistentVolume", metadata: { name: "pv" } }
      const pv = { ...volume, spec: { hostPath: { path: "/data/one" } } }
      yield* get({ op: "volumeSnapshotter.init", name, config: {} })
      const { result: id } = yield* get({ op: "volumeSnapshotter.getVolumeID", name, pv })
      assert.strictEqual(id.volumeID, "/data/one")
      const { result: info } = yield* get({ op: "volumeSnapshotter.getVolumeInfo", name, volumeID: id.volumeID })
      assert.deepInclude(info, { volumeType: "hostPath" })
      const { result: snapshot } = yield* get({
        op: "volumeSnapshotter.createSnapshot",
        name,
        volumeID: id.volumeID,
        tags: { a: "b" },
        waitLog: "Nothing of volume /data/one was copied"
      })
      for (const iops of [null, 100]) {
        const made = yield* get({
          op: "volumeSnapshotter.createVolumeFromSnapshot",
          name,
          snapshotID: snapshot.snapshotID,
          volumeType: "hostPath",
          iops
        })
        assert.strictEqual(made.result.volumeID, "/data/one")
      }
      const moved = yield* get({ op: "volumeSnapshotter.setVolumeID", name, pv, volumeID: "/data/two" })
      assert.deepStrictEqual(moved.result.item.spec, { hostPath: { path: "/data/two" } })
      yield* get({ op: "volumeSnapshotter.deleteSnapshot", name, snapshotID: snapshot.snapshotID })
      yield* assertCounts({ errors: 0, warnings: 1 })
    })
  )

  it.live.each([
    { serverArgs: [], env: { LOG_LEVEL: "debug" }, isDebug: true },
    { serverArgs: ["--features=EnableCSI"], env: { LOG_LEVEL: "debug" }, isDebug: true },
    { serverArgs: ["--log-level=info"], env: { LOG_LEVEL: "debug" }, isDebug: false },
    { serverArgs: [], env: {}, isDebug: false }
  ])("hand LOG_LEVEL on to both executables: %j", ({ env, isDebug, serverArgs }) =>
    Effect.gen(function* () {
      const { get } = yield* start({ env, serverArgs })
      for (const [name, words] of [
        ["example.com/custom-restore-action", "Set replicas to 1"],
        ["kyma-project.io/by-label-restore-plugin", "Restoring Deployment"]
      ] as const) {
        const item = object("Deployment", "web", {}, { spec: {} })
        const { logs } = yield* get({ op: "restoreItemActionV2.execute", name, item, restore, waitLog: words })
        const steps = logs?.filter(({ fields, level }) => level === "debug" && fields["logSource"] === `${name}:decode`)
        assert.strictEqual(steps?.length, isDebug ? 1 : 0)
      }
    })
  )
})
