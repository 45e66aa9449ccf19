/** Kubernetes objects for tests, as small as they can be. */
import type { KubernetesObject } from "../../src/testing/ApiServer.ts"

export const barmanCloud = "barman-cloud.cloudnative-pg.io"

type Metadata = Readonly<Record<string, unknown>>

export const namespace = (name: string): KubernetesObject => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name }
})

export const uidOf = (namespace: string, name: string): string => `uid-of-${namespace}-${name}`

/** A Cluster that archives with the Barman Cloud plugin, under its own name unless `serverName` says another. */
export const cluster = (
  namespace: string,
  name: string,
  {
    annotations,
    serverName,
    spec = {}
  }: {
    readonly annotations?: Readonly<Record<string, string>>
    readonly serverName?: string
    readonly spec?: Readonly<Record<string, unknown>>
  } = {}
): KubernetesObject => ({
  apiVersion: "postgresql.cnpg.io/v1",
  kind: "Cluster",
  metadata: {
    name,
    namespace,
    uid: uidOf(namespace, name),
    ...(annotations === undefined ? {} : { annotations })
  },
  spec: {
    instances: 1,
    bootstrap: { initdb: { database: "app", owner: "app" } },
    plugins: [
      {
        name: barmanCloud,
        isWALArchiver: true,
        parameters: { barmanObjectName: "store", ...(serverName === undefined ? {} : { serverName }) }
      }
    ],
    ...spec
  }
})

/** A completed Backup of such a Cluster. `second` counts from the beginning of a day. */
export const backup = (namespace: string, clusterName: string, name: string, second: number): KubernetesObject => {
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0")
  const time = [two(second / 3600), two((second / 60) % 60), two(second % 60)]
  return {
    apiVersion: "postgresql.cnpg.io/v1",
    kind: "Backup",
    metadata: { name, namespace },
    spec: { cluster: { name: clusterName }, method: "plugin", pluginConfiguration: { name: barmanCloud } },
    status: {
      phase: "completed",
      backupId: `20261119T${time.join("")}`,
      stoppedAt: `2026-11-19T${time.join(":")}Z`,
      pluginMetadata: { clusterUID: uidOf(namespace, clusterName) }
    }
  }
}

/** Something that a Cluster owns. */
export const owned = (
  apiVersion: string,
  kind: string,
  namespace: string,
  name: string,
  clusterName: string,
  owner: Metadata = {
    apiVersion: "postgresql.cnpg.io/v1",
    kind: "Cluster",
    name: clusterName,
    uid: uidOf(namespace, clusterName),
    controller: true
  }
): KubernetesObject => ({
  apiVersion,
  kind,
  metadata: { name, namespace, labels: { "cnpg.io/cluster": clusterName }, ownerReferences: [owner] }
})

export const deployment = (
  namespace: string,
  name: string,
  initContainers: ReadonlyArray<string>
): KubernetesObject => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name, namespace },
  spec: {
    template: {
      spec: { initContainers: initContainers.map((container) => ({ name: container })), containers: [{ name: "app" }] }
    }
  }
})

/** A ConfigMap in Velero's namespace that configures a plugin. */
export const pluginConfig = (
  name: string,
  plugin: string,
  data: Readonly<Record<string, string>>
): KubernetesObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: {
    name,
    namespace: "velero",
    labels: { "velero.io/plugin-config": "", [plugin]: "RestoreItemAction" }
  },
  data
})
