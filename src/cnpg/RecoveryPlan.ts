/**
 * The rewriting of a Cluster at restore, as data: pure functions from its view to patches.
 *
 * @see https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/internal/webhook/v1/cluster_webhook.go for the rules that the result has to pass
 */
import * as Data from "effect/Data"
import * as Result from "effect/Result"
import type { Patch } from "../velero/Json.ts"
import * as Json from "../velero/Json.ts"
import type { Recoverable } from "./Archive.ts"
import * as Archive from "./Archive.ts"
import type { ApplicationDatabase, Bootstrap, Cluster } from "./Cluster.ts"
import { describe, isReplica } from "./Cluster.ts"
import { annotation, externalClusterName, operatorAnnotation, recordedAnnotations } from "./Names.ts"
import type { RecoveryTargetFields } from "./RecoveryEnd.ts"

/** No Cluster that the operator accepts can be made of what the backup holds. */
export class NotRecoverable extends Data.TaggedError("NotRecoverable")<{
  readonly cluster: string
  readonly problem: string
  readonly remedy: string
}> {
  override get message() {
    return `${this.cluster} cannot be recovered: ${this.problem}. ${this.remedy}`
  }
}

/** What a restored Cluster reads. */
export interface Source {
  readonly serverName: string
  readonly recoveryTarget: RecoveryTargetFields
}

/** Velero's resource modifiers cannot help: they run after the actions. */
const remedy =
  "Correct the Cluster and back it up again, or exclude clusters.postgresql.cnpg.io from the restore and create the Cluster by hand"

/** What belongs to the object of the old life. */
const ephemeral: ReadonlyArray<Patch> = [
  Json.remove(["status"]),
  ...["resourceVersion", "uid", "generation", "creationTimestamp", "managedFields"].map((field) =>
    Json.remove(["metadata", field])
  )
]

/** The new server name, in every entry of the archiver. */
const destinationPatches = (archive: Recoverable, destination: string): ReadonlyArray<Patch> =>
  archive._tag === "InTree"
    ? [Json.set(["spec", "backup", "barmanObjectStore", "serverName"], destination)]
    : archive.entries.map((index) => Json.set(["spec", "plugins", index, "parameters", "serverName"], destination))

/** The bootstrap method that a Cluster has; CNPG allows one. */
const methodOf = (
  bootstrap: Bootstrap | null | undefined
): { readonly name: keyof Bootstrap; readonly database: ApplicationDatabase } | undefined => {
  for (const name of ["initdb", "recovery", "pg_basebackup"] as const) {
    const database = bootstrap?.[name]
    if (database) return { name, database }
  }
  return undefined
}

/** Database and owner: both or none, by CNPG's own defaults. */
const applicationOf = ({ database, owner }: ApplicationDatabase): Readonly<Record<string, string>> => {
  if (!database && !owner) return {}
  return { database: database || "app", owner: owner || database || "app" }
}

/**
 * The external cluster to recover from: `clusterBackup`. Where `spec.replica` names one of an earlier recovery, as a Cluster does that
 * was restored to follow the living one, that one stays what it is, and another name is taken.
 */
const sourceNameOf = ({ spec }: Cluster): string => {
  const { primary, self, source } = spec?.replica ?? {}
  const isNamed = (candidate: string) =>
    [source, self, primary].includes(candidate) && !!spec?.externalClusters?.some(({ name }) => name === candidate)
  let name = externalClusterName
  for (let number = 2; isNamed(name); number++) name = `${externalClusterName}-${number}`
  return name
}

const bootstrapPatches = (cluster: Cluster, { recoveryTarget }: Source): ReadonlyArray<Patch> => {
  const method = methodOf(cluster.spec?.bootstrap)
  const recovery = ["spec", "bootstrap", "recovery"]
  return [
    Json.set(["spec", "bootstrap"], {
      recovery: {
        source: sourceNameOf(cluster),
        ...(Object.keys(recoveryTarget).length === 0 ? {} : { recoveryTarget: { ...recoveryTarget } }),
        ...(method === undefined ? {} : applicationOf(method.database))
      }
    }),
    ...(method?.database.secret
      ? [Json.copy(["spec", "bootstrap", method.name, "secret"], [...recovery, "secret"])]
      : [])
  ]
}

