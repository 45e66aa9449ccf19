/** Many CNPG Backups lie around the one that a recovery has to start from. */
import * as Effect from "effect/Effect"
import type { BackupOptions } from "../Cluster.ts"
import { archived, createBackup, createCluster, createNamespace } from "../Cluster.ts"
import * as Namespace from "../Namespace.ts"
import type { Cluster, Saved } from "../Objects.ts"
import * as Recovery from "../Recovery.ts"
import type { Scenario } from "../Scenario.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"
import * as Shop from "./Shop.ts"

const place = { namespace: "many-backups", name: Shop.cluster }

/** Newer than the right one, and none of them to recover from. */
const newer = (other: Saved<Cluster>): ReadonlyArray<BackupOptions> => [
  {
    name: "snapshot",
    backupId: "20261105T000000",
    stoppedAt: "2026-11-05T00:00:09Z",
    spec: { method: "volumeSnapshot", pluginConfiguration: undefined },
    status: { method: "volumeSnapshot" }
  },
  { name: "failed", backupId: "20261105T010000", stoppedAt: "2026-11-05T01:00:09Z", status: { phase: "failed" } },
  { name: "running", backupId: "20261105T020000", stoppedAt: "2026-11-05T02:00:09Z", status: { phase: "running" } },
  {
    name: "of-an-earlier-incarnation",
    backupId: "20261105T030000",
    stoppedAt: "2026-11-05T03:00:09Z",
    status: { pluginMetadata: { clusterUID: "7d1f0a52-0000-4000-8000-000000000000" } }
  },
  {
    name: "of-another-cluster",
    backupId: "20261105T040000",
    stoppedAt: "2026-11-05T04:00:09Z",
    spec: { cluster: { name: other.metadata.name } },
    status: { pluginMetadata: { clusterUID: other.metadata.uid } }
  }
]

/** Older than the right one, in more pages than one. */
const older: ReadonlyArray<BackupOptions> = Array.from({ length: 1200 }, (_, index) => {
  const minute = new Date(Date.UTC(2026, 9, 1, 0, index)).toISOString()
  return {
    name: `old-${index}`,
    backupId: minute.replace(/[-:]/g, "").slice(0, 15),
    stoppedAt: `${minute.slice(0, 19)}Z`
  }
})

export const backupChoice: Scenario = {
  name: "backup-choice",
  expected: "recovers from the newest completed Barman backup of this incarnation, out of 1,206",
  run: Effect.gen(function* () {
    yield* createNamespace(place.namespace)
    const orders = yield* Shop.createArchived(place, Shop.source)
    const billing = yield* createCluster(
      { namespace: place.namespace, name: "billing" },
      archived("billing", "billing-v1")
    )
    yield* Effect.forEach(
      [...older, ...newer(billing)],
      (options) => createBackup(orders, { ...options, paused: true }),
      {
        concurrency: 8,
        discard: true
      }
    )
    const backup = yield* Velero.backUp([place.namespace])
    yield* Verify.equal("the Velero backup", Velero.outcome(backup), "Completed")
    yield* Namespace.remove(place.namespace)
    const restore = yield* Velero.restore(backup)
    yield* Verify.equal("the Velero restore", Velero.outcome(restore), "Completed")
    yield* Verify.attempt(Recovery.verify(place, Shop.source))
    yield* Recovery.verifyNoOldBackups(
      place.namespace,
      older.map(({ name }) => name)
    )
    return `recovers from ${Shop.source.serverName}, backup ${Shop.source.backupId}`
  })
}
