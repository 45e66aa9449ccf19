/**
 * Which of a namespace's CNPG Backups a recovery of a Cluster starts from: a fold, so that any number of Backups is read a page
 * at a time, in any order.
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import type { KubernetesObject } from "../kubernetes/Kubernetes.ts"
import type { Recoverable } from "./Archive.ts"
import type { Backup, Cluster } from "./Cluster.ts"
import { decodeBackup } from "./Cluster.ts"

/** A completed Barman backup of a Cluster. */
export interface Completed {
  /** Barman's id, such as `20261104T020001`. */
  readonly backupId: string
  /** Name of the CNPG Backup. */
  readonly name: string
  /** End of the backup (its creation where CNPG noted none), epoch milliseconds; 0 where neither can be read. */
  readonly at: number
  /** End of the backup, as CNPG noted it. */
  readonly endedAt: string | undefined
}

const millis = (time: string | null | undefined): number =>
  Option.match(DateTime.make(time ?? ""), { onNone: () => 0, onSome: DateTime.toEpochMillis })

const isOfArchive = ({ spec, status }: Backup, archive: Recoverable): boolean => {
  if (archive._tag === "Plugin") return spec.method === "plugin" && spec.pluginConfiguration?.name === archive.plugin
  // The in-tree method is CNPG's default, and the only one that notes its server name.
  const method = spec.method || "barmanObjectStore"
  return method === "barmanObjectStore" && (status?.serverName || archive.serverName) === archive.serverName
}

/** The Barman plugin notes for which incarnation of a Cluster it worked; a recreated Cluster has another UID. */
const isOfIncarnation = ({ status }: Backup, { metadata }: Cluster): boolean => {
  const uid = status?.pluginMetadata?.["clusterUID"]
  return !uid || !metadata.uid || uid === metadata.uid
}

/** The Backup as a candidate, if it is one. Whatever else lies in the namespace, malformed or foreign, hides nothing. */
export const candidate = (cluster: Cluster, archive: Recoverable, object: KubernetesObject): Option.Option<Completed> =>
  Option.flatMap(decodeBackup(object), (backup) => {
    const { metadata, spec, status } = backup
    const isCandidate =
      spec.cluster.name === cluster.metadata.name &&
      status?.phase === "completed" &&
      !!status.backupId &&
      isOfArchive(backup, archive) &&
      isOfIncarnation(backup, cluster)
    return isCandidate
      ? Option.some({
          backupId: status.backupId ?? "",
          name: metadata.name,
          at: millis(status.stoppedAt || metadata.creationTimestamp),
          endedAt: status.stoppedAt || undefined
        })
      : Option.none()
  })

/** The later of two; of two that ended in the same second, the one with the greater id, then name, in any order of arrival. */
const later = (a: Completed, b: Completed): Completed => {
  if (a.at !== b.at) return a.at > b.at ? a : b
  if (a.backupId !== b.backupId) return a.backupId > b.backupId ? a : b
  return a.name > b.name ? a : b
}

/** Step of a fold over a namespace's Backups. */
export const newest =
  (cluster: Cluster, archive: Recoverable) =>
  (found: Option.Option<Completed>, object: KubernetesObject): Option.Option<Completed> =>
    Option.match(candidate(cluster, archive, object), {
      onNone: () => found,
      onSome: (next) => Option.some(Option.match(found, { onNone: () => next, onSome: (old) => later(old, next) }))
    })