const externalClusterPatches = (
  cluster: Cluster,
  archive: Recoverable,
  { serverName }: Source
): Result.Result<ReadonlyArray<Patch>, NotRecoverable> => {
  const externals = cluster.spec?.externalClusters ?? []
  const sourceName = sourceNameOf(cluster)
  const existing = externals.findIndex(({ name }) => name === sourceName)
  const path = ["spec", "externalClusters", existing === -1 ? externals.length : existing]
  if (archive._tag === "InTree") {
    return Result.succeed([
      Json.set(path, { name: sourceName }),
      Json.copy(["spec", "backup", "barmanObjectStore"], [...path, "barmanObjectStore"]),
      Json.set([...path, "barmanObjectStore", "serverName"], serverName)
    ])
  }
  const { barmanObjectName, plugin } = archive
  if (barmanObjectName === undefined) {
    return Result.fail(
      new NotRecoverable({
        cluster: describe(cluster),
        problem: `its entry of the plugin ${plugin} has no parameter barmanObjectName, so nothing tells which ObjectStore holds its backups`,
        remedy: `If its volumes were backed up, annotate the Restore with ${annotation.recoverFrom}: volumes; else: ${remedy}`
      })
    )
  }
  return Result.succeed([
    Json.set(path, {
      name: sourceName,
      plugin: { name: plugin, parameters: { barmanObjectName, serverName } }
    })
  ])
}

const externalClusterProblem = ({ spec }: Cluster, isReplaced: (name: string) => boolean): string | undefined => {
  const externals = spec?.externalClusters ?? []
  for (const [index, { barmanObjectStore, connectionParameters, name, plugin }] of externals.entries()) {
    if (externals.findIndex((each) => each.name === name) !== index) return `spec.externalClusters has ${name} twice`
    if (/^\.{1,2}$|[/\\]/.test(name)) return `spec.externalClusters has ${name}, whose name could be a path`
    if (!isReplaced(name) && !barmanObjectStore && !connectionParameters && !plugin) {
      return `spec.externalClusters has ${name}, which says neither plugin, barmanObjectStore nor connectionParameters`
    }
  }
  return undefined
}

const replicaProblem = (
  cluster: Cluster,
  isKnown: (name: string) => boolean,
  recovers: boolean
): string | undefined => {
  const { bootstrap, replica } = cluster.spec ?? {}
  if (!replica) return undefined
  if (replica.primary && typeof replica.enabled === "boolean") return "spec.replica has both enabled and primary"
  for (const field of ["source", "self", "primary"] as const) {
    const name = replica[field] || ""
    if ((field === "source" || name !== "") && !isKnown(name)) {
      return `spec.replica.${field} names ${name || "nothing"}, which is not in spec.externalClusters`
    }
  }
  return !recovers && isReplica(cluster) && !bootstrap?.recovery && !bootstrap?.pg_basebackup
    ? "a replica cluster can only be created with bootstrap.recovery or bootstrap.pg_basebackup"
    : undefined
}

const archiverProblem = ({ spec }: Cluster): string | undefined => {
  const archivers = (spec?.plugins ?? []).filter(({ enabled, isWALArchiver }) => enabled !== false && isWALArchiver)
  if (archivers.length > 1) return `${archivers.length} enabled plugins say isWALArchiver: true`
  const store = spec?.backup?.barmanObjectStore
  if (!store) return undefined
  if (archivers.length > 0) return "it archives both with a plugin and with spec.backup.barmanObjectStore"
  const credentials = [store.azureCredentials, store.googleCredentials, store.s3Credentials]
  return credentials.filter((each) => each !== undefined && each !== null).length === 1
    ? undefined
    : "spec.backup.barmanObjectStore has to have one kind of credentials"
}

