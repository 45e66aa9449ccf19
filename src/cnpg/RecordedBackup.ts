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

/** What tells a namespace's backups apart for the Clusters in it. */
interface Traits {
  readonly cluster: string
  /** None for the in-tree method. */
  readonly plugin: string | undefined
  /** That the in-tree method noted. */
  readonly serverName: string | undefined
  /** That the Barman plugin noted: a recreated Cluster has another UID. */
  readonly clusterUid: string | undefined
}

/** A backup with what decides whose it is. */
interface Candidate {
  readonly traits: Traits
  readonly completed: Completed
}

const traitsOf = ({ spec, status }: Backup): Traits | undefined => {
  const clusterUid = status?.pluginMetadata?.["clusterUID"] || undefined
  // The in-tree method is CNPG's default, and the only one that notes its server name.
  switch (spec.method || "barmanObjectStore") {
    case "plugin": {
      const plugin = spec.pluginConfiguration?.name
      return plugin ? { cluster: spec.cluster.name, plugin, serverName: undefined, clusterUid } : undefined
    }
    case "barmanObjectStore":
      return { cluster: spec.cluster.name, plugin: undefined, serverName: status?.serverName || undefined, clusterUid }
    default:
      return undefined
  }
}

const isOf = (
  { cluster, clusterUid, plugin, serverName }: Traits,
  { metadata }: Cluster,
  archive: Recoverable
): boolean =>
  cluster === metadata.name &&
  (clusterUid === undefined || !metadata.uid || clusterUid === metadata.uid) &&
  (archive._tag === "Plugin"
    ? plugin === archive.plugin
    : plugin === undefined && (serverName ?? archive.serverName) === archive.serverName)

/** The Backup as a candidate, if it is one. Whatever else lies in the namespace, malformed or foreign, hides nothing. */
const candidateOf = (object: KubernetesObject): Option.Option<Candidate> =>
  Option.flatMap(decodeBackup(object), (backup) => {
    const { metadata, status } = backup
    const traits = traitsOf(backup)
    return traits !== undefined && status?.phase === "completed" && !!status.backupId
      ? Option.some({
          traits,
          completed: {
            backupId: status.backupId,
            name: metadata.name,
            at: millis(status.stoppedAt || metadata.creationTimestamp),
            endedAt: status.stoppedAt || undefined
          }
        })
      : Option.none()
  })

/** The Backup, if this Cluster can be recovered from it. */
export const candidate = (cluster: Cluster, archive: Recoverable, object: KubernetesObject): Option.Option<Completed> =>
  Option.map(
    Option.filter(candidateOf(object), ({ traits }) => isOf(traits, cluster, archive)),
    ({ completed }) => completed
  )

/** The later of two; of two that ended in the same second, the one with the greater id, then name, in any order of arrival. */
const later = (a: Completed, b: Completed): Completed => {
  if (a.at !== b.at) return a.at > b.at ? a : b
  if (a.backupId !== b.backupId) return a.backupId > b.backupId ? a : b
  return a.name > b.name ? a : b
}

/** The newest backups of a namespace: by Cluster, and of each by whatever else tells its backups apart. */
export type Newest = Map<string, Map<string, Candidate>>

/** Step of a fold over a namespace's Backups, for all Clusters in it at once; changes what it is given. */
export const collect = (newest: Newest, object: KubernetesObject): Newest => {
  const found = Option.getOrUndefined(candidateOf(object))
  if (found === undefined) return newest
  const { completed, traits } = found
  const ofCluster = newest.get(traits.cluster) ?? new Map<string, Candidate>()
  const key = JSON.stringify([traits.plugin, traits.serverName, traits.clusterUid])
  const known = ofCluster.get(key)
  ofCluster.set(key, known === undefined ? found : { traits, completed: later(known.completed, completed) })
  return newest.set(traits.cluster, ofCluster)
}

/** The newest backup that a Cluster can be recovered from. */
export const newestOf = (newest: Newest, cluster: Cluster, archive: Recoverable): Option.Option<Completed> =>
  [...(newest.get(cluster.metadata.name)?.values() ?? [])]
    .filter(({ traits }) => isOf(traits, cluster, archive))
    .reduce(
      (found, { completed }) =>
        Option.some(Option.match(found, { onNone: () => completed, onSome: (old) => later(old, completed) })),
      Option.none<Completed>()
    )
