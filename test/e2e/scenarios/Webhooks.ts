/**
 * What the operator's webhooks say of the Clusters that a restore makes of unusual ones, and of those that it refuses to make.
 *
 * The operator is told to leave the unusual Clusters alone, so that only the API server and the webhooks speak.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import * as Admission from "../Admission.ts"
import { apiVersionOf } from "../Api.ts"
import { archiver, barmanCloud, createBackup, createNamespace, storeConfiguration } from "../Cluster.ts"
import type { ClusterSpec, Strings } from "../Objects.ts"
import * as Objects from "../Objects.ts"
import { Processes } from "../Processes.ts"
import type { Scenario } from "../Scenario.ts"
import { minor } from "../Scenario.ts"
import { Stand } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"

const namespace = "unusual"
const backupId = "20261104T020001"

interface Unusual {
  readonly name: string
  readonly annotations?: Strings
  /** Beside instances and storage. */
  readonly spec: object
}

const origin = {
  name: "origin",
  connectionParameters: { host: "origin.example.com", user: "streaming_replica" },
  sslRootCert: { name: "origin-ca", key: "ca.crt" }
}
const other = { name: "other.example.com", parameters: { serverName: "not-ours" } }
const inTree = storeConfiguration("http://127.0.0.1:9")
const { s3Credentials: _, ...withoutCredentials } = inTree

/** The webhooks accept these, and have to accept what becomes of them. */
const accepted: ReadonlyArray<Unusual> = [
  { name: "no-bootstrap", spec: { plugins: [archiver("a")] } },
  { name: "n".repeat(50), spec: { plugins: [archiver()] } },
  { name: "odd-server-name", spec: { plugins: [archiver("über/den wolken/".repeat(12))] } },
  { name: "lone-entry", spec: { plugins: [{ ...archiver("a"), isWALArchiver: false }] } },
  {
    name: "entries",
    spec: { plugins: [{ ...other, enabled: false }, { ...archiver("disabled"), enabled: false }, archiver("a")] }
  },
  {
    name: "entry-and-in-tree",
    spec: { plugins: [{ ...archiver("a"), isWALArchiver: false }], backup: { barmanObjectStore: inTree } }
  },
  {
    name: "azure",
    spec: {
      backup: {
        barmanObjectStore: {
          ...withoutCredentials,
          destinationPath: "https://account.blob.core.windows.net/backups",
          serverName: "a",
          azureCredentials: { inheritFromAzureAD: true },
          wal: { compression: "gzip", maxParallel: 8 },
          data: { jobs: 2, additionalCommandArgs: ["--min-chunk-size=5MB"] },
          historyTags: { a: "b" }
        },
        retentionPolicy: "30d"
      }
    }
  },
  {
    name: "google",
    spec: { backup: { barmanObjectStore: { ...withoutCredentials, googleCredentials: { gkeEnvironment: true } } } }
  },
  {
    name: "recovered-before",
    spec: {
      plugins: [archiver("a")],
      externalClusters: [
        origin,
        { ...origin, name: "clusterBackup", barmanObjectStore: inTree, password: { name: "p", key: "p" } },
        { name: "in-tree", barmanObjectStore: inTree }
      ],
      bootstrap: {
        recovery: {
          source: "clusterBackup",
          database: "app",
          owner: "owner",
          secret: { name: "chosen" },
          recoveryTarget: { targetTime: "2026-11-01T00:00:00Z", targetTLI: "2", exclusive: true }
        }
      }
    }
  },
  {
    name: "of-a-backup",
    spec: { plugins: [archiver("a")], bootstrap: { recovery: { backup: { name: "earlier" } } } }
  },
  {
    name: "of-snapshots",
    spec: {
      plugins: [archiver("a")],
      bootstrap: {
        recovery: {
          volumeSnapshots: { storage: { name: "s", kind: "VolumeSnapshot", apiGroup: "snapshot.storage.k8s.io" } }
        }
      }
    }
  },
  {
    name: "copied",
    spec: {
      plugins: [archiver("a")],
      externalClusters: [origin],
      bootstrap: { pg_basebackup: { source: "origin", database: "a b", owner: 'o"o', secret: { name: "chosen" } } }
    }
  },
  {
    name: "imported",
    spec: {
      plugins: [archiver("a")],
      externalClusters: [origin],
      bootstrap: {
        initdb: {
          database: "app",
          owner: "app",
          encoding: "UTF8",
          localeProvider: "icu",
          icuLocale: "en",
          walSegmentSize: 32,
          postInitSQL: ["CREATE ROLE r; -- ü"],
          import: { type: "microservice", databases: ["app"], source: { externalCluster: "origin" } }
        }
      }
    }
  },
  {
    name: "follower",
    spec: {
      plugins: [archiver("a")],
      externalClusters: [origin],
      replica: { enabled: true, source: "origin", minApplyDelay: "1h" },
      bootstrap: { pg_basebackup: { source: "origin" } }
    }
  },
  {
    name: "tablespaces",
    spec: {
      plugins: [archiver("a")],
      walStorage: { size: "1Gi" },
      tablespaces: [{ name: "fast", storage: { size: "1Gi" }, owner: { name: "app" } }],
      managed: { roles: [{ name: "reader", ensure: "present", login: true }] },
      postgresql: { parameters: { max_connections: "100", "pg_stat_statements.max": "10000" } },
      affinity: { topologyKey: "zone", enablePodAntiAffinity: true }
    }
  }
]