/** What the operator's webhook would refuse of a Cluster that is made anew, by recovery or with the bootstrap that it has. */
const webhookProblem = (cluster: Cluster, recovers: boolean): string | undefined => {
  const { metadata, spec } = cluster
  if (metadata.annotations?.["cnpg.io/validation"] === "disabled") return undefined
  if (metadata.name.length > 50 || !/^[a-z]([-a-z0-9]*[a-z0-9])?$/.test(metadata.name)) {
    return "its name is no DNS label of at most 50 characters"
  }
  const isMade = (name: string) => recovers && name === sourceNameOf(cluster)
  const isKnown = (name: string) => isMade(name) || !!spec?.externalClusters?.some((each) => each.name === name)
  return (
    externalClusterProblem(cluster, isMade) ?? replicaProblem(cluster, isKnown, recovers) ?? archiverProblem(cluster)
  )
}

const checked = (cluster: Cluster, recovers: boolean): Result.Result<void, NotRecoverable> => {
  const problem = webhookProblem(cluster, recovers)
  return problem === undefined
    ? Result.void
    : Result.fail(
        new NotRecoverable({ cluster: describe(cluster), problem: `the operator refuses it: ${problem}`, remedy })
      )
}

/** A Cluster that recovers from its archive, and archives under a new name. */
export const recover = (
  cluster: Cluster,
  archive: Recoverable,
  source: Source,
  destination: string
): Result.Result<ReadonlyArray<Patch>, NotRecoverable> =>
  Result.gen(function* () {
    yield* checked(cluster, true)
    return [
      ...ephemeral,
      ...(yield* externalClusterPatches(cluster, archive, source)),
      ...bootstrapPatches(cluster, source),
      ...destinationPatches(archive, destination)
    ]
  })

/** A Cluster that starts on its volumes, and archives under a new name. */
export const startOnVolumes = (
  cluster: Cluster,
  archive: Recoverable,
  destination: string
): Result.Result<ReadonlyArray<Patch>, NotRecoverable> =>
  Result.map(checked(cluster, false), () => [...ephemeral, ...destinationPatches(archive, destination)])

/** A piece of the live Cluster, at its place in the item. */
const sameAsLive = (live: Json.Json | undefined, path: Json.Path): Patch => {
  const value = path.reduce<Json.Json | undefined>(
    (tree, step) =>
      typeof tree === "object" && tree !== null && !Array.isArray(tree) ? (tree as Json.JsonObject)[step] : undefined,
    live
  )
  return value === undefined ? Json.remove(path) : Json.set(path, value)
}

/**
 * The item with everything of the living Cluster that says where its data comes from and goes to, and whether it runs at all, so that
 * not even `existingResourcePolicy: update` can re-point a running database, or stop it.
 */
export const keepLive = (live: Json.Json): ReadonlyArray<Patch> => [
  ...ephemeral,
  ...["bootstrap", "externalClusters", "plugins", "replica"].map((field) => sameAsLive(live, ["spec", field])),
  sameAsLive(live, ["spec", "backup", "barmanObjectStore"]),
  ...[...recordedAnnotations, ...Object.values(operatorAnnotation)].map((key) =>
    sameAsLive(live, ["metadata", "annotations", key])
  )
]

/** The archive of a Cluster whose backup recorded a source; it must still be there. */
export const archiveOf = (cluster: Cluster): Result.Result<Recoverable, NotRecoverable> => {
  const archive = Archive.find(cluster)
  return Archive.isRecoverable(archive)
    ? Result.succeed(archive)
    : Result.fail(
        new NotRecoverable({
          cluster: describe(cluster),
          problem: `it carries the annotation ${annotation.serverName}, but neither spec.plugins nor spec.backup.barmanObjectStore names an archive that it could be recovered from`,
          remedy
        })
      )
}
