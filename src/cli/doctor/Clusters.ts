/**
 * Whether a Velero restore would recover each Cluster, by the plugin's own rules: its archive, its newest completed backup, what its
 * archive needs beside it, and what the operator says of archiving.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Archive from "../../cnpg/Archive.ts"
import { type Cluster, decodeCluster, describe } from "../../cnpg/Cluster.ts"
import { annotation, barmanCloudPlugin, label, operatorAnnotation, resources } from "../../cnpg/Names.ts"
import type { Recovery } from "../../cnpg/Recoveries.ts"
import { Recoveries } from "../../cnpg/Recoveries.ts"
import type { Reference } from "../../cnpg/References.ts"
import * as References from "../../cnpg/References.ts"
import * as Setting from "../../cnpg/Setting.ts"
import { settings } from "../../cnpg/Settings.ts"
import { Kubernetes, type KubernetesError, type KubernetesObject, type Resource } from "../../kubernetes/Kubernetes.ts"
import * as View from "../../velero/View.ts"
import { error, type Finding, warning } from "./Finding.ts"

/** One Cluster, as plain data. Times are RFC 3339. */
export interface Diagnosis {
  readonly namespace: string
  readonly name: string
  readonly archive: {
    readonly kind: "object-store" | "in-tree" | "foreign" | "ambiguous" | "none"
    /** Name of the ObjectStore. */
    readonly objectStore: string | null
    readonly serverName: string | null
    readonly firstRecoverabilityPoint: string | null
  }
  /** The newest completed one. */
  readonly backup: {
    readonly id: string
    /** Name of the CNPG Backup. */
    readonly name: string
    readonly endedAt: string | null
    readonly ageSeconds: number | null
  } | null
  /** By the condition `ContinuousArchiving`; `null`: the operator does not say. */
  readonly archiving: boolean | null
  readonly findings: ReadonlyArray<Finding>
  /** Whether no finding is an error. */
  readonly recoverable: boolean
}

/** Something that a Cluster refers to, and what was found. */
export interface Looked {
  readonly reference: Reference
  readonly found: KubernetesObject | KubernetesError
}

/** All that was read of one Cluster. */
export interface Facts {
  /** Where its data comes from its volumes: those that Velero would back up or leave out. */
  readonly claims: ReadonlyArray<KubernetesObject> | KubernetesError | undefined
  readonly object: KubernetesObject
  readonly cluster: Cluster
  readonly recovery: Recovery
  /** References of the Cluster and of its ObjectStores. */
  readonly looked: ReadonlyArray<Looked>
  readonly now: DateTime.Utc
}

const isError = <A>(found: A | KubernetesError): found is KubernetesError => found instanceof Error

/** Velero leaves out what has it, whatever a backup selects. */
const exclusionLabel = "velero.io/exclude-from-backup"

const isExcluded = ({ metadata }: KubernetesObject): boolean => metadata?.labels?.[exclusionLabel] === "true"

const decodeConditions = Schema.decodeUnknownOption(
  Schema.Struct({
    conditions: Schema.Array(
      Schema.Struct({
        type: Schema.String,
        status: View.optional(Schema.String),
        message: View.optional(Schema.String)
      })
    )
  })
)

const archivingOf = ({ status }: Cluster) =>
  Option.getOrUndefined(decodeConditions(status))?.conditions.find(({ type }) => type === "ContinuousArchiving")

const isOnVolumes = ({ metadata }: Cluster): boolean => metadata.annotations?.[annotation.recoverFrom] === "volumes"

const withVolumes = `or annotate the Cluster with ${annotation.recoverFrom}=volumes, if Velero backs its volumes up`

/** Why a Cluster has nothing to be recovered from. */
const archiveProblem = (archive: Archive.Archive): string | undefined => {
  switch (archive._tag) {
    case "None":
      return "it has no archive: there is nothing to recover it from but its volumes. Configure an archive,"
    case "Foreign":
      return `it archives with the plugin ${archive.plugin}, from which it will not be recovered. Archive with ${barmanCloudPlugin},`
    case "Ambiguous":
      return `it has several enabled entries of ${barmanCloudPlugin}, and none says isWALArchiver: true. Set it on the one that archives,`
    case "Plugin":
      return archive.barmanObjectName === undefined
        ? "its archiver has no parameter barmanObjectName: a restore would refuse it. Set it,"
        : undefined
    case "InTree":
      return undefined
  }
}

const seconds = (time: string | undefined): number | undefined =>
  Option.getOrUndefined(
    Option.map(DateTime.make(time ?? ""), (found) => Math.floor(DateTime.toEpochMillis(found) / 1000))
  )

