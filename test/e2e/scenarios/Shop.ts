/** What most scenarios begin with: a namespace with a Cluster that runs, archives and has been backed up. */
import * as Effect from "effect/Effect"
import type { Place } from "../Cluster.ts"
import { archived, barmanCloud, createBackup, createCluster, createNamespace } from "../Cluster.ts"
import * as Objects from "../Objects.ts"
import { until } from "../Poll.ts"
import type { Source } from "../Recovery.ts"
import { Stand } from "../Stand.ts"

/** The Cluster's name. */
export const cluster = "orders"

/** Name of its ScheduledBackup. */
export const schedule = "nightly"

/** The source that a restore finds of a Cluster made by `createArchived`. */
export const sourceOf = (cluster: string, serverName: string, backupId: string): Source => ({
  serverName,
  backupId,
  application: { database: cluster, owner: `${cluster}_owner` }
})

/** What a restore of the shop has to recover from. */
export const source = sourceOf(cluster, "orders-v1", "20261104T020001")

/** A running Cluster that archives under a server name, with one completed backup. */
export const createArchived = Effect.fn("Shop.createArchived")(function* (
  place: Place,
  { backupId = "", serverName }: Source
) {
  const created = yield* createCluster(place, archived(place.name, serverName))
  yield* createBackup(created, { name: `${place.name}-newest`, backupId })
  return created
})

/** Creates the shop; yields the names of its CNPG Backups. */
export const create = Effect.fn("Shop.create")(function* (namespace: string) {
  const { api } = yield* Stand
  yield* createNamespace(namespace)
  const orders = yield* createArchived({ namespace, name: cluster }, source)
  // Made later and ended earlier: the end counts.
  yield* createBackup(orders, { name: "orders-before", backupId: "20261103T020001", stoppedAt: "2026-11-03T02:00:09Z" })
  yield* api.apply(Objects.scheduledBackups, {
    metadata: { namespace, name: schedule },
    spec: {
      schedule: "0 0 2 * * *",
      immediate: true,
      backupOwnerReference: "self",
      cluster: { name: cluster },
      method: "plugin",
      pluginConfiguration: { name: barmanCloud }
    }
  })
  const made = yield* until(
    "the ScheduledBackup makes its immediate Backup",
    "20 seconds",
    Effect.map(
      api.list(Objects.backups, namespace, `cnpg.io/scheduled-backup=${schedule}`),
      (backups) => backups[0]?.metadata.name
    )
  )
  return ["orders-before", "orders-newest", made]
})
