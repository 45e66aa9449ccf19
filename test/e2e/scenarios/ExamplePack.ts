/**
 * Every plugin of the example pack at work: what its actions do to stored and to restored objects, an operation that goes on after
 * the backup, a backup in memory, and snapshots of nothing.
 */
import * as Effect from "effect/Effect"
import * as Namespace from "../Namespace.ts"
import type { Saved, VeleroBackup } from "../Objects.ts"
import * as Objects from "../Objects.ts"
import { untilTrue } from "../Poll.ts"
import type { Scenario } from "../Scenario.ts"
import { minor } from "../Scenario.ts"
import { Stand, veleroNamespace } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"

const namespace = "example"
const key = "custom.example.com/backup"
const seconds = 10

const template = (app: string) => ({
  metadata: { labels: { app } },
  spec: { containers: [{ name: "main", image: "example.com/main:1" }] }
})

/** A Pod, what it mounts, workloads of several replicas, and ConfigMaps that ask for something. */
const create = Effect.fnUntraced(function* () {
  const { api } = yield* Stand
  const place = (name: string) => ({ name, namespace })
  yield* api.apply(Objects.namespaces, { metadata: { name: namespace } })
  yield* api.apply(Objects.configMaps, { metadata: place("settings"), data: { colour: "blue" } })
  yield* api.apply(Objects.secrets, { metadata: place("password"), stringData: { password: "secret" } })
  yield* api.apply(Objects.configMaps, {
    metadata: { ...place("required"), labels: { "backup-required": "true" } },
    data: {}
  })
  yield* api.apply(Objects.configMaps, {
    metadata: { ...place("slow"), annotations: { "backup.example.com/operation-seconds": `${seconds}` } },
    data: {}
  })
  yield* api.apply(Objects.pods, {
    metadata: { ...place("web"), labels: { app: "pod" } },
    spec: {
      ...template("pod").spec,
      volumes: [
        { name: "settings", configMap: { name: "settings" } },
        { name: "password", secret: { secretName: "password" } }
      ]
    }
  })
  const workload = { replicas: 3, selector: { matchLabels: { app: "web" } }, template: template("web") }
  yield* api.apply(Objects.deployments, { metadata: place("web"), spec: workload })
  yield* api.apply(Objects.statefulSets, {
    metadata: place("database"),
    spec: { ...workload, serviceName: "database", selector: { matchLabels: { app: "db" } }, template: template("db") }
  })
})

/** The configuration of `example.com/configurable-action`, as its page shows it. */
const configure = Effect.fnUntraced(function* () {
  const { api } = yield* Stand
  yield* api.apply(Objects.configMaps, {
    metadata: {
      name: "custom-plugin-config",
      namespace: veleroNamespace,
      labels: { "velero.io/plugin-config": "", "example.com/configurable-action": "BackupItemAction" }
    },
    data: { annotationKey: key }
  })
})

/** While the operation goes on, Velero tells how far it is; in the end, that it is done. */
const backUpWithOperation = Effect.fnUntraced(function* () {
  const { api, velero } = yield* Stand
  const name = yield* Velero.beginBackup([namespace])
  // Before that, the command waits half a minute for each thing that is not there yet.
  yield* untilTrue(
    "the backup waits for its operation",
    "30 seconds",
    Effect.map(
      api.get(Objects.veleroBackups, veleroNamespace, name),
      ({ status }) => status?.phase === "WaitingForPluginOperations"
    )
  )
  const describe = velero("backup", "describe", name, "--details")
  yield* Verify.attempt(
    untilTrue(
      "describe --details shows the operation on its way",
      "30 seconds",
      Effect.map(describe, (details) =>
        new RegExp(
          `Phase:\\s+InProgress\\s+Progress:\\s+(?!${seconds} )[1-9]\\d* of ${seconds} complete \\(seconds\\)`
        ).test(details)
      )
    )
  )
  const backup = yield* Velero.backupEnd(name)
  const details = yield* describe
  yield* Verify.that(
    "describe --details shows the operation completed",
    new RegExp(
      `Operation for configmaps ${namespace}/slow:\\s+Backup Item Action Plugin:\\s+example.com/async-backup-action[\\s\\S]*` +
        `Phase:\\s+Completed\\s+Progress:\\s+${seconds} of ${seconds} complete \\(seconds\\)`
    ).test(details),
    details
  )
  return backup
})

const timestampKey = "backup.example.com/timestamp"

