/**
 * What a preview says of each Cluster: what its backup recorded, what becomes of it, and the times that its recovery is about. Pure.
 *
 * The decisions are the plugins' own words, from their logs; the rest is read off the Cluster before and after.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Archive from "../../cnpg/Archive.ts"
import { type Cluster, decodeCluster } from "../../cnpg/Cluster.ts"
import { annotation, cnpgGroup, plugin, resources } from "../../cnpg/Names.ts"
import type { LogLine } from "../../go-plugin/Client.ts"
import * as RecordedBackup from "../../cnpg/RecordedBackup.ts"
import { groupResource, type KubernetesObject, type Resource } from "../../kubernetes/Kubernetes.ts"
import type { KubernetesObject as Living } from "../../testing/ApiServer.ts"
import type { Entry, Restored } from "../../testing/VeleroHost.ts"
import * as View from "../../velero/View.ts"
import type { Preview, Subject } from "../Preview.ts"

/** As the operator would, if all went well: a CNPG Backup is completed at once. */
const complete = (object: Living, now: string): Living | undefined =>
  object.kind === "Backup" && object.apiVersion.startsWith(`${cnpgGroup}/`)
    ? {
        ...object,
        status: {
          phase: "completed",
          backupId: now.slice(0, 19).replaceAll(/[-:]/g, ""),
          startedAt: now,
          stoppedAt: now
        }
      }
    : undefined

/** CloudNativePG's pack. */
export const subject: Subject = {
  resource: resources.clusters,
  title: "CloudNativePG's Clusters",
  lookedFor: Object.values(resources),
  complete
}

/** A sentence, and how much it matters. */
export interface Statement {
  readonly level: "info" | "warn" | "error"
  readonly text: string
}

/** A CNPG Backup of a Cluster. Times are RFC 3339. */
export interface BaseBackup {
  readonly name: string
  readonly id: string | null
  readonly phase: string | null
  readonly method: string | null
  readonly startedAt: string | null
  readonly stoppedAt: string | null
  /** Whether a recovery could start from it: completed, in this archive, of this life of the Cluster. */
  readonly isUsable: boolean
}

/** One Cluster, as plain data. Times are RFC 3339. */
export interface ClusterPreview {
  readonly namespace: string
  readonly name: string
  /** Where it comes to; `null` where it is not restored. */
  readonly restoredTo: string | null
  readonly recorded: {
    readonly serverName: string | null
    readonly backupId: string | null
    readonly backupEndedAt: string | null
    readonly storedAt: string | null
    readonly firstRecoverabilityPoint: string | null
  }
  /** What it recovers from; `null`: it does not recover from an archive. */
  readonly recovery: {
    readonly serverName: string
    /** `RecoveryTarget` of CNPG's API; empty: the end of the archive. */
    readonly target: Readonly<Record<string, unknown>>
  } | null
  /** The server name that it archives under once it is restored. */
  readonly archivesUnder: string | null
  readonly backups: ReadonlyArray<BaseBackup>
  readonly atBackup: ReadonlyArray<Statement>
  readonly atRestore: ReadonlyArray<Statement>
}

const text = View.optional(Schema.String)

const decodeBackup = Schema.decodeUnknownOption(
  Schema.Struct({
    metadata: View.Metadata,
    spec: Schema.Struct({ cluster: Schema.Struct({ name: Schema.String }), method: text }),
    status: View.optional(
      Schema.Struct({ backupId: text, phase: text, method: text, startedAt: text, stoppedAt: text })
    )
  })
)

const decodeRecovery = Schema.decodeUnknownOption(
  Schema.Struct({
    spec: Schema.Struct({
      bootstrap: Schema.Struct({
        recovery: Schema.Struct({
          source: Schema.String,
          recoveryTarget: View.optional(Schema.Record(Schema.String, Schema.Unknown))
        })
      })
    })
  })
)

const isA =
  (resource: Resource) =>
  (entry: Entry): boolean =>
    entry.resource === groupResource(resource)

const clusterOf = ({ text }: Entry): Cluster | undefined => Option.getOrUndefined(decodeCluster(JSON.parse(text)))

/** Base backups of a Cluster, from the oldest on; those of use by the rules of the backup itself. */
const backupsOf = ({ name, namespace, text }: Entry, entries: ReadonlyArray<Entry>): ReadonlyArray<BaseBackup> => {
  const cluster = Option.getOrUndefined(decodeCluster(JSON.parse(text)))
  const archive = cluster === undefined ? undefined : Archive.find(cluster)
  const isUsable = (backup: KubernetesObject): boolean =>
    cluster !== undefined &&
    archive !== undefined &&
    Archive.isRecoverable(archive) &&
    Option.isSome(RecordedBackup.candidate(cluster, archive, backup))
  return entries
    .filter((entry) => isA(resources.backups)(entry) && entry.namespace === namespace)
    .flatMap((entry) => {
      const object = JSON.parse(entry.text) as KubernetesObject
      return Option.match(decodeBackup(object), {
        onNone: () => [],
        onSome: ({ metadata, spec, status }) =>
          spec.cluster.name === name
            ? [
                {
                  name: metadata.name,
                  id: status?.backupId || null,
                  phase: status?.phase || null,
                  method: status?.method || spec.method || null,
                  startedAt: status?.startedAt || null,
                  stoppedAt: status?.stoppedAt || null,
                  isUsable: isUsable(object)
                }
              ]
            : []
      })
    })
    .toSorted((a, b) => ((a.stoppedAt ?? "") < (b.stoppedAt ?? "") ? -1 : 1))
}

