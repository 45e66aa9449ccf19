/** Names that CloudNativePG, the Barman Cloud plugin and this pack have agreed on with their users. */
import { type Resource, resources as coreResources } from "../kubernetes/Kubernetes.ts"

/** API group of Cluster, Backup, Pooler and their kin. */
export const cnpgGroup = "postgresql.cnpg.io"

/** @see https://github.com/cloudnative-pg/plugin-barman-cloud/blob/v0.14.0/internal/cnpgi/metadata/constants.go */
export const barmanCloudPlugin = "barman-cloud.cloudnative-pg.io"

/** @see https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/pkg/utils/labels_annotations.go */
export const label = {
  /** On everything that the operator makes for a Cluster: the Cluster's name. */
  cluster: "cnpg.io/cluster",
  /** On everything with labels that comes of a Pooler: the Pooler's name. */
  pooler: "cnpg.io/poolerName",
  /** On the Secrets that it generates for users: `app` or `superuser`. */
  userType: "cnpg.io/userType"
} as const

/** Labels of this pack, on the CNPG Backups that it makes. */
export const ownLabel = {
  /** Name of the Velero Backup; one that is no label's value is hashed. */
  veleroBackup: "velero-cnpg/velero-backup",
  /** Its UID. */
  veleroBackupUid: "velero-cnpg/velero-backup-uid"
} as const

/** Names of plugins that others of the pack refer to; the first two are those of the Go plugin that it replaces. */
export const plugin = {
  clusterBackup: "replicated.com/cnpg-backup-plugin",
  clusterRestore: "replicated.com/cnpg-restore-plugin"
} as const

/** Annotations of this pack. The first two are those of the Go plugin that it replaces. */
export const annotation = {
  /** On a Cluster: the server name under which its archive lies. */
  serverName: "velero-cnpg/serverName",
  /** On a Cluster and on what it owns: the Barman id of the newest completed backup. */
  backupId: "velero-cnpg/current-backup-id",
  /** On a Cluster: when that backup ended. RFC 3339, as all times here. */
  backupEndedAt: "velero-cnpg/current-backup-ended-at",
  /** On a Cluster, and on what it owns if it had none before: the name of the CNPG Backup that was begun for this Velero backup. */
  freshBackupName: "velero-cnpg/fresh-backup-name",
  /** On a Cluster: the id of the backup that was made for this Velero backup. */
  freshBackupId: "velero-cnpg/fresh-backup-id",
  /** On a Cluster: where that backup ended, such as `0/6000138`. */
  freshBackupEndLsn: "velero-cnpg/fresh-backup-end-lsn",
  /** On a Cluster: the last WAL file that it needs. */
  freshBackupEndWal: "velero-cnpg/fresh-backup-end-wal",
  /** On a Cluster: when Velero stored it, by the clock of Velero's server. */
  storedAt: "velero-cnpg/stored-at",
  /** On a Cluster: the earliest time that its archive could be recovered to. */
  firstRecoverabilityPoint: "velero-cnpg/first-recoverability-point",
  /** On what a Cluster owns: the Cluster's name. */
  ownedBy: "velero-cnpg/owned-by-cluster",
  /** On a Cluster or a Velero Restore, for the user to set: `object-store` (default) or `volumes`. */
  recoverFrom: "velero-cnpg/recover-from",
  /** On a Cluster or a Velero Restore, for the user to set: where a recovery ends. */
  recoveryTarget: "velero-cnpg/recovery-target",
  /** On a Cluster or a Velero Restore, for the user to set: how long a Restore waits while nothing happens. */
  waitForRecovery: "velero-cnpg/wait-for-recovery",
  /** On a Velero Restore, for the user to set: whether what no backup plugin has marked is left to the operator too. */
  rebuildUnmarked: "velero-cnpg/rebuild-unmarked",
  /** On a Cluster or a Velero Backup, for the user to set: whether a backup is made for the occasion. */
  onDemandBackup: "velero-cnpg/on-demand-backup",
  /** On a Cluster or a Velero Backup, for the user to set: how long the operator may take to begin one. */
  onDemandBackupStartTimeout: "velero-cnpg/on-demand-backup-start-timeout",
  /** On a Velero Backup, for the user to set: how many run at once. */
  onDemandBackupParallel: "velero-cnpg/on-demand-backup-parallel"
} as const