/** What the backup actions made of the stored objects. */
const verifyContents = Effect.fnUntraced(function* (backup: Saved<VeleroBackup>) {
  const { find } = yield* Velero.download(backup)
  const stamped = {
    "backup.example.com/processed": "true",
    [timestampKey]: backup.metadata.creationTimestamp
  }
  const annotations = (name: string, resource = Objects.configMaps) =>
    find(resource, name, namespace)?.metadata.annotations
  yield* Verify.equal("annotations of the stored ConfigMap", annotations("settings"), stamped)
  yield* Verify.equal("annotations of the stored Secret", annotations("password", Objects.secrets), stamped)
  yield* Verify.equal("annotations of the labelled one", annotations("required"), { ...stamped, [key]: "true" })
  yield* Verify.equal("annotations of the one with an operation", annotations("slow"), {
    ...stamped,
    "backup.example.com/operation-seconds": `${seconds}`,
    "backup.example.com/operation": "finished"
  })
})

const verifyRestored = Effect.fnUntraced(function* () {
  const { api } = yield* Stand
  for (const [resource, name] of [
    [Objects.deployments, "web"],
    [Objects.statefulSets, "database"]
  ] as const) {
    const { spec } = yield* api.get(resource, namespace, name)
    yield* Verify.equal(`replicas of the restored ${resource.kind}`, spec?.["replicas"], 1)
  }
})

/** Once more: what was processed before stays as it is. */
const verifySecondBackup = Effect.fnUntraced(function* (first: Saved<VeleroBackup>) {
  const { api, velero } = yield* Stand
  yield* api.remove(Objects.configMaps, namespace, "slow")
  const backup = yield* Velero.backUp([namespace], "--include-resources=configmaps")
  const { find } = yield* Velero.download(backup)
  yield* Verify.equal(
    "the stamp of what was restored and backed up again",
    find(Objects.configMaps, "settings", namespace)?.metadata.annotations?.[timestampKey],
    first.metadata.creationTimestamp
  )
  const logs = yield* velero("backup", "logs", backup.metadata.name)
  yield* Verify.that("the log says why", logs.includes("Already processed, skipping"))
  yield* Velero.remove(backup)
})

/** A backup of the Pod alone has what it mounts too. */
const verifyItemBlock = Effect.fnUntraced(function* () {
  const { velero } = yield* Stand
  const backup = yield* Velero.backUp([namespace], "--selector=app=pod")
  const { find, paths } = yield* Velero.download(backup)
  yield* Verify.that(
    "a backup of the Pod has the ConfigMap and the Secret that it mounts",
    find(Objects.configMaps, "settings", namespace) !== undefined &&
      find(Objects.secrets, "password", namespace) !== undefined,
    paths.join(", ")
  )
  yield* Verify.that(
    "and nothing else of their kinds",
    !paths.some((path) => path.includes("required") || path.includes("slow")),
    paths.join(", ")
  )
  const logs = yield* velero("backup", "logs", backup.metadata.name)
  yield* Verify.that(
    "the log tells of the item block",
    logs.includes(`adding configmaps ${namespace}/settings to ItemBlock`)
  )
  yield* Velero.remove(backup)
})

/** The delete action speaks in the log of Velero's server. */
const verifyDeletion = Effect.fnUntraced(function* (backup: Saved<VeleroBackup>) {
  yield* Velero.remove(backup)
  const log = yield* Stand.use(({ veleroLog }) => veleroLog)
  const said = `Backup ${veleroNamespace}/${backup.metadata.name} no longer holds settings`
  yield* Verify.that("the delete action was called for the ConfigMap", log.includes(said))
})

/**
 * A backup in memory completes, as its process lives as long as it. Then nothing of it is left: no download, no restore, and with its
 * next look at the location Velero forgets it.
 */
