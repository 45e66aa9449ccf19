/**
 * `velero-cnpg/on-demand-backup`: the plugin has a CNPG Backup made for the Velero backup, which waits for it. The instance's part, which
 * is its status, is written here.
 */
import * as Effect from "effect/Effect"
import { archived, createCluster, reportBackup } from "../Cluster.ts"
import * as Namespace from "../Namespace.ts"
import type { Cluster, Saved, VeleroBackup } from "../Objects.ts"
import * as Objects from "../Objects.ts"
import { until, untilTrue } from "../Poll.ts"
import * as Recovery from "../Recovery.ts"
import type { Scenario } from "../Scenario.ts"
import { Stand, veleroNamespace } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"
import * as Shop from "./Shop.ts"

const key = {
  asked: "velero-cnpg/on-demand-backup",
  startTimeout: "velero-cnpg/on-demand-backup-start-timeout",
  recoveryTarget: "velero-cnpg/recovery-target",
  current: "velero-cnpg/current-backup-id",
  freshName: "velero-cnpg/fresh-backup-name",
  freshId: "velero-cnpg/fresh-backup-id",
  endLsn: "velero-cnpg/fresh-backup-end-lsn",
  endWal: "velero-cnpg/fresh-backup-end-wal"
} as const

/** The CNPG Backup of a Cluster for a Velero backup; there must be no second one. */
const madeFor = Effect.fnUntraced(function* (namespace: string, cluster: string, veleroBackup: string) {
  const { api } = yield* Stand
  const list = api.list(
    Objects.backups,
    namespace,
    `cnpg.io/cluster=${cluster},velero-cnpg/velero-backup=${veleroBackup}`
  )
  const made = yield* until(
    `the CNPG Backup of ${namespace}/${cluster} for Velero backup ${veleroBackup}`,
    "30 seconds",
    Effect.map(list, ([found]) => found)
  )
  yield* Verify.equal(`CNPG Backups of ${cluster} for the Velero backup`, (yield* list).length, 1)
  return made
})

const awaits = Effect.fnUntraced(function* (name: string) {
  const { api } = yield* Stand
  yield* untilTrue(
    `Velero backup ${name} waits for its operations`,
    "60 seconds",
    Effect.map(
      api.get(Objects.veleroBackups, veleroNamespace, name),
      ({ status }) => status?.phase === "WaitingForPluginOperations"
    )
  )
})

const details = ({ metadata }: Pick<Saved<VeleroBackup>, "metadata">) =>
  Effect.flatMap(Stand, ({ velero }) => velero("backup", "describe", metadata.name, "--details"))

const stored = Effect.fnUntraced(function* (backup: Saved<VeleroBackup>, namespace: string, name: string) {
  const { find } = yield* Velero.download(backup)
  return {
    cluster: find(Objects.clusters, name, namespace)?.metadata.annotations ?? {},
    claim: find(Objects.persistentVolumeClaims, `${name}-1`, namespace)?.metadata.annotations ?? {}
  }
})

const success = "on-demand-backup"

/** What the instances of the two Clusters report. */
const finish = Effect.fnUntraced(function* (
  clusters: ReadonlyArray<readonly [cluster: Saved<Cluster>, backupId: string]>,
  veleroBackup: string
) {
  for (const [cluster, backupId] of clusters) {
    const { metadata } = yield* madeFor(success, cluster.metadata.name, veleroBackup)
    yield* reportBackup(cluster, {
      name: metadata.name,
      backupId,
      stoppedAt: "2026-11-05T02:01:11Z",
      status: {
        beginWal: "000000010000000000000005",
        endWal: "000000010000000000000006",
        endLSN: "0/6000138"
      }
    })
  }
})

