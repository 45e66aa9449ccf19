/**
 * The life of backups in the filesystem pack's object store, the only one that Velero has: made, looked at, restored, found by a second
 * Velero, expired, deleted.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import * as Namespace from "../Namespace.ts"
import type { Saved, VeleroBackup } from "../Objects.ts"
import * as Objects from "../Objects.ts"
import { until, untilTrue } from "../Poll.ts"
import type { Scenario } from "../Scenario.ts"
import { Stand, veleroNamespace } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"

const namespace = "files"
const settings = { colour: "blue", unicode: "größe \u{1f418}" }

/** Another installation of Velero, as of another cluster. */
const second = "velero-second"

/** Files and folders of the bucket that a backup, or a restore of it, has left. */
const traces = Effect.fnUntraced(function* (backup: string) {
  const { path } = yield* Stand.use(({ files }) => files)
  return Fs.readdirSync(path(), { recursive: true, encoding: "utf8" }).filter((name) => name.includes(backup))
})

/** Folders of the root in which there is nothing. Uploads have one that stays. */
const emptyFolders = Effect.fnUntraced(function* () {
  const { path } = yield* Stand.use(({ files }) => files)
  return Fs.readdirSync(path(), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => Path.join(entry.parentPath, entry.name))
    .filter((folder) => Fs.readdirSync(folder).length === 0)
})

/** The commands that download something. */
const verifyDownloads = Effect.fnUntraced(function* (backup: Saved<VeleroBackup>, restore: Saved<VeleroBackup>) {
  const { velero } = yield* Stand
  const { name } = backup.metadata
  const logs = yield* velero("backup", "logs", name)
  yield* Verify.that("the backup's log tells of its items", logs.includes("Backed up a total of"), logs.slice(-200))
  const details = yield* velero("backup", "describe", name, "--details")
  yield* Verify.that(
    "describe --details lists the ConfigMap",
    details.includes(`- ${namespace}/settings`) && !details.includes("<error"),
    details
  )
  const contents = yield* Velero.download(backup)
  yield* Verify.equal(
    "the ConfigMap in the downloaded backup",
    contents.find(Objects.configMaps, "settings", namespace)?.data,
    settings
  )
  const restoreLogs = yield* velero("restore", "logs", restore.metadata.name)
  yield* Verify.that(
    "the restore's log tells of the ConfigMap",
    /settings.*configmaps|configmaps.*settings/i.test(restoreLogs),
    restoreLogs.slice(-200)
  )
  const restoreDetails = yield* velero("restore", "describe", restore.metadata.name, "--details")
  yield* Verify.that(
    "describe --details of the restore says what was made",
    restoreDetails.includes(`- ${namespace}/settings(created)`) && !restoreDetails.includes("<error"),
    restoreDetails
  )
})

/**
 * The second Velero finds the backup and restores it under another name. It looks for backups when it starts, at the locations that
 * are known to be available, and then once a minute: it is started twice, so that nobody has to wait.
 */
const verifySecondVelero = Effect.fnUntraced(function* (backup: Saved<VeleroBackup>) {
  const { api, startVelero, velero } = yield* Stand
  const options = { packs: ["filesystem"], namespace: second } as const
  yield* Effect.scoped(startVelero(options))
  yield* Effect.scoped(
    Effect.gen(function* () {
      yield* startVelero({ ...options, isRestart: true })
      const found = yield* until(
        `the second Velero finds backup ${backup.metadata.name}`,
        "90 seconds",
        api.find(Objects.veleroBackups, second, backup.metadata.name)
      )
      yield* Verify.equal("what the second Velero says of the backup", Velero.outcome(found), "Completed")
      const mapping = { [namespace]: `${namespace}-second` }
      const restore = yield* Velero.restore(found, Velero.mapping(mapping))
      yield* Verify.equal("the restore by the second Velero", Velero.outcome(restore), "Completed")
      const { data } = yield* api.get(Objects.configMaps, `${namespace}-second`, "settings")
      yield* Verify.equal("the ConfigMap that the second Velero restored", data, settings)
      // Of restores only their own Velero knows, and whoever deletes the backup elsewhere leaves them.
      yield* velero("--namespace", second, "restore", "delete", restore.metadata.name, "--confirm")
      yield* untilTrue(
        "the second Velero's restore is gone",
        "30 seconds",
        Effect.map(api.list(Objects.veleroRestores, second), (left) => left.length === 0)
      )
    })
  )
})

/** A backup that lives for seconds is gone without anyone's doing. */
const verifyExpiry = Effect.fnUntraced(function* () {
  const backup = yield* Velero.backUp([namespace], "--ttl=10s")
  yield* Verify.equal("the backup that expires", Velero.outcome(backup), "Completed")
  yield* Verify.attempt(Velero.forgotten(backup.metadata.name))
  yield* Verify.equal("what the expired backup left", yield* traces(backup.metadata.name), [])
})

export const filesystemStore: Scenario = {
  name: "filesystem-store",
  expected:
    "without S3: backup, logs, describe, download, restore, sync by a second Velero, expiry and deletion, of which nothing is left",
  packs: ["filesystem"],
  core: true,
  run: Effect.gen(function* () {
    const { api } = yield* Stand
    yield* api.apply(Objects.namespaces, { metadata: { name: namespace } })
    yield* api.apply(Objects.configMaps, { metadata: { name: "settings", namespace }, data: settings })

    const backup = yield* Velero.backUp([namespace])
    yield* Verify.equal("the Velero backup", Velero.outcome(backup), "Completed")
    yield* Namespace.remove(namespace)
    const restore = yield* Velero.restore(backup)
    yield* Verify.equal("the Velero restore", Velero.outcome(restore), "Completed")
    const { data } = yield* api.get(Objects.configMaps, namespace, "settings")
    yield* Verify.equal("the restored ConfigMap", data, settings)
    yield* Verify.attempt(verifyDownloads(backup, restore))
    yield* Verify.attempt(verifySecondVelero(backup))
    yield* verifyExpiry()

    const stored = (yield* traces(backup.metadata.name)).length
    yield* Verify.that("the backup is in the directory", stored > 0)
    yield* Velero.remove(backup)
    yield* Verify.equal("what the deleted backup left", yield* traces(backup.metadata.name), [])
    yield* Verify.equal("empty directories in the bucket", yield* emptyFolders(), [])
    const restores = yield* api.list(Objects.veleroRestores, veleroNamespace)
    yield* Verify.that(
      "Velero has forgotten the restore too",
      !restores.some(({ metadata }) => metadata.name === restore.metadata.name)
    )
    return `${stored} files and directories of a backup with its restore came and went; so did those of the expired one`
  })
}