const verifyMemory = Effect.fnUntraced(function* () {
  const { api, velero } = yield* Stand
  const location = "memory"
  yield* api.apply(Objects.backupStorageLocations, {
    metadata: { name: location, namespace: veleroNamespace },
    spec: {
      provider: "example.com/custom-object-store",
      objectStorage: { bucket: location },
      // Not before we say so.
      backupSyncPeriod: "0s"
    }
  })
  yield* untilTrue(
    "the location in memory is available",
    "30 seconds",
    Effect.map(
      api.get(Objects.backupStorageLocations, veleroNamespace, location),
      ({ status }) => status?.phase === "Available"
    )
  )
  const backup = yield* Velero.backUp([namespace], `--storage-location=${location}`, "--include-resources=secrets")
  yield* Verify.equal("the backup in memory", Velero.outcome(backup), "Completed")
  const { name } = backup.metadata
  const isDownloaded = Effect.match(velero("backup", "logs", name, "--timeout=3s"), {
    onSuccess: () => true,
    onFailure: () => false
  })
  // The command is not told why: it waits for a URL until its time is over.
  yield* Verify.that("velero backup logs of it fails", !(yield* isDownloaded))
  const reason = `cannot make a signed URL for ${location}/backups/${name}/${name}-logs.gz: objects in memory have no address`
  yield* Verify.that("Velero's log says why", (yield* Stand.use(({ veleroLog }) => veleroLog)).includes(reason))
  yield* Verify.equal(
    "the restore of it",
    Velero.outcome(yield* Velero.restore(backup)),
    "Failed, restore execution failed: error downloading backup: error copying Backup to temp file: " +
      `rpc error: code = Unknown desc = there is no object ${location}/backups/${name}/${name}.tar.gz`
  )
  yield* api.patch(Objects.backupStorageLocations, veleroNamespace, location, { spec: { backupSyncPeriod: "1s" } })
  yield* Velero.forgotten(name, veleroNamespace, "90 seconds")
  yield* api.remove(Objects.backupStorageLocations, veleroNamespace, location)
})

/** A "snapshot" is a warning, and the volume is restored as it is. */
const verifySnapshotter = Effect.fnUntraced(function* () {
  const { api, velero } = yield* Stand
  const [location, volumes, name, path] = ["nothing", "example-volumes", "example-data", "/srv/example-data"] as const
  const size = { accessModes: ["ReadWriteOnce"], storageClassName: "" }
  yield* api.apply(Objects.volumeSnapshotLocations, {
    metadata: { name: location, namespace: veleroNamespace },
    spec: { provider: "example.com/custom-volume-snapshotter" }
  })
  yield* api.apply(Objects.namespaces, { metadata: { name: volumes } })
  yield* api.apply(Objects.persistentVolumes, {
    metadata: { name },
    spec: { ...size, capacity: { storage: "1Gi" }, persistentVolumeReclaimPolicy: "Retain", hostPath: { path } }
  })
  yield* api.apply(Objects.persistentVolumeClaims, {
    metadata: { name, namespace: volumes },
    spec: { ...size, resources: { requests: { storage: "1Gi" } }, volumeName: name }
  })
  const isBound = untilTrue(
    `claim ${volumes}/${name} is bound`,
    "30 seconds",
    Effect.map(api.get(Objects.persistentVolumeClaims, volumes, name), ({ status }) => status?.phase === "Bound")
  )
  yield* isBound
  const backup = yield* Velero.backUp([volumes], `--volume-snapshot-locations=${location}`)
  yield* Verify.equal("the backup with the example's snapshot", Velero.outcome(backup), "Completed")
  const details = yield* velero("backup", "describe", backup.metadata.name, "--details")
  yield* Verify.that("describe --details has the snapshot", details.includes(`snapshot-of:${path}`), details)
  yield* Verify.that(
    "and a warning that it is none",
    details.includes(`Nothing of volume ${path} was copied: this snapshotter is an example`),
    details
  )
  yield* Namespace.remove(volumes)
  const restore = yield* Velero.restore(backup)
  yield* Verify.equal("the restore of the example's snapshot", Velero.outcome(restore), "Completed")
  yield* isBound
  const { spec } = yield* api.get(Objects.persistentVolumes, "", name)
  yield* Verify.equal("the restored volume", spec.hostPath?.path, path)
  yield* Velero.remove(backup)
  yield* api.remove(Objects.volumeSnapshotLocations, veleroNamespace, location)
})

export const examplePack: Scenario = {
  name: "example-pack",
  expected:
    "stored and restored objects bear the actions' marks; an operation completes; in memory a backup lives as long as its process",
  packs: ["filesystem", "example"],
  except: ({ velero }) => (minor(velero) < 15 ? "Velero before 1.15 has no item blocks" : undefined),
  run: Effect.gen(function* () {
    yield* create()
    yield* configure()
    const backup = yield* backUpWithOperation()
    yield* Verify.equal("the Velero backup", Velero.outcome(backup), "Completed")
    yield* verifyContents(backup)
    yield* verifyItemBlock()
    yield* Namespace.remove(namespace)
    const restore = yield* Velero.restore(backup)
    yield* Verify.equal("the Velero restore", Velero.outcome(restore), "Completed")
    yield* verifyRestored()
    yield* verifySecondBackup(backup)
    yield* verifyDeletion(backup)
    yield* Verify.attempt(verifySnapshotter())
    yield* Verify.attempt(verifyMemory())
    return `annotations, replicas, ${seconds} of ${seconds} seconds, item block, deletion, snapshot of nothing, backup in memory`
  })
}
