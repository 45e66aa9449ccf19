/** Replica clusters: a restored one is still the replica of what it was a replica of. */
import * as Effect from "effect/Effect"
import { archiver, barmanCloud, createBackup, createCluster, createNamespace, storeName } from "../Cluster.ts"
import * as Namespace from "../Namespace.ts"
import type { ClusterSpec } from "../Objects.ts"
import * as Objects from "../Objects.ts"
import * as Recovery from "../Recovery.ts"
import type { Scenario } from "../Scenario.ts"
import { Stand } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"
import * as Shop from "./Shop.ts"

const namespace = "replicas"

/** Streams and reads the archive of another place. */
const origin = {
  name: "origin",
  connectionParameters: { host: "origin-rw.elsewhere.example.com", user: "streaming_replica", sslmode: "verify-full" },
  sslKey: { name: "origin-replication", key: "tls.key" },
  sslCert: { name: "origin-replication", key: "tls.crt" },
  sslRootCert: { name: "origin-ca", key: "ca.crt" },
  plugin: { name: barmanCloud, parameters: { barmanObjectName: storeName, serverName: "origin-v1" } }
}

const warehouse = { name: "warehouse", connectionParameters: { host: "warehouse.example.com", user: "reader" } }

/** This side of a distributed topology, as the other sides name it. */
const here = (name: string, serverName: string) => ({
  name,
  plugin: { name: barmanCloud, parameters: { barmanObjectName: storeName, serverName } }
})

interface Replica {
  readonly name: string
  readonly backupId: string
  readonly replica: NonNullable<ClusterSpec["replica"]>
  readonly bootstrap: NonNullable<ClusterSpec["bootstrap"]>
  /** The external cluster that a restore makes. */
  readonly through?: string
  /** That it has been promoted with. */
  readonly promotionToken?: string
}

/** What the leader of before gave up with; the operator checks its form. */
const promotionToken = Buffer.from(
  JSON.stringify({
    latestCheckpointTimelineID: "1",
    redoWalFile: "000000010000000000000007",
    databaseSystemIdentifier: "7430000000000000000",
    latestCheckpointREDOLocation: "0/7000028",
    timeOfLatestCheckpoint: "Tue Nov  3 02:00:00 2026",
    operatorVersion: "1.30.0"
  })
).toString("base64")

const application = (name: string) => ({ database: name, owner: `${name}_owner` })

const replicas: ReadonlyArray<Replica> = [
  {
    name: "mirror",
    backupId: "20261104T020001",
    replica: { enabled: true, source: origin.name },
    bootstrap: { recovery: { ...application("mirror"), source: origin.name } }
  },
  {
    name: "streamer",
    backupId: "20261104T030001",
    replica: { enabled: true, source: origin.name, minApplyDelay: "4h0m0s" },
    bootstrap: { pg_basebackup: { ...application("streamer"), source: origin.name } }
  },
  {
    name: "follower",
    backupId: "20261104T040001",
    replica: { self: "follower", primary: origin.name, source: origin.name },
    bootstrap: { recovery: { ...application("follower"), source: origin.name } }
  },
  {
    name: "leader",
    backupId: "20261104T050001",
    replica: { self: "leader", primary: "leader", source: origin.name },
    bootstrap: { initdb: application("leader") }
  },
  {
    name: "promoted",
    backupId: "20261104T060001",
    replica: { enabled: false, source: origin.name },
    bootstrap: { recovery: { ...application("promoted"), source: origin.name } }
  },
  {
    name: "successor",
    backupId: "20261104T070001",
    replica: { self: "successor", primary: "successor", source: origin.name },
    bootstrap: { recovery: { ...application("successor"), source: origin.name } },
    promotionToken
  },
  {
    // Restored once, to follow what it was restored from.
    name: "heir",
    backupId: "20261104T080001",
    replica: { enabled: true, source: "clusterBackup" },
    bootstrap: { recovery: { ...application("heir"), source: "clusterBackup" } },
    through: "clusterBackup-2"
  }
]

/** The user gives the token, the instance notes that it has been promoted by it. */
const promote = Effect.fnUntraced(function* (name: string, promotionToken: string) {
  const { api } = yield* Stand
  yield* api.patch(Objects.clusters, namespace, name, { spec: { replica: { promotionToken } } })
  const status = { lastPromotionToken: promotionToken }
  yield* api.patch(Objects.clusters, namespace, name, { status }, "status")
})

const externalsOf = ({ name }: Replica) => [
  origin,
  here(name, `${name}-v1`),
  ...(name === "heir" ? [here("clusterBackup", "origin-v1")] : []),
  warehouse
]

export const replicaCluster: Scenario = {
  name: "replica-cluster",
  expected:
    "each recovers from its own archive, and spec.replica and all external clusters are as they were: what was a replica follows its source again",
  run: Effect.gen(function* () {
    const { api } = yield* Stand
    yield* createNamespace(namespace)
    // With what the API server adds to a Cluster by default.
    const before = new Map<string, ClusterSpec>()
    for (const each of replicas) {
      const { backupId, bootstrap, name, promotionToken, replica } = each
      const cluster = yield* createCluster(
        { namespace, name },
        {
          instances: 1,
          storage: { size: "1Gi" },
          bootstrap,
          replica,
          externalClusters: externalsOf(each),
          plugins: [archiver(`${name}-v1`)]
        }
      )
      before.set(name, cluster.spec)
      if (promotionToken !== undefined) yield* promote(name, promotionToken)
      yield* createBackup(cluster, { name: `${name}-newest`, backupId })
    }
    const backup = yield* Velero.backUp([namespace])
    yield* Verify.equal("the Velero backup", Velero.outcome(backup), "Completed")
    yield* Namespace.remove(namespace)
    const restore = yield* Velero.restore(backup)
    yield* Verify.equal("the Velero restore", Velero.outcome(restore), "Completed")
    for (const { backupId, name, through = "clusterBackup" } of replicas) {
      const source = { ...Shop.sourceOf(name, `${name}-v1`, backupId), through }
      yield* Verify.attempt(Recovery.verify({ namespace, name }, source))
      const { spec } = yield* api.get(Objects.clusters, namespace, name)
      // Without the token of the promotion that is over.
      yield* Verify.equal(`spec.replica of ${name}`, spec.replica, before.get(name)?.replica)
      const others = (spec.externalClusters ?? []).filter((entry) => entry.name !== through)
      yield* Verify.equal<unknown>(`the external clusters of ${name}`, others, before.get(name)?.externalClusters)
    }
    return `${replicas.map(({ name }) => name).join(", ")} recover and keep their source`
  })
}
