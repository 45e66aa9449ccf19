/**
 * `velero-cnpg/owned-resource-backup-plugin`: marks what the operator built for a Cluster that can be recovered from its
 * archive, so that the restore can leave it to the operator to build it anew.
 *
 * A PVC, Pod or Service that comes back without its owner stands in the way of the recovery: orphaned PVCs are adopted (empty
 * or not) instead of recovering, an orphaned Service makes the operator refuse to go on. Marked is only what a Cluster with a
 * completed backup in an object store really owns: itself, through its Service (Endpoints, EndpointSlices) or its Job (Pods).
 * Everything else that bears the label is left alone, and so is everything of a Cluster without such a backup: data on volumes
 * is never dropped.
 *
 * @see https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/internal/controller/cluster_restore.go
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { info, type Note } from "../velero/Action.ts"
import * as BackupView from "../velero/Backup.ts"
import * as BackupItemAction from "../velero/BackupItemAction.ts"
import * as Item from "../velero/Item.ts"
import type { Patch } from "../velero/Json.ts"
import * as Json from "../velero/Json.ts"
import * as View from "../velero/View.ts"
import * as Archive from "./Archive.ts"
import { annotation, label } from "./Names.ts"
import * as OnDemandBackup from "./OnDemandBackup.ts"
import { isCnpgOwner, type Parent, Recoveries, type Recovery } from "./Recoveries.ts"
import type * as Setting from "./Setting.ts"

/** What the operator builds for a Cluster and a restore must not bring back, and what Kubernetes derives from it. */
export const ownedResources = [
  "persistentvolumeclaims",
  "pods",
  "services",
  "jobs.batch",
  "endpoints",
  "endpointslices.discovery.k8s.io",
  "poddisruptionbudgets.policy",
  // Of the primary, from CNPG 1.30 on: under policy update the old holder would take it from the living one.
  "leases.coordination.k8s.io"
]

export const Owned = Schema.Struct({ kind: Schema.String, metadata: View.Metadata })
export interface Owned extends Schema.Schema.Type<typeof Owned> {}

/** The object through which an item is owned, where it is not owned by a Cluster itself. */
export const parentOf = ({ kind, metadata }: Owned): { readonly kind: Parent; readonly name: string } | undefined => {
  const ownerOf = (parent: Parent) => metadata.ownerReferences?.find((reference) => reference.kind === parent)?.name
  switch (kind) {
    // Endpoints have no owner; they share their Service's name.
    case "Endpoints":
      return { kind: "Service", name: metadata.name }
    case "EndpointSlice": {
      const name = ownerOf("Service")
      return name === undefined ? undefined : { kind: "Service", name }
    }
    case "Pod": {
      const name = ownerOf("Job")
      return name === undefined ? undefined : { kind: "Job", name }
    }
    default:
      return undefined
  }
}

export interface Facts {
  /** The Cluster that owns the item, if one does. */
  readonly cluster: string | undefined
  readonly recovery: Recovery | undefined
  /** The CNPG Backup that is made of the Cluster for this Velero backup. */
  readonly freshBackupName?: string | undefined
}

export interface Decision {
  readonly patches: ReadonlyArray<Patch>
  readonly notes: ReadonlyArray<Note>
}

const annotationPath = (key: string): Json.Path => ["metadata", "annotations", key]

const mark = (key: string, value: string | undefined): Patch =>
  value === undefined ? Json.remove(annotationPath(key)) : Json.set(annotationPath(key), value)

/** Marks of an earlier life go: the item may have been restored from volumes once. */
const unmarked: ReadonlyArray<Patch> = [
  annotation.ownedBy,
  annotation.backupId,
  annotation.freshBackupName,
  annotation.recoverFrom
].map((key) => Json.remove(annotationPath(key)))

/** Whether and how to mark an item. */
export const transform = ({ kind, metadata }: Owned, { cluster, freshBackupName, recovery }: Facts): Decision => {
  if (cluster === undefined || recovery === undefined) return { patches: unmarked, notes: [] }
  const name = `${kind} ${metadata.namespace ?? ""}/${metadata.name}`
  const backupId = recovery.recorded._tag === "Found" ? recovery.recorded.backup.backupId : undefined
  // One under way counts as one that there is: to mark this later, Velero would have to store it once more, when its own actions no
  // longer say of a volume claim where the snapshot is. Should it fail, the volumes are still there for who asks for them.
  if (recovery.recorded._tag !== "Found" && freshBackupName === undefined) {
    return {
      patches: unmarked,
      notes: [
        info(
          `${name} will be restored with its Cluster ${cluster}: ${recovery.recorded._tag === "Unknown" ? recovery.recorded.reason : "the Cluster has no completed backup in an object store"}`
        )
      ]
    }
  }
  return {
    patches: [
      mark(annotation.ownedBy, cluster),
      mark(annotation.backupId, backupId),
      mark(annotation.freshBackupName, backupId === undefined ? freshBackupName : undefined),
      mark(annotation.recoverFrom, recovery.recoverFrom)
    ],
    notes: []
  }
}

/** The Cluster that owns an item, directly or through its Service or Job. */
const clusterOf = Effect.fnUntraced(function* (owned: Owned, owner: string) {
  const direct = owned.metadata.ownerReferences?.find((reference) => isCnpgOwner(reference, "Cluster"))
  if (direct !== undefined) return { name: direct.name, uid: direct.uid as string | undefined }
  const parent = parentOf(owned)
  const cluster = owned.metadata.labels?.[label.cluster]
  if (parent === undefined || !cluster) return undefined
  const recoveries = yield* Recoveries
  const parents = yield* recoveries.ownedParents(owner, owned.metadata.namespace ?? "", cluster, parent.kind)
  return parents.has(parent.name) ? { name: cluster, uid: parents.get(parent.name) } : undefined
})

/** The name of the CNPG Backup that is asked for. What means nothing is the Cluster's own action's to say. */
const freshBackupName = (
  backup: BackupView.Backup,
  namespace: string,
  cluster: string,
  { annotations, archive }: Recovery,
  config: Setting.Config
): string | undefined =>
  Archive.isRecoverable(archive) &&
  Result.getOrElse(
    OnDemandBackup.isAsked(backup, { name: `Cluster ${namespace}/${cluster}`, annotations }, config),
    () => false
  )
    ? OnDemandBackup.nameOf(backup, namespace, cluster)
    : undefined

export const action = BackupItemAction.make({
  selector: { includedResources: ownedResources, labelSelector: label.cluster },
  ...OnDemandBackup.configuration,
  decode: Owned,
  fetch: Effect.fnUntraced(function* (owned, { backup, config }) {
    const owner = BackupView.key(backup)
    const cluster = yield* clusterOf(owned, owner)
    if (cluster === undefined) return { cluster: undefined, recovery: undefined } satisfies Facts
    const recoveries = yield* Recoveries
    const recovery = Option.getOrUndefined(
      yield* recoveries.ofName(owner, owned.metadata.namespace ?? "", cluster.name)
    )
    const isSame = !cluster.uid || !recovery?.clusterUid || cluster.uid === recovery.clusterUid
    return {
      cluster: cluster.name,
      recovery: isSame ? recovery : undefined,
      freshBackupName:
        recovery === undefined
          ? undefined
          : freshBackupName(backup, owned.metadata.namespace ?? "", cluster.name, recovery, config)
    } satisfies Facts
  }),
  transform: (owned, facts: Facts) => Result.succeed(transform(owned, facts)),
  encode: (item, { notes, patches }) => ({ item: Item.patch(item, patches), notes })
})