const backupFindings = ({ annotations, recorded, window }: Recovery): ReadonlyArray<Finding> => {
  switch (recorded._tag) {
    case "Unknown":
      return [error(`its backups cannot be read: ${recorded.reason}`)]
    case "NoneCompleted":
      if (annotations?.[annotation.onDemandBackup] === "true") {
        return [
          warning(
            `it has no completed CNPG Backup yet: the next Velero backup makes the first, as ${annotation.onDemandBackup} asks for it`
          )
        ]
      }
      return window.first === undefined
        ? [error("it has no completed backup. Make one: create a CNPG Backup or a ScheduledBackup for it")]
        : [
            error(
              `it has no completed CNPG Backup, though its archive has one that ended at ${window.first}: its volumes would be restored with it, and the operator would take them for the database. Create a CNPG Backup or a ScheduledBackup for it`
            )
          ]
    case "Found": {
      const [ended, first] = [seconds(recorded.backup.endedAt), seconds(window.first)]
      return ended !== undefined && first !== undefined && ended < first
        ? [
            error(
              `its newest completed backup ${recorded.backup.backupId} ended at ${recorded.backup.endedAt}, but its archive begins at ${window.first}: it has that backup no more. Make a new one`
            )
          ]
        : []
    }
  }
}

const archivingFindings = (cluster: Cluster): ReadonlyArray<Finding> => {
  if (cluster.metadata.annotations?.[operatorAnnotation.skipWalArchiving] === "enabled") {
    return [error(`annotation ${operatorAnnotation.skipWalArchiving}: enabled: no WAL is archived. Remove it`)]
  }
  const condition = archivingOf(cluster)
  switch (condition?.status) {
    case "True":
      return []
    case "False":
      return [
        error(
          `WAL archiving fails: ${condition.message ?? "no reason given"}. What is committed meanwhile is lost with the Cluster`
        )
      ]
    default:
      return [
        warning("whether WAL archiving works is unknown: the Cluster's status has no condition ContinuousArchiving")
      ]
  }
}

const referenceFindings = (looked: ReadonlyArray<Looked>): ReadonlyArray<Finding> =>
  looked.flatMap(({ found, reference }): ReadonlyArray<Finding> => {
    const level = reference.purpose.vital ? error : warning
    const what = `${reference.resource.kind} ${reference.name} (${reference.purpose.text})`
    if (isError(found)) {
      return found._tag === "NotFound"
        ? [level(`${what} does not exist. Create it`)]
        : [level(`whether ${what} exists is unknown: ${found.message}`)]
    }
    return isExcluded(found)
      ? [level(`${what} is in no backup: it has the label ${exclusionLabel}. Remove it, or have it where you restore`)]
      : []
  })

const excluded = (what: string, remedy: string): Finding =>
  error(`${what} is in no backup: it has the label ${exclusionLabel}. ${remedy}`)

/** What is wrong with the volumes of a Cluster that gets its data from them. */
const claimFindings = (claims: Facts["claims"]): ReadonlyArray<Finding> => {
  if (claims === undefined) return []
  if (isError(claims)) return [error(`whether its volume claims are in a backup is unknown: ${claims.message}`)]
  if (claims.length === 0) return [error("it has no volume claims to restore it from")]
  return claims
    .filter(isExcluded)
    .map(({ metadata }) => excluded(`PersistentVolumeClaim ${metadata?.name ?? ""} (its data)`, "Remove it"))
}

/** Annotations on the Cluster that would fail its backup or restore. */
const settingFindings = (cluster: Cluster): ReadonlyArray<Finding> =>
  settings
    .filter(({ isOfCluster }) => isOfCluster)
    .flatMap((setting) => {
      const { annotations } = cluster.metadata
      const chosen = Setting.choose(setting, { velero: {}, cluster: { name: describe(cluster), annotations } })
      return Result.isFailure(chosen) ? [error(chosen.failure.message)] : []
    })

/** What there is to say of a Cluster. */
export const diagnose = ({ claims, cluster, looked, now, object, recovery }: Facts): Diagnosis => {
  const { archive, recorded, window } = recovery
  const backup = recorded._tag === "Found" ? recorded.backup : undefined
  const onVolumes = isOnVolumes(cluster)
  const problem = archiveProblem(archive)
  const ofArchive = [
    ...(problem === undefined
      ? [...backupFindings(recovery), ...archivingFindings(cluster)]
      : [error(`${problem} ${withVolumes}`)]),
    ...referenceFindings(looked)
  ]
  const findings = [
    ...(isExcluded(object) ? [excluded("it", "Remove it")] : []),
    ...settingFindings(cluster),
    ...claimFindings(claims),
    // Its data does not come from the archive then.
    ...(onVolumes ? ofArchive.map(({ message }) => warning(message)) : ofArchive)
  ]
  const ended = seconds(backup?.endedAt)
  return {
    namespace: cluster.metadata.namespace ?? "",
    name: cluster.metadata.name,
    archive: {
      kind: kinds[archive._tag],
      objectStore: archive._tag === "Plugin" ? (archive.barmanObjectName ?? null) : null,
      serverName: Archive.isRecoverable(archive) ? archive.serverName : null,
      firstRecoverabilityPoint: window.first ?? null
    },
    backup:
      backup === undefined
        ? null
        : {
            id: backup.backupId,
            name: backup.name,
            endedAt: backup.endedAt ?? null,
            ageSeconds: ended === undefined ? null : Math.floor(DateTime.toEpochMillis(now) / 1000) - ended
          },
    archiving: archivingStates[archivingOf(cluster)?.status ?? ""] ?? null,
    findings,
    recoverable: findings.every(({ level }) => level !== "error")
  }
}

