/** The resources that the stand handles, and of each kind the fields that scenarios read or write. */

/** A resource; `T` is the shape of its objects. */
export interface Resource<T> {
  readonly group: string
  readonly version: string
  readonly plural: string
  readonly kind: string
  readonly namespaced: boolean
  /** Never there: it only carries the type. */
  readonly shape?: T
}

/** What the API server adds to every object. */
export type Saved<T> = T & {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: Metadata
}

export interface Metadata {
  readonly name: string
  readonly namespace?: string
  readonly uid: string
  readonly resourceVersion: string
  readonly creationTimestamp: string
  readonly deletionTimestamp?: string
  readonly labels?: Strings
  readonly annotations?: Strings
  readonly finalizers?: ReadonlyArray<string>
  readonly ownerReferences?: ReadonlyArray<{ readonly kind: string; readonly name: string; readonly uid: string }>
}

export type Strings = Readonly<Record<string, string>>

interface Condition {
  readonly type: string
  readonly status: string
  readonly message?: string
}

export interface Cluster {
  readonly spec: ClusterSpec
  readonly status?: {
    readonly phase?: string
    readonly phaseReason?: string
    readonly conditions?: ReadonlyArray<Condition>
  }
}

export interface ClusterSpec {
  readonly instances: number
  readonly storage?: { readonly size: string }
  readonly bootstrap?: {
    readonly initdb?: ApplicationDatabase
    readonly recovery?: ApplicationDatabase & {
      readonly source?: string
      readonly recoveryTarget?: RecoveryTarget
    }
    readonly pg_basebackup?: ApplicationDatabase & { readonly source: string }
  }
  readonly plugins?: ReadonlyArray<PluginEntry>
  readonly externalClusters?: ReadonlyArray<{
    readonly name: string
    readonly plugin?: PluginEntry
    readonly barmanObjectStore?: BarmanObjectStore
    readonly connectionParameters?: Strings
  }>
  readonly backup?: { readonly barmanObjectStore?: BarmanObjectStore; readonly volumeSnapshot?: object }
  readonly replica?: {
    readonly enabled?: boolean
    readonly source: string
    readonly self?: string
    readonly primary?: string
    readonly minApplyDelay?: string
    readonly promotionToken?: string
  }
  readonly [field: string]: unknown
}

/** Where a recovery begins and ends. */
export interface RecoveryTarget {
  readonly backupID?: string
  readonly targetTLI?: string
  readonly targetXID?: string
  readonly targetName?: string
  readonly targetLSN?: string
  readonly targetTime?: string
  readonly targetImmediate?: boolean
}

export interface ApplicationDatabase {
  readonly database?: string
  readonly owner?: string
  readonly secret?: { readonly name: string }
}

export interface PluginEntry {
  readonly name: string
  readonly isWALArchiver?: boolean
  readonly enabled?: boolean
  readonly parameters?: Strings
}

/** Where Barman keeps archives. */
export interface StoreConfiguration {
  readonly destinationPath: string
  readonly endpointURL?: string
  readonly s3Credentials?: { readonly accessKeyId: SecretKey; readonly secretAccessKey: SecretKey }
  readonly [field: string]: unknown
}

export interface SecretKey {
  readonly name: string
  readonly key: string
}

export interface BarmanObjectStore extends StoreConfiguration {
  readonly serverName?: string
}

export interface Backup {
  readonly spec: {
    readonly cluster: { readonly name: string }
    readonly method?: string
    readonly pluginConfiguration?: { readonly name: string }
  }
  readonly status?: {
    readonly phase?: string
    readonly backupId?: string
    readonly stoppedAt?: string
    readonly error?: string
    readonly [field: string]: unknown
  }
}

export interface Job {
  readonly spec: {
    readonly template: {
      readonly metadata?: { readonly labels?: Strings }
      readonly spec: {
        readonly containers: ReadonlyArray<Container>
        readonly initContainers?: ReadonlyArray<Container>
        readonly volumes?: ReadonlyArray<{ readonly name: string }>
        readonly serviceAccountName?: string
        readonly securityContext?: { readonly runAsUser?: number }
      }
    }
  }
  readonly status?: { readonly startTime?: string; readonly succeeded?: number }
}

export interface Container {
  readonly name: string
  readonly image?: string
  readonly command?: ReadonlyArray<string>
  readonly args?: ReadonlyArray<string>
  /** `Always`: an init container that goes on beside the others. */
  readonly restartPolicy?: string
  readonly startupProbe?: { readonly exec?: { readonly command: ReadonlyArray<string> } }
  readonly volumeMounts?: ReadonlyArray<{ readonly name: string; readonly mountPath: string }>
  readonly env?: ReadonlyArray<{ readonly name: string; readonly value?: string }>
}

export interface VeleroBackup {
  readonly spec: object
  readonly status?: VeleroStatus
}

export interface VeleroStatus {
  readonly phase?: string
  readonly errors?: number
  readonly warnings?: number
  readonly failureReason?: string
  readonly validationErrors?: ReadonlyArray<string>
}

/** What a volume is: one of these. */
export interface PersistentVolumeSource {
  readonly csi?: object
  readonly hostPath?: { readonly path: string }
  readonly local?: { readonly path: string }
  readonly nodeAffinity?: object
}

/** A kind that is looked at as a whole, or for its metadata only. */
export interface Anything {
  readonly spec?: Readonly<Record<string, unknown>>
  readonly status?: Readonly<Record<string, unknown>>
  readonly [field: string]: unknown
}

const core = <T>(kind: string, plural: string): Resource<T> => ({
  group: "",
  version: "v1",
  plural,
  kind,
  namespaced: true
})

const cnpg = <T>(kind: string, plural: string): Resource<T> => ({
  group: "postgresql.cnpg.io",
  version: "v1",
  plural,
  kind,
  namespaced: true
})

