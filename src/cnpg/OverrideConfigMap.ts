/**
 * The ConfigMap `cnpg-velero-override`: it tells Helm charts which server names a restored Cluster has, so that an upgrade of
 * the release does not put the old name back.
 *
 * Keys `write_to_server_name` and `read_from_server_name` are those of the Go plugin, and can hold but one Cluster of a
 * namespace; `<cluster>.write_to_server_name` and `<cluster>.read_from_server_name` hold each. It is written by server-side
 * apply with one field manager a Cluster: what other Clusters and other people wrote stays.
 */
import type { KubernetesObject } from "../kubernetes/Kubernetes.ts"
import { configMapName } from "./Names.ts"

/** The server names of one restored Cluster. */
export interface Override {
  /** Where the Cluster lives now. */
  readonly namespace: string
  readonly cluster: string
  readonly writeTo: string
  readonly readFrom: string
  /** The Restore that gave the names, by its key. */
  readonly restore: string
}

const writeKey = "write_to_server_name"
const readKey = "read_from_server_name"

/** Names which Restore gave a Cluster its name. An annotation's name has 63 characters at most, a Cluster's 50. */
const restoreAnnotation = (cluster: string): string => `velero-cnpg/restore.${cluster}`

/** Owner of the fields of one Cluster. */
export const fieldManager = (cluster: string): string => `velero-plugin-cnpg.${cluster}`

/** What to apply. */
export const toObject = ({ cluster, namespace, readFrom, restore, writeTo }: Override): KubernetesObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: {
    name: configMapName,
    namespace,
    annotations: { "helm.sh/resource-policy": "keep", [restoreAnnotation(cluster)]: restore }
  },
  data: {
    [writeKey]: writeTo,
    [readKey]: readFrom,
    [`${cluster}.${writeKey}`]: writeTo,
    [`${cluster}.${readKey}`]: readFrom
  }
})

const dataOf = (configMap: KubernetesObject | undefined): Readonly<Record<string, unknown>> =>
  (configMap?.["data"] ?? {}) as Readonly<Record<string, unknown>>

/** Server names that the ConfigMap mentions, to be written or read by whomever. */
export const serverNames = (configMap: KubernetesObject | undefined): ReadonlySet<string> =>
  new Set(
    Object.entries(dataOf(configMap)).flatMap(([key, value]) =>
      (key.endsWith(writeKey) || key.endsWith(readKey)) && typeof value === "string" ? [value] : []
    )
  )

/** The name that a Cluster was given by this very Restore, before the plugin's process was restarted. */
export const nameGivenBy = (
  configMap: KubernetesObject | undefined,
  cluster: string,
  restore: string
): string | undefined => {
  const given = dataOf(configMap)[`${cluster}.${writeKey}`]
  return configMap?.metadata?.annotations?.[restoreAnnotation(cluster)] === restore && typeof given === "string"
    ? given
    : undefined
}