export const onDemandBackup: Scenario = {
  name: success,
  expected:
    "the Velero backup is completed with its CNPG Backups, over a restart of Velero; their ids are recorded, and a restore recovers exactly them",
  core: true,
  run: Effect.gen(function* () {
    const { api, restartVelero } = yield* Stand
    yield* Shop.create(success)
    const orders = yield* api.patch(Objects.clusters, success, Shop.cluster, {
      metadata: { annotations: { [key.asked]: "true" } }
    })
    // It has never been backed up.
    yield* createCluster({ namespace: success, name: "first" }, archived("first", "first-v1"))
    const first = yield* api.patch(Objects.clusters, success, "first", {
      metadata: { annotations: { [key.asked]: "true" } }
    })
    const name = yield* Velero.beginBackup([success])
    yield* awaits(name)
    yield* Verify.attempt(
      untilTrue(
        "describe --details tells what the operator waits for",
        "60 seconds",
        Effect.map(details({ metadata: { name } as Saved<VeleroBackup>["metadata"] }), (text) =>
          /Progress description:\s+CNPG Backup on-demand-backup\/orders-velero-[0-9a-f]{12} is pending, for \d+/.test(
            text
          )
        )
      )
    )
    yield* restartVelero
    yield* finish(
      [
        [orders, "20261105T020001"],
        [first, "20261105T020002"]
      ],
      name
    )
    const backup = yield* Velero.backupEnd(name)
    yield* Verify.equal("the Velero backup", Velero.outcome(backup), "Completed")
    yield* Verify.equal("its warnings", backup.status?.warnings ?? 0, 0)
    const text = yield* details(backup)
    yield* Verify.that(
      "describe --details shows what became of it",
      /Operation for clusters.postgresql.cnpg.io on-demand-backup\/orders:[^]*Phase:\s+Completed\s+Progress description:\s+CNPG Backup on-demand-backup\/orders-velero-[0-9a-f]{12} is completed: id 20261105T020001, took 1m10s, WAL 000000010000000000000005 to 000000010000000000000006, ends at 0\/6000138/.test(
        text
      ),
      text
    )
    const { metadata } = yield* madeFor(success, Shop.cluster, name)
    const ofOrders = yield* stored(backup, success, Shop.cluster)
    for (const [annotation, value] of [
      [key.current, "20261105T020001"],
      [key.freshId, "20261105T020001"],
      [key.freshName, metadata.name],
      [key.endLsn, "0/6000138"],
      [key.endWal, "000000010000000000000006"]
    ] as const) {
      yield* Verify.equal(`${annotation} of the stored orders`, ofOrders.cluster[annotation], value)
    }
    const ofFirst = yield* stored(backup, success, "first")
    yield* Verify.equal("the id of the stored first", ofFirst.cluster[key.freshId], "20261105T020002")
    yield* Verify.equal("the mark of its volume claim", ofFirst.claim["velero-cnpg/owned-by-cluster"], "first")

    yield* Namespace.remove(success)
    const restore = yield* Velero.restoreAnnotated(backup, { [key.recoveryTarget]: "velero-backup" })
    yield* Verify.equal("the Velero restore", Velero.outcome(restore), "Completed")
    for (const [cluster, serverName, backupId] of [
      [Shop.cluster, "orders-v1", "20261105T020001"],
      ["first", "first-v1", "20261105T020002"]
    ] as const) {
      yield* Recovery.verify(
        { namespace: success, name: cluster },
        {
          ...Shop.sourceOf(cluster, serverName, backupId),
          recoveryTarget: { backupID: backupId, targetImmediate: true }
        }
      )
    }
    yield* Verify.equal(
      "CNPG Backups for the Velero backup that were restored",
      (yield* api.list(Objects.backups, success, `velero-cnpg/velero-backup=${name}`)).length,
      0
    )
    return "recorded 20261105T020001 for orders and 20261105T020002, its first, for first; both recover up to their ends"
  })
}

const failure = "on-demand-backup-fails"

export const onDemandBackupFails: Scenario = {
  name: failure,
  expected:
    "the operation fails with the operator's message, the older backup stays recorded; what was made goes with the Velero backup",
  run: Effect.gen(function* () {
    const { api } = yield* Stand
    yield* Shop.create(failure)
    const orders = yield* api.get(Objects.clusters, failure, Shop.cluster)
    const name = yield* Velero.beginBackup([failure], `--annotations=${key.asked}=true`)
    yield* awaits(name)
    const made = yield* madeFor(failure, Shop.cluster, name)
    const error = "barman-cloud-backup: exit status 4: no space left in bucket"
    yield* reportBackup(orders, {
      name: made.metadata.name,
      backupId: "20261105T020001",
      status: { phase: "failed", backupId: undefined, error }
    })
    const backup = yield* Velero.backupEnd(name)
    yield* Verify.equal("the Velero backup's phase", backup.status?.phase, "PartiallyFailed")
    const text = yield* details(backup)
    yield* Verify.that("describe --details has the operator's message", text.includes(`has failed: ${error}`), text)
    const { cluster } = yield* stored(backup, failure, Shop.cluster)
    yield* Verify.equal("the recorded backup", cluster[key.current], Shop.source.backupId)
    yield* Verify.equal("the fresh one", cluster[key.freshId], undefined)

    const others = (yield* api.list(Objects.backups, failure))
      .map(({ metadata }) => metadata.name)
      .filter((other) => other !== made.metadata.name)
    yield* Velero.remove(backup)
    const left = (yield* api.list(Objects.backups, failure)).map(({ metadata }) => metadata.name)
    yield* Verify.equal("the CNPG Backups after the Velero backup is deleted", left, others)
    return `${backup.status?.phase}: ${error}; ${Shop.source.backupId} stays recorded; deleted with the Velero backup`
  })
}

