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
import { describe } from "./Cluster.ts"
import { annotation, externalClusterName } from "./Names.ts"

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

/** Where a restored Cluster reads from and writes to. */
export interface Source {
  readonly serverName: string
  readonly backupId: string | undefined
}

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

const bootstrapPatches = ({ spec }: Cluster, { backupId }: Source): ReadonlyArray<Patch> => {
  const method = methodOf(spec?.bootstrap)
  const recovery = ["spec", "bootstrap", "recovery"]
  return [
    Json.set(["spec", "bootstrap"], {
      recovery: {
        source: externalClusterName,
        ...(backupId === undefined ? {} : { recoveryTarget: { backupID: backupId } }),
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
  const existing = externals.findIndex(({ name }) => name === externalClusterName)
  const path = ["spec", "externalClusters", existing === -1 ? externals.length : existing]
  if (archive._tag === "InTree") {
    return Result.succeed([
      Json.set(path, { name: externalClusterName }),
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
        remedy: `Restore with a resource modifier that sets spec.plugins[${archive.entries[0] ?? 0}].parameters.barmanObjectName`
      })
    )
  }
  return Result.succeed([
    Json.set(path, {
      name: externalClusterName,
      plugin: { name: plugin, parameters: { barmanObjectName, serverName } }
    })
  ])
}

/** What the operator's webhook would refuse, whatever this plugin does. */
const webhookProblem = ({ spec }: Cluster, archive: Recoverable): string | undefined => {
  const externals = (spec?.externalClusters ?? []).map(({ name }) => name)
  const twice = externals.find((name, index) => externals.indexOf(name) !== index)
  if (twice !== undefined) return `spec.externalClusters has ${twice} twice`
  for (const field of ["source", "self", "primary"] as const) {
    const name = spec?.replica?.[field]
    if (name && name !== externalClusterName && !externals.includes(name)) {
      return `spec.replica.${field} names ${name}, which is not in spec.externalClusters`
    }
  }
  const archivers = (spec?.plugins ?? []).filter(({ enabled, isWALArchiver }) => enabled !== false && isWALArchiver)
  if (archivers.length > 1) return `${archivers.length} enabled plugins say isWALArchiver: true`
  if (archive._tag === "Plugin" && archivers.length > 0 && spec?.backup?.barmanObjectStore) {
    return "it archives both with a plugin and with spec.backup.barmanObjectStore"
  }
  return undefined
}

/** A Cluster that recovers from its archive, and archives under a new name. */
export const recover = (
  cluster: Cluster,
  archive: Recoverable,
  source: Source,
  destination: string
): Result.Result<ReadonlyArray<Patch>, NotRecoverable> => {
  const problem = webhookProblem(cluster, archive)
  if (problem !== undefined) {
    return Result.fail(
      new NotRecoverable({
        cluster: describe(cluster),
        problem: `the operator refuses it: ${problem}`,
        remedy: "Restore with a resource modifier that corrects it"
      })
    )
  }
  return Result.map(externalClusterPatches(cluster, archive, source), (externals) => [
    ...ephemeral,
    ...externals,
    ...bootstrapPatches(cluster, source),
    ...destinationPatches(archive, destination)
  ])
}

/** A Cluster that starts on its volumes, and archives under a new name. */
export const startOnVolumes = (archive: Recoverable, destination: string): ReadonlyArray<Patch> => [
  ...ephemeral,
  ...destinationPatches(archive, destination)
]

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
 * The item with everything of the living Cluster that says where its data comes from and goes to, so that not even
 * `existingResourcePolicy: update` can re-point a running database.
 */
export const keepLive = (live: Json.Json): ReadonlyArray<Patch> => [
  ...ephemeral,
  ...["bootstrap", "externalClusters", "plugins", "replica"].map((field) => sameAsLive(live, ["spec", field])),
  sameAsLive(live, ["spec", "backup", "barmanObjectStore"]),
  ...[annotation.serverName, annotation.backupId].map((key) => sameAsLive(live, ["metadata", "annotations", key]))
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
          remedy: `Restore with a resource modifier that adds one, or that removes the annotation to restore the Cluster as it is`
        })
      )
}