const kinds = {
  Plugin: "object-store",
  InTree: "in-tree",
  Foreign: "foreign",
  Ambiguous: "ambiguous",
  None: "none"
} as const satisfies Record<Archive.Archive["_tag"], Diagnosis["archive"]["kind"]>

const archivingStates: Readonly<Record<string, boolean>> = { True: true, False: false }

const decodeReferring = Schema.decodeUnknownOption(References.Referring)

const referencesOf = (object: KubernetesObject): ReadonlyArray<Reference> =>
  Option.match(decodeReferring(object), { onNone: () => [], onSome: References.of })

/** Looks for what an object refers to, and for what the ObjectStores among that refer to. */
const look = (object: KubernetesObject, namespace: string): Effect.Effect<ReadonlyArray<Looked>, never, Kubernetes> =>
  Effect.gen(function* () {
    const kubernetes = yield* Kubernetes
    const looked = yield* Effect.forEach(
      referencesOf(object),
      (reference) =>
        kubernetes.get(reference.resource, reference.resource.namespaced ? namespace : undefined, reference.name).pipe(
          Effect.catch((problem) => Effect.succeed(problem)),
          Effect.map((found): Looked => ({ reference, found }))
        ),
      { concurrency: 4 }
    )
    const stores = yield* Effect.forEach(looked, ({ found, reference }) =>
      reference.resource !== resources.objectStores || isError(found)
        ? Effect.succeed([])
        : Effect.map(look(found, namespace), (inner) =>
            // Of the archive of an external cluster no recovery depends.
            inner.map((each) => ({
              ...each,
              reference: {
                ...each.reference,
                purpose: { ...each.reference.purpose, vital: each.reference.purpose.vital && reference.purpose.vital }
              }
            }))
          )
    )
    return [...looked, ...stores.flat()]
  })

const volumeClaims: Resource = {
  group: "",
  version: "v1",
  resource: "persistentvolumeclaims",
  kind: "PersistentVolumeClaim",
  namespaced: true
}

const claimsOf = ({ metadata }: Cluster) =>
  Effect.flatMap(Kubernetes, (kubernetes) =>
    kubernetes.fold(
      volumeClaims,
      { namespace: metadata.namespace ?? "", labelSelector: `${label.cluster}=${metadata.name}` },
      (): Array<KubernetesObject> => [],
      (all, object) => {
        all.push(object)
        return all
      }
    )
  ).pipe(Effect.catch((problem: KubernetesError) => Effect.succeed(problem)))

/** Reads all Clusters, of a namespace or of all, in the order of the API server. */
export const inspect = (
  namespace: string | undefined
): Effect.Effect<ReadonlyArray<Diagnosis>, KubernetesError, Kubernetes | Recoveries> =>
  Effect.gen(function* () {
    const kubernetes = yield* Kubernetes
    const recoveries = yield* Recoveries
    const now = yield* DateTime.now
    const objects = yield* kubernetes.fold(
      resources.clusters,
      { namespace },
      (): Array<KubernetesObject> => [],
      (all, object) => {
        all.push(object)
        return all
      }
    )
    return yield* Effect.forEach(objects, (object) =>
      Option.match(decodeCluster(object), {
        onNone: () => Effect.succeed(unreadable(object)),
        onSome: (cluster) =>
          Effect.gen(function* () {
            const recovery = yield* recoveries.ofCluster("doctor", cluster)
            const looked = yield* look(object, cluster.metadata.namespace ?? "")
            const claims = isOnVolumes(cluster) ? yield* claimsOf(cluster) : undefined
            return diagnose({ object, cluster, recovery, looked, claims, now })
          })
      })
    )
  })

/** A Cluster that the plugin could not read either. */
const unreadable = ({ metadata }: KubernetesObject): Diagnosis => ({
  namespace: metadata?.namespace ?? "",
  name: metadata?.name ?? "",
  archive: { kind: "none", objectStore: null, serverName: null, firstRecoverabilityPoint: null },
  backup: null,
  archiving: null,
  findings: [
    error("its spec is not that of a Cluster that this plugin knows, so that its backup and restore would fail")
  ],
  recoverable: false
})

/** `7h`, `3d`: the larger unit alone. */
export const age = (ageSeconds: number): string => {
  const { days, hours, minutes } = Duration.parts(Duration.seconds(Math.max(0, ageSeconds)))
  if (days > 0) return `${days}d`
  return hours > 0 ? `${hours}h` : `${minutes}m`
}