const never = "on-demand-backup-not-begun"

export const onDemandBackupNotBegun: Scenario = {
  name: never,
  expected: "after its own limit the operation fails, and the CNPG Backup is removed, so that the next one runs",
  run: Effect.gen(function* () {
    const { api } = yield* Stand
    yield* Shop.create(never)
    yield* api.patch(Objects.clusters, never, Shop.cluster, {
      metadata: { annotations: { [key.asked]: "true", [key.startTimeout]: "15s" } }
    })
    const name = yield* Velero.beginBackup([never])
    yield* madeFor(never, Shop.cluster, name)
    const backup = yield* Velero.backupEnd(name)
    yield* Verify.equal("the Velero backup's phase", backup.status?.phase, "PartiallyFailed")
    const text = yield* details(backup)
    yield* Verify.that(
      "describe --details says that nothing was begun",
      /Operation Error:\s+CNPG Backup \S+ was not begun within \d+s \(.*velero-cnpg\/on-demand-backup-start-timeout\) and is removed/.test(
        text
      ),
      text
    )
    const left = yield* api.list(Objects.backups, never, `velero-cnpg/velero-backup=${name}`)
    yield* Verify.equal("CNPG Backups that are left of it", left.length, 0)
    const { cluster } = yield* stored(backup, never, Shop.cluster)
    yield* Verify.equal("the recorded backup", cluster[key.current], Shop.source.backupId)
    return `${backup.status?.phase}; nothing is left of it; ${Shop.source.backupId} stays recorded`
  })
}

const two = "on-demand-backup-twice"

export const onDemandBackupTwice: Scenario = {
  name: two,
  expected:
    "of two Velero backups of one Cluster at once, one is given up by Velero and takes its own CNPG Backup with it; the other completes",
  run: Effect.gen(function* () {
    const { api } = yield* Stand
    yield* Shop.create(two)
    const orders = yield* api.get(Objects.clusters, two, Shop.cluster)
    const asked = `--annotations=${key.asked}=true`
    const hasty = yield* Velero.beginBackup([two], asked, "--item-operation-timeout=5s")
    const patient = yield* Velero.beginBackup([two], asked)
    const ofHasty = yield* madeFor(two, Shop.cluster, hasty)
    yield* awaits(patient)
    const ofPatient = yield* madeFor(two, Shop.cluster, patient)
    const ended = yield* Velero.backupEnd(hasty)
    yield* Verify.equal("the phase of the one with little time", ended.status?.phase, "PartiallyFailed")
    const text = yield* details(ended)
    yield* Verify.that(
      "describe --details says that its time is over",
      /Operation Error:\s+Asynchronous action timed out/.test(text),
      text
    )
    yield* Verify.equal(
      "its CNPG Backup",
      (yield* api.find(Objects.backups, two, ofHasty.metadata.name))?.metadata.name,
      undefined
    )
    yield* Verify.equal(
      "its recorded backup",
      (yield* stored(ended, two, Shop.cluster)).cluster[key.current],
      Shop.source.backupId
    )
    yield* reportBackup(orders, { name: ofPatient.metadata.name, backupId: "20261105T020001" })
    const backup = yield* Velero.backupEnd(patient)
    yield* Verify.equal("the other Velero backup", Velero.outcome(backup), "Completed")
    yield* Verify.equal(
      "its fresh backup",
      (yield* stored(backup, two, Shop.cluster)).cluster[key.freshId],
      "20261105T020001"
    )
    return `${ended.status?.phase}, Asynchronous action timed out, nothing is left of it; Completed with 20261105T020001`
  })
}
