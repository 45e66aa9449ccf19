import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type { KubernetesObject } from "../../src/testing/ApiServer.ts"
import * as VeleroHost from "../../src/testing/VeleroHost.ts"
import { backup, bytesOf, executableOf, jsonOf, restore, start } from "./Host.ts"

const asyncAction = "example.com/async-backup-action"
const snapshotter = "example.com/custom-volume-snapshotter"

/** As `src/bin/velero-plugin-example.ts` lists them. */
const plugins = [
  ["BackupItemAction", "example.com/custom-backup-action"],
  ["RestoreItemAction", "example.com/custom-restore-action"],
  ["ObjectStore", "example.com/custom-object-store"],
  ["BackupItemAction", "example.com/configurable-action"],
  ["DeleteItemAction", "example.com/custom-delete-action"],
  ["BackupItemActionV2", asyncAction],
  ["ItemBlockAction", "example.com/custom-item-block-action"],
  ["VolumeSnapshotter", snapshotter]
] as const

const object = (
  kind: string,
  name: string,
  metadata: Readonly<Record<string, unknown>> = {},
  rest: Readonly<Record<string, unknown>> = {}
): KubernetesObject => ({
  apiVersion: kind === "Deployment" ? "apps/v1" : "v1",
  kind,
  metadata: { name, namespace: "shop", ...metadata },
  ...rest
})

const stamps = { "backup.example.com/processed": "true", "backup.example.com/timestamp": "2026-11-19T02:00:00Z" }
const settings = object("ConfigMap", "settings", {}, { data: { a: "b" } })
const exported = object("ConfigMap", "export", { annotations: { "backup.example.com/operation-seconds": "30" } })

