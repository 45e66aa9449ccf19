/** The resources that the server knows from the start, and the guess for all others. */

/** Where the objects of a kind live. */
export interface Resource {
  /** `""` for the core group. */
  readonly group: string
  readonly version: string
  /** The plural of the URL, `clusters`. */
  readonly resource: string
  readonly kind: string
  readonly namespaced: boolean
}

const cluster = false

/** One API group and version; a plural that does not follow from the kind stands beside it, `cluster` where it applies. */
const served = (
  group: string,
  version: string,
  kinds: ReadonlyArray<string | readonly [kind: string, namespaced: boolean] | readonly [kind: string, plural: string]>
): ReadonlyArray<Resource> =>
  kinds.map((entry) => {
    const [kind, detail] = typeof entry === "string" ? ([entry, true] as const) : entry
    return {
      group,
      version,
      resource: typeof detail === "string" ? detail : plural(kind),
      kind,
      namespaced: detail !== cluster
    }
  })

const plural = (kind: string): string => {
  const word = kind.toLowerCase()
  if (/(s|x|z|ch|sh)$/.test(word)) return `${word}es`
  return /[^aeiou]y$/.test(word) ? `${word.slice(0, -1)}ies` : `${word}s`
}

/** What a server offers without being told. Namespaces come first. */
export const builtInResources: ReadonlyArray<Resource> = [
  ...served("", "v1", [
    ["Namespace", cluster],
    ["Node", cluster],
    ["PersistentVolume", cluster],
    "PersistentVolumeClaim",
    "Pod",
    "Service",
    ["Endpoints", "endpoints"],
    "ConfigMap",
    "Secret",
    "ServiceAccount",
    "Event",
    "LimitRange",
    "ResourceQuota"
  ]),
  ...served("apps", "v1", ["Deployment", "StatefulSet", "ReplicaSet", "DaemonSet"]),
  ...served("autoscaling", "v2", ["HorizontalPodAutoscaler"]),
  ...served("batch", "v1", ["Job", "CronJob"]),
  ...served("policy", "v1", ["PodDisruptionBudget"]),
  ...served("coordination.k8s.io", "v1", ["Lease"]),
  ...served("discovery.k8s.io", "v1", ["EndpointSlice"]),
  ...served("networking.k8s.io", "v1", ["Ingress", "NetworkPolicy"]),
  ...served("rbac.authorization.k8s.io", "v1", [
    "Role",
    "RoleBinding",
    ["ClusterRole", cluster],
    ["ClusterRoleBinding", cluster]
  ]),
  ...served("storage.k8s.io", "v1", [["StorageClass", cluster]]),
  ...served("apiextensions.k8s.io", "v1", [["CustomResourceDefinition", cluster]]),
  ...served("snapshot.storage.k8s.io", "v1", [
    "VolumeSnapshot",
    ["VolumeSnapshotContent", cluster],
    ["VolumeSnapshotClass", cluster]
  ]),
  ...served("postgresql.cnpg.io", "v1", [
    "Cluster",
    "Backup",
    "ScheduledBackup",
    "Pooler",
    "Database",
    "Publication",
    "Subscription",
    "ImageCatalog",
    ["ClusterImageCatalog", cluster],
    "FailoverQuorum"
  ]),
  ...served("barmancloud.cnpg.io", "v1", ["ObjectStore"]),
  ...served("velero.io", "v1", [
    "Backup",
    "Restore",
    "Schedule",
    "BackupStorageLocation",
    "VolumeSnapshotLocation",
    "BackupRepository",
    "PodVolumeBackup",
    "PodVolumeRestore",
    "DeleteBackupRequest",
    "DownloadRequest",
    "ServerStatusRequest"
  ]),
  ...served("velero.io", "v2alpha1", ["DataUpload", "DataDownload"]),
  ...served("monitoring.coreos.com", "v1", ["PodMonitor", "ServiceMonitor", "PrometheusRule"])
]

/** Group and version of an `apiVersion`. */
export const groupVersion = (apiVersion: string): { readonly group: string; readonly version: string } => {
  const slash = apiVersion.indexOf("/")
  return { group: apiVersion.slice(0, Math.max(slash, 0)), version: apiVersion.slice(slash + 1) }
}

export const apiVersion = ({ group, version }: Pick<Resource, "group" | "version">): string =>
  group === "" ? version : `${group}/${version}`

/** Go's `schema.GroupResource` spelling, `clusters.postgresql.cnpg.io` or `pods`. */
export const groupResource = ({ group, resource }: Pick<Resource, "group" | "resource">): string =>
  group === "" ? resource : `${resource}.${group}`

/** The resource of a kind that no table knows: lower-case plural. */
export const guess = (version: string, kind: string, namespaced: boolean): Resource => ({
  ...groupVersion(version),
  resource: plural(kind),
  kind,
  namespaced
})

export const find = (table: Iterable<Resource>, version: string, kind: string): Resource | undefined => {
  for (const resource of table) {
    if (resource.kind === kind && apiVersion(resource) === version) return resource
  }
  return undefined
}

/** Groups that kube-apiserver serves from Go types and not from CustomResourceDefinitions. */
const compiledGroups = new Set([
  "",
  "apps",
  "autoscaling",
  "batch",
  "policy",
  "apiextensions.k8s.io",
  "coordination.k8s.io",
  "discovery.k8s.io",
  "networking.k8s.io",
  "rbac.authorization.k8s.io",
  "storage.k8s.io"
])

/** Custom resources differ in small ways: an update needs a resourceVersion, items of a list carry their kind. */
export const isCustom = ({ group }: Pick<Resource, "group">): boolean => !compiledGroups.has(group)

/** Whether the server counts `metadata.generation`. */
export const hasGeneration = ({ group }: Pick<Resource, "group">): boolean =>
  group !== "" && group !== "rbac.authorization.k8s.io" && group !== "coordination.k8s.io"