/** The user has told the webhooks to look away; 1.25.1 does not understand that. */
const unchecked: Unusual = {
  name: "unchecked",
  annotations: { "cnpg.io/validation": "disabled" },
  spec: { plugins: [archiver("a"), { name: "other.example.com", isWALArchiver: true }] }
}

/** The plugin refuses to restore these, so the webhooks have to refuse them too. */
const refused: ReadonlyArray<Unusual> = [
  { name: "two-archivers", spec: { plugins: [archiver("a"), { name: "other.example.com", isWALArchiver: true }] } },
  { name: "both-ways", spec: { plugins: [archiver("a")], backup: { barmanObjectStore: inTree } } },
  { name: "no-credentials", spec: { backup: { barmanObjectStore: withoutCredentials } } },
  {
    name: "two-credentials",
    spec: { backup: { barmanObjectStore: { ...inTree, googleCredentials: { gkeEnvironment: true } } } }
  },
  { name: "twice-the-same", spec: { plugins: [archiver("a")], externalClusters: [origin, origin] } },
  { name: "path", spec: { plugins: [archiver("a")], externalClusters: [{ ...origin, name: "../up" }] } },
  { name: "empty-external", spec: { plugins: [archiver("a")], externalClusters: [{ name: "origin" }] } },
  {
    name: "unknown-source",
    spec: { plugins: [archiver("a")], externalClusters: [origin], replica: { enabled: false, source: "elsewhere" } }
  },
  {
    name: "both-roles",
    spec: {
      plugins: [archiver("a")],
      externalClusters: [origin],
      replica: { enabled: false, source: "origin", primary: "origin" }
    }
  },
  { name: "n".repeat(51), spec: { plugins: [archiver("a")] } },
  { name: "with.dot", spec: { plugins: [archiver("a")] } }
]

const specOf = ({ spec }: Unusual): ClusterSpec => ({ instances: 1, storage: { size: "1Gi" }, ...spec })

const draftOf = (each: Unusual): Admission.Draft => ({
  metadata: { name: each.name, annotations: each.annotations ?? {} },
  spec: specOf(each)
})

const isInTree = ({ plugins = [], backup }: ClusterSpec): boolean =>
  backup?.barmanObjectStore !== undefined && !plugins.some(({ isWALArchiver }) => isWALArchiver)

/** A Backup of a Cluster by the method that it archives with. */
const methodOf = (spec: ClusterSpec) =>
  isInTree(spec)
    ? { spec: { method: "barmanObjectStore", pluginConfiguration: undefined }, status: { pluginMetadata: undefined } }
    : {}