describe("velero-plugin-example", () => {
  it.live("lists kinds and versions in the order of its registrations, and loads none of them", () =>
    Effect.gen(function* () {
      // No environment, so no cluster either.
      const world = yield* start("example", { env: { KUBECONFIG: "/nowhere", VELERO_NAMESPACE: undefined } })
      const command = executableOf("example")
      assert.deepStrictEqual(
        yield* world.plugins,
        plugins.map(([kind, name]) => ({ command, kind, name }))
      )
      assert.deepStrictEqual(world.logs(), [])
    })
  )

  it.live("knows each name under its own kind and version only", () =>
    Effect.gen(function* () {
      const { process } = yield* start("example")
      yield* process(({ client }) =>
        Effect.gen(function* () {
          const { backupItemAction, backupItemActionV2 } = yield* client
          const v1 = yield* Effect.flip(backupItemAction.appliesTo({ plugin: asyncAction }))
          assert.include(v1.message, `BackupItemAction plugin: ${asyncAction} was not found`)
          const v2 = yield* Effect.flip(backupItemActionV2.appliesTo({ plugin: plugins[0][1] }))
          assert.include(v2.message, `BackupItemActionV2 plugin: ${plugins[0][1]} was not found`)
        })
      )
    })
  )

  it.live("stores and restores objects as document 003 says", () =>
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
      const token = object("Secret", "token", { annotations: { a: "b" } })
      const done = object("Secret", "done", { annotations: { "backup.example.com/processed": "true" } })
      const service = object("Service", "web", { labels: { "backup-required": "true" } })
      const web = object("Deployment", "web", {}, { spec: { replicas: 3, template: {} } })
      const pod = object("Pod", "web")
      const items = [settings, token, done, service, web, pod]

      const { cluster, line, logs, plugins: listed, process } = yield* start("example", { objects: [config] })
      const entries = items.map((item) => VeleroHost.entryOf(JSON.stringify(item)))
      const identifiers = yield* listed
      const backedUp = yield* process((manager) =>
        VeleroHost.backup(manager, identifiers, entries, { name: "nightly", creationTimestamp: "2026-11-19T02:00:00Z" })
      )
      const stored = (kind: string, name: string): unknown =>
        JSON.parse(backedUp.find(({ before }) => before.kind === kind && before.name === name)?.after?.text ?? "null")
      const annotated = ({ metadata, ...rest }: KubernetesObject, annotations: object): unknown => ({
        ...rest,
        metadata: { ...metadata, annotations }
      })
      assert.deepStrictEqual(stored("ConfigMap", "settings"), annotated(settings, stamps))
      assert.deepStrictEqual(stored("Secret", "token"), annotated(token, { a: "b", ...stamps }))
      assert.deepStrictEqual(stored("Secret", "done"), done)
      assert.deepStrictEqual(stored("Service", "web"), annotated(service, { "custom.example.com/backup": "true" }))
      assert.deepStrictEqual(stored("Deployment", "web"), web)
      assert.deepStrictEqual(stored("Pod", "web"), pod)

      const restored = yield* process((manager) =>
        VeleroHost.restore(
          manager,
          identifiers,
          backedUp.flatMap(({ after }) => after ?? []),
          cluster,
          { name: "again" }
        )
      )
      const deployment = restored.find(({ before }) => before.kind === "Deployment")?.after?.text ?? "null"
      assert.deepStrictEqual(JSON.parse(deployment), { ...web, spec: { replicas: 1, template: {} } })
      yield* line("Set replicas to 1 for web")
      const messages = (name: string) =>
        logs().flatMap(({ fields, message }) => (fields["name"] === name ? [message] : []))
      assert.deepStrictEqual(messages("done"), ["Executing custom backup action", "Already processed, skipping"])
      assert.deepStrictEqual(messages("token"), ["Executing custom backup action"])
      // What document 003 looks for in Velero's log.
      assert.isTrue(logs().some((entry) => JSON.stringify(entry.fields).includes("custom-backup-action")))
    })
  )

  it.live("answers what a Pod mounts, and says what it deletes", () =>
    Effect.gen(function* () {
      const { line, process } = yield* start("example")
      yield* process(({ client }) =>
        Effect.gen(function* () {
          const { deleteItemAction, itemBlockAction } = yield* client
          const block = { plugin: "example.com/custom-item-block-action" }
          const deleting = { plugin: "example.com/custom-delete-action" }
          assert.deepStrictEqual((yield* itemBlockAction.appliesTo(block)).ResourceSelector?.includedResources, [
            "pods"
          ])
          assert.deepStrictEqual((yield* deleteItemAction.appliesTo(deleting)).ResourceSelector?.includedResources, [
            "configmaps",
            "secrets"
          ])
          const pod = object("Pod", "web", {}, { spec: { volumes: [{ secret: { secretName: "tls" } }] } })
          const related = yield* itemBlockAction.getRelatedItems({
            ...block,
            item: bytesOf(pod),
            backup: bytesOf(backup())
          })
          assert.deepStrictEqual(related, {
            relatedItems: [{ group: "", resource: "secrets", namespace: "shop", name: "tls" }]
          })
          const item = bytesOf(object("Secret", "tls", { annotations: stamps }))
          assert.deepStrictEqual(yield* deleteItemAction.execute({ ...deleting, item, backup: bytesOf(backup()) }), {})
        })
      )
      const { fields } = yield* line("Backup velero/nightly no longer holds tls")
      assert.deepInclude(fields, {
        backup: "velero/nightly",
        resource: "Secret",
        namespace: "shop",
        name: "tls",
        logSource: "example.com/custom-delete-action:report"
      })
    })
  )

  it.live("follows an operation through processes that share nothing but its id", () =>
    Effect.gen(function* () {
      const { line, logs, process } = yield* start("example")
      const owner = bytesOf(backup())
      const started = yield* process(({ client }) =>
        Effect.flatMap(client, ({ backupItemActionV2 }) =>
          backupItemActionV2.execute({ plugin: asyncAction, item: bytesOf(exported), backup: owner })
        )
      )
      assert.deepStrictEqual(jsonOf(started.item), exported)
      assert.deepStrictEqual(started.postOperationItems, [
        { group: "", resource: "configmaps", namespace: "shop", name: "export" }
      ])

      /** Asks in a new process, as Velero does every ten seconds. */
      const progress = (operationID: string) =>
        process(({ client }) =>
          Effect.flatMap(client, ({ backupItemActionV2 }) =>
            backupItemActionV2.progress({ plugin: asyncAction, operationID, backup: owner })
          )
        )
      const running = (yield* progress(started.operationID)).progress
      assert.deepInclude(running, { completed: false, err: "", nTotal: 30n, operationUnits: "seconds" })
      const now = yield* DateTime.now
      assert.isAtMost(Number(running?.started?.seconds), DateTime.toEpochMillis(now) / 1000)

      // The same id, as it would be half a minute later.
      const earlier = started.operationID.replace(/^\S+?\+/, "2026-01-01T00:00:00.000Z+")
      assert.deepInclude((yield* progress(earlier)).progress, { completed: true, nCompleted: 30n, nTotal: 30n })

      const invalid = yield* Effect.flip(progress("somebody else's"))
      assert.strictEqual(invalid.message, "operation ID somebody else's is invalid")

      yield* process(({ client }) =>
        Effect.flatMap(client, ({ backupItemActionV2 }) =>
          backupItemActionV2.cancel({ plugin: asyncAction, operationID: started.operationID, backup: owner })
        )
      )
      yield* line("Operation of shop/export cancelled")

      const finished = yield* process(({ client }) =>
        Effect.flatMap(client, ({ backupItemActionV2 }) =>
          backupItemActionV2.execute({
            plugin: asyncAction,
            item: bytesOf(exported),
            backup: bytesOf(backup("Finalizing"))
          })
        )
      )
      assert.deepStrictEqual([finished.operationID, finished.postOperationItems], ["", []])
      assert.deepStrictEqual(jsonOf(finished.item), {
        ...exported,
        metadata: {
          ...exported.metadata,
          annotations: { "backup.example.com/operation-seconds": "30", "backup.example.com/operation": "finished" }
        }
      })
      assert.isTrue(logs().every(({ level }) => level === "info"))
    })
  )

  it.live("takes a snapshot of a host path, which a later process restores", () =>
    Effect.gen(function* () {
      const { line, process } = yield* start("example")
      const volume = object("PersistentVolume", "pv", {}, { spec: { hostPath: { path: "/data/one", type: "" } } })
      const plugin = snapshotter
      const snapshotID = yield* process(({ client }) =>
        Effect.gen(function* () {
          const { volumeSnapshotter } = yield* client
          const early = yield* Effect.flip(volumeSnapshotter.getVolumeID({ plugin, persistentVolume: bytesOf(volume) }))
          assert.include(early.message, "before it was initialized")
          const wrong = yield* Effect.flip(volumeSnapshotter.init({ plugin, config: { region: "r" } }))
          assert.strictEqual(wrong.message, "config has invalid keys [region]; valid keys are [credentialsFile]")
          yield* volumeSnapshotter.init({ plugin, config: {} })
          const { volumeID } = yield* volumeSnapshotter.getVolumeID({ plugin, persistentVolume: bytesOf(volume) })
          assert.strictEqual(volumeID, "/data/one")
          assert.deepStrictEqual(yield* volumeSnapshotter.getVolumeInfo({ plugin, volumeID, volumeAZ: "" }), {
            volumeType: "hostPath",
            iops: 0n
          })
          return (yield* volumeSnapshotter.createSnapshot({ plugin, volumeID, volumeAZ: "", tags: { a: "b" } }))
            .snapshotID
        })
      )
      assert.strictEqual((yield* line("Nothing of volume /data/one was copied")).level, "warn")
      yield* process(({ client }) =>
        Effect.gen(function* () {
          const { volumeSnapshotter } = yield* client
          yield* volumeSnapshotter.init({ plugin, config: {} })
          const { volumeID } = yield* volumeSnapshotter.createVolumeFromSnapshot({
            plugin,
            snapshotID,
            volumeType: "hostPath",
            volumeAZ: "",
            iops: 0n
          })
          const moved = yield* volumeSnapshotter.setVolumeID({
            plugin,
            persistentVolume: bytesOf(object("PersistentVolume", "pv", {}, { spec: { hostPath: { path: "/x" } } })),
            volumeID
          })
          assert.deepStrictEqual(
            jsonOf(moved.persistentVolume),
            object("PersistentVolume", "pv", {}, { spec: { hostPath: { path: "/data/one" } } })
          )
          assert.deepStrictEqual(yield* volumeSnapshotter.deleteSnapshot({ plugin, snapshotID }), {})
        })
      )
    })
  )
})

describe("the log level", () => {
  const restoring = ({ client }: VeleroHost.Manager) => {
    const item = bytesOf(object("Deployment", "web", {}, { spec: {} }))
    return Effect.flatMap(client, ({ restoreItemAction }) =>
      restoreItemAction.execute({
        plugin: "example.com/custom-restore-action",
        item,
        itemFromBackup: item,
        restore: bytesOf(restore)
      })
    )
  }

  it.live.each([
    { env: {}, args: [], levels: ["info"] },
    { env: { LOG_LEVEL: "debug" }, args: [], levels: ["debug", "info"] },
    { env: { LOG_LEVEL: "debug" }, args: ["--features=EnableCSI"], levels: ["debug", "info"] },
    { env: { LOG_LEVEL: "debug" }, args: ["--log-level=warning"], levels: [] },
    { env: { LOG_LEVEL: "warn" }, args: ["--log-level", "debug"], levels: ["debug", "info"] }
  ])("is the flag's, or else the variable's: %j", ({ args, env, levels }) =>
    Effect.gen(function* () {
      const { logs, process } = yield* start("example", { args, env })
      yield* process(restoring)
      assert.deepStrictEqual([...new Set(logs().map(({ level }) => level))].toSorted(), levels)
    })
  )
})