/**
 * The operator's own annotations on a Cluster, for its users to set.
 *
 * @see https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/pkg/utils/labels_annotations.go
 */
export const operatorAnnotation = {
  /** `on`: its instances are stopped once it is healthy. */
  hibernation: "cnpg.io/hibernation",
  /** JSON list of the instances on which PostgreSQL is stopped; `["*"]`: on all of them. */
  fencedInstances: "cnpg.io/fencedInstances",
  /** `disabled`: the operator leaves it alone. */
  reconciliationLoop: "cnpg.io/reconciliationLoop",
  /** `enabled`: nothing is archived. */
  skipWalArchiving: "cnpg.io/skipWalArchiving"
} as const

/** What a backup records on a Cluster. All of it belongs to one life of the Cluster. */
export const recordedAnnotations: ReadonlyArray<string> = [
  annotation.serverName,
  annotation.backupId,
  annotation.backupEndedAt,
  annotation.freshBackupName,
  annotation.freshBackupId,
  annotation.freshBackupEndLsn,
  annotation.freshBackupEndWal,
  annotation.storedAt,
  annotation.firstRecoverabilityPoint
]

/**
 * Velero's own annotation: whether the status of one object is restored, whatever the Restore says. From Velero 1.16 on.
 *
 * @see https://github.com/vmware-tanzu/velero/blob/v1.18.3/pkg/restore/restore.go (determineRestoreStatus)
 */
export const restoreStatus = "velero.io/restore-status"

/**
 * Velero's own annotation on a stored item: its additional items are backed up whatever the backup's filters say.
 *
 * @see https://github.com/vmware-tanzu/velero/blob/v1.18.3/pkg/backup/item_backupper.go (mustIncludeAdditionalItemAnnotation)
 */
export const mustIncludeAdditionalItems = "backup.velero.io/must-include-additional-items"

/** The external cluster that a restored Cluster recovers from. */
export const externalClusterName = "clusterBackup"

/** The ConfigMap that tells Helm charts about server names. */
export const configMapName = "cnpg-velero-override"

const cnpg = (resource: string, kind: string, namespaced = true): Resource => ({
  group: cnpgGroup,
  version: "v1",
  resource,
  kind,
  namespaced
})

export const resources = {
  clusters: cnpg("clusters", "Cluster"),
  backups: cnpg("backups", "Backup"),
  scheduledBackups: cnpg("scheduledbackups", "ScheduledBackup"),
  poolers: cnpg("poolers", "Pooler"),
  databases: cnpg("databases", "Database"),
  publications: cnpg("publications", "Publication"),
  subscriptions: cnpg("subscriptions", "Subscription"),
  databaseRoles: cnpg("databaseroles", "DatabaseRole"),
  imageCatalogs: cnpg("imagecatalogs", "ImageCatalog"),
  clusterImageCatalogs: cnpg("clusterimagecatalogs", "ClusterImageCatalog", false),
  /** Of the Barman Cloud plugin. */
  objectStores: {
    group: "barmancloud.cnpg.io",
    version: "v1",
    resource: "objectstores",
    kind: "ObjectStore",
    namespaced: true
  },
  configMaps: coreResources.configMaps,
  secrets: { group: "", version: "v1", resource: "secrets", kind: "Secret", namespaced: true },
  pods: { group: "", version: "v1", resource: "pods", kind: "Pod", namespaced: true }
} as const satisfies Record<string, Resource>