const velero = <T>(kind: string, plural: string): Resource<T> => ({
  group: "velero.io",
  version: "v1",
  plural,
  kind,
  namespaced: true
})

const clusterWide = (group: string, version: string, kind: string, plural: string): Resource<Anything> => ({
  group,
  version,
  plural,
  kind,
  namespaced: false
})

export const namespaces = clusterWide("", "v1", "Namespace", "namespaces")
export const crds = clusterWide("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions")
export const mutatingWebhooks = clusterWide(
  "admissionregistration.k8s.io",
  "v1",
  "MutatingWebhookConfiguration",
  "mutatingwebhookconfigurations"
)
export const validatingWebhooks = clusterWide(
  "admissionregistration.k8s.io",
  "v1",
  "ValidatingWebhookConfiguration",
  "validatingwebhookconfigurations"
)

const rbac = "rbac.authorization.k8s.io"
export const clusterRoles = clusterWide(rbac, "v1", "ClusterRole", "clusterroles")
export const clusterRoleBindings = clusterWide(rbac, "v1", "ClusterRoleBinding", "clusterrolebindings")

export const secrets = core<{ readonly type?: string; readonly data?: Strings; readonly stringData?: Strings }>(
  "Secret",
  "secrets"
)
export const configMaps = core<{ readonly data?: Strings }>("ConfigMap", "configmaps")
export const services = core<Anything>("Service", "services")
export const pods = core<Anything>("Pod", "pods")
export const persistentVolumeClaims = core<{
  readonly spec: {
    readonly accessModes: ReadonlyArray<string>
    readonly resources: { readonly requests: Strings }
    readonly storageClassName?: string
    readonly volumeName?: string
  }
  readonly status?: { readonly phase?: string }
}>("PersistentVolumeClaim", "persistentvolumeclaims")
export const persistentVolumes: Resource<{
  readonly spec: {
    readonly capacity: Strings
    readonly accessModes: ReadonlyArray<string>
    readonly persistentVolumeReclaimPolicy: string
    readonly claimRef?: { readonly namespace: string; readonly name: string; readonly uid: string }
    readonly storageClassName?: string
  } & PersistentVolumeSource
}> = { ...core("PersistentVolume", "persistentvolumes"), namespaced: false }
export const podDisruptionBudgets: Resource<Anything> = {
  group: "policy",
  version: "v1",
  plural: "poddisruptionbudgets",
  kind: "PodDisruptionBudget",
  namespaced: true
}
/** Since CNPG 1.30 one of each Cluster's name says which instance is the primary. */
export const leases: Resource<Anything> = {
  group: "coordination.k8s.io",
  version: "v1",
  plural: "leases",
  kind: "Lease",
  namespaced: true
}
export const jobs: Resource<Job> = { group: "batch", version: "v1", plural: "jobs", kind: "Job", namespaced: true }
const apps = (kind: string, plural: string): Resource<Anything> => ({
  group: "apps",
  version: "v1",
  plural,
  kind,
  namespaced: true
})

export const deployments = apps("Deployment", "deployments")
export const replicaSets = apps("ReplicaSet", "replicasets")
export const serviceAccounts = core<Anything>("ServiceAccount", "serviceaccounts")
export const endpoints = core<Anything>("Endpoints", "endpoints")
export const endpointSlices: Resource<Anything> = {
  group: "discovery.k8s.io",
  version: "v1",
  plural: "endpointslices",
  kind: "EndpointSlice",
  namespaced: true
}
export const events = core<{
  readonly type?: string
  readonly reason?: string
  readonly message?: string
  readonly involvedObject: { readonly kind?: string; readonly name?: string; readonly uid?: string }
}>("Event", "events")
export const roles: Resource<Anything> = {
  group: rbac,
  version: "v1",
  plural: "roles",
  kind: "Role",
  namespaced: true
}
export const statefulSets: Resource<Anything> = { ...deployments, plural: "statefulsets", kind: "StatefulSet" }
export const roleBindings: Resource<{ readonly subjects?: ReadonlyArray<{ readonly namespace?: string }> }> = {
  group: rbac,
  version: "v1",
  plural: "rolebindings",
  kind: "RoleBinding",
  namespaced: true
}

export const clusters = cnpg<Cluster>("Cluster", "clusters")
export const backups = cnpg<Backup>("Backup", "backups")
export const scheduledBackups = cnpg<Anything>("ScheduledBackup", "scheduledbackups")
export const poolers = cnpg<Anything>("Pooler", "poolers")
export const databases = cnpg<Anything>("Database", "databases")
export const publications = cnpg<Anything>("Publication", "publications")
export const subscriptions = cnpg<Anything>("Subscription", "subscriptions")
export const imageCatalogs = cnpg<Anything>("ImageCatalog", "imagecatalogs")
export const clusterImageCatalogs: Resource<Anything> = {
  ...cnpg<Anything>("ClusterImageCatalog", "clusterimagecatalogs"),
  namespaced: false
}
export const objectStores: Resource<{ readonly spec: { readonly configuration: StoreConfiguration } }> = {
  group: "barmancloud.cnpg.io",
  version: "v1",
  plural: "objectstores",
  kind: "ObjectStore",
  namespaced: true
}

export const veleroBackups = velero<VeleroBackup>("Backup", "backups")
export const veleroRestores = velero<VeleroBackup>("Restore", "restores")
export const backupStorageLocations = velero<{
  readonly spec: object
  readonly status?: { readonly phase?: string; readonly message?: string }
}>("BackupStorageLocation", "backupstoragelocations")
export const volumeSnapshotLocations = velero<Anything>("VolumeSnapshotLocation", "volumesnapshotlocations")