/** Through Velero: the unusual Clusters are backed up and created again, beside themselves. */
const verifyAccepted = Effect.gen(function* () {
  const { api } = yield* Stand
  yield* createNamespace(namespace)
  const isUnderstood = (yield* Admission.refusal(namespace, draftOf(unchecked))) === undefined
  const all = isUnderstood ? [...accepted, unchecked] : accepted
  for (const each of all) {
    yield* api.apply(Objects.clusters, {
      metadata: {
        namespace,
        name: each.name,
        annotations: { ...each.annotations, "cnpg.io/reconciliationLoop": "disabled" }
      },
      spec: specOf(each)
    })
    const cluster = yield* api.get(Objects.clusters, namespace, each.name)
    yield* createBackup(cluster, { name: each.name, backupId, paused: true, ...methodOf(cluster.spec) })
  }
  const backup = yield* Velero.backUp([namespace])
  yield* Verify.equal("the Velero backup", Velero.outcome(backup), "Completed")
  const copy = `${namespace}-copy`
  const restore = yield* Velero.restore(backup, Velero.mapping({ [namespace]: copy }))
  yield* Verify.equal("the Velero restore", Velero.outcome(restore), "Completed")
  for (const { name } of all) {
    const cluster = yield* api.find(Objects.clusters, copy, name)
    yield* Verify.that(`the API server accepts ${name}`, cluster !== undefined)
    if (cluster === undefined) continue
    const { recoveryTarget, source } = cluster.spec.bootstrap?.recovery ?? {}
    yield* Verify.equal(`what ${name} recovers from`, [source, recoveryTarget?.backupID], ["clusterBackup", backupId])
    if (name !== unchecked.name) yield* Admission.verify(copy, name)
  }
  return all.length
})

interface Previewed {
  readonly restore: {
    readonly items: ReadonlyArray<{ readonly kind: string; readonly name: string; readonly error: string | null }>
  }
}

/** No such Cluster can be in an API server with these webhooks, so the plugin's own command shows what it does with them. */
const verifyRefused = Effect.gen(function* () {
  const { executables } = yield* Stand
  const processes = yield* Processes
  const objects = refused.flatMap((each) => {
    const spec = specOf(each)
    const method = isInTree(spec) ? "barmanObjectStore" : "plugin"
    return [
      {
        apiVersion: apiVersionOf(Objects.clusters),
        kind: "Cluster",
        metadata: { namespace, name: each.name },
        spec
      },
      {
        apiVersion: apiVersionOf(Objects.backups),
        kind: "Backup",
        metadata: { namespace, name: each.name },
        spec: { cluster: { name: each.name }, method, pluginConfiguration: { name: barmanCloud } },
        status: { phase: "completed", method, backupId, stoppedAt: "2026-11-04T02:00:09Z" }
      }
    ]
  })
  const file = Path.join(processes.directory, "refused.json")
  Fs.writeFileSync(file, JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }))
  const output = yield* processes.run(executables.cnpg, ["preview", file, "--output", "json"]).pipe(
    // Its exit code says that an item would be lost.
    Effect.catchIf(
      ({ reason, stdout = "" }) => reason === "exit code 1" && stdout.startsWith("{"),
      ({ stdout = "" }) => Effect.succeed(stdout)
    )
  )
  const { restore } = JSON.parse(output) as Previewed
  for (const each of refused) {
    const item = restore.items.find(({ kind, name }) => kind === "Cluster" && name === each.name)
    yield* Verify.that(
      `the plugin says why it refuses ${each.name}`,
      item?.error?.includes("cannot be recovered: the operator refuses it") === true,
      item?.error ?? "nothing"
    )
    const answer = yield* Admission.refusal(namespace, draftOf(each))
    const isRefused = answer?.includes(Admission.webhook) === true
    yield* Verify.that(`the webhooks refuse ${each.name} too`, isRefused, answer ?? "nothing against it")
  }
})

export const webhooks: Scenario = {
  name: "webhooks",
  expected:
    "the operator's webhooks accept whatever the plugin makes of Clusters that they have accepted, and refuse whatever it refuses",
  core: true,
  except: ({ operator }) =>
    minor(operator) < 26
      ? "the plugin knows the rules of newer operators: CloudNativePG 1.25 accepts an external cluster named `../up`, and the plugin refuses it"
      : undefined,
  run: Effect.gen(function* () {
    const count = yield* verifyAccepted
    yield* verifyRefused
    return `${count} unusual Clusters are accepted, ${refused.length} are refused by both`
  })
}