const levels: Readonly<Record<string, Statement["level"]>> = { warn: "warn", error: "error" }

/** What plugins logged of an item, which they name `Pod` or `Cluster.postgresql.cnpg.io`. */
const said = ({ kind, name, namespace }: Entry, logs: ReadonlyArray<LogLine>): ReadonlyArray<Statement> =>
  logs
    .filter(
      ({ fields }) =>
        String(fields["resource"]).split(".")[0] === kind &&
        fields["name"] === name &&
        fields["namespace"] === namespace
    )
    .map(({ level, message }) => ({ level: levels[level] ?? "info", text: message }))

/** What a recovery reads, of the Cluster as it was restored. */
const recoveryOf = (restored: Entry): ClusterPreview["recovery"] => {
  const found = Option.getOrUndefined(decodeRecovery(JSON.parse(restored.text)))
  const cluster = clusterOf(restored)
  if (found === undefined || cluster === undefined) return null
  const { recoveryTarget, source } = found.spec.bootstrap.recovery
  const external = cluster.spec?.externalClusters?.find(({ name }) => name === source)
  const serverName =
    external?.plugin?.parameters?.["serverName"] ?? external?.barmanObjectStore?.serverName ?? external?.name
  return serverName === undefined ? null : { serverName, target: recoveryTarget ?? {} }
}

/** What there is to say of a Cluster that came in a tarball, since nobody saw its backup. */
const ofTarball = (entry: Entry, recorded: ClusterPreview["recorded"], file: string): ReadonlyArray<Statement> => {
  const name = `Cluster ${entry.namespace}/${entry.name}`
  const { backupEndedAt, backupId, serverName, storedAt } = recorded
  if (serverName !== null) {
    const ended = backupEndedAt === null ? "" : `, which ended at ${backupEndedAt}`
    const backup = backupId === null ? "no completed backup" : `backup ${backupId}${ended}`
    const stored = storedAt === null ? "" : `; stored at ${storedAt}`
    return [
      {
        level: backupId === null ? "warn" : "info",
        text: `${name}: ${file} records server name ${serverName} and ${backup}${stored}`
      }
    ]
  }
  const cluster = clusterOf(entry)
  const archive = cluster === undefined ? undefined : Archive.find(cluster)
  return archive !== undefined && Archive.isRecoverable(archive)
    ? [
        {
          level: "warn",
          text: `${name}: ${file} records nothing: it was made without the plugin ${plugin.clusterBackup}. So the server name is the Cluster's own, and the operator looks for the newest backup`
        }
      ]
    : [{ level: "info", text: `${name}: ${file} records nothing, as it has no archive to recover from` }]
}

const restoredOf = (items: ReadonlyArray<Restored>, { name, namespace }: Entry): Restored | undefined =>
  items.find(({ before }) => isA(resources.clusters)(before) && before.name === name && before.namespace === namespace)

/** What Velero waits for at the backup of an item. */
const waited = ({ name, namespace, resource }: Entry, { operations }: Preview["backup"]): ReadonlyArray<Statement> =>
  operations
    .filter(({ item }) => item.resource === resource && item.name === name && item.namespace === namespace)
    .flatMap(({ done, error, waitsFor }): ReadonlyArray<Statement> => [
      { level: "info", text: `Velero waits for the operation: ${waitsFor}` },
      ...(error === null ? [] : [{ level: "error" as const, text: `the operation fails: ${error}` }]),
      ...(done === null ? [] : [{ level: "info" as const, text: `once the operator is done, here assumed: ${done}` }])
    ])

/** Every Cluster of a preview. */
export const of = ({ backup, restore, tarball }: Preview): ReadonlyArray<ClusterPreview> => {
  const stored = tarball?.entries ?? backup.items.map(({ after, before }) => after ?? before)
  return stored.filter(isA(resources.clusters)).map((entry) => {
    const annotations = clusterOf(entry)?.metadata.annotations ?? {}
    const noted = (name: string): string | null => annotations[name] || null
    const recorded = {
      serverName: noted(annotation.serverName),
      backupId: noted(annotation.backupId),
      backupEndedAt: noted(annotation.backupEndedAt),
      storedAt: noted(annotation.storedAt),
      firstRecoverabilityPoint: noted(annotation.firstRecoverabilityPoint)
    }
    const restored = restoredOf(restore.items, entry)
    const after = restored?.outcome === "exists" ? undefined : restored?.after
    const archive = after === undefined ? undefined : clusterOf(after)
    const found = archive === undefined ? undefined : Archive.find(archive)
    const lost = (error: string | undefined, what: string): ReadonlyArray<Statement> =>
      error === undefined ? [] : [{ level: "error", text: `not ${what}: ${error}` }]
    return {
      namespace: entry.namespace,
      name: entry.name,
      restoredTo: restored?.after === undefined ? null : `${restored.after.namespace}/${restored.after.name}`,
      recorded,
      recovery: after === undefined ? null : recoveryOf(after),
      archivesUnder: found !== undefined && Archive.isRecoverable(found) ? found.serverName : null,
      backups: backupsOf(entry, stored),
      atBackup:
        tarball === undefined
          ? [
              ...lost(
                backup.items.find(({ before }) => before.text === entry.text && before.name === entry.name)?.error,
                "backed up"
              ),
              ...said(entry, backup.logs),
              ...waited(entry, backup)
            ]
          : ofTarball(entry, recorded, tarball.file),
      atRestore: [...lost(restored?.error, "restored"), ...said(entry, restore.logs)]
    }
  })
}
