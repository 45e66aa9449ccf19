/**
 * `replicated.com/cnpg-backup-plugin`: records on the stored Cluster where its data can be recovered from.
 *
 * Annotations `velero-cnpg/serverName` and `velero-cnpg/current-backup-id`, and the times that tell what a restore can be asked for;
 * nothing else of the item, and nothing of the live Cluster, is touched. What cannot be vouched for is removed rather than kept: a
 * Cluster that was restored once still carries the annotations of its earlier life.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { Kubernetes } from "../kubernetes/Kubernetes.ts"
import type { Note } from "../velero/Action.ts"
import { info, warn } from "../velero/Action.ts"
import * as BackupView from "../velero/Backup.ts"
import * as BackupItemAction from "../velero/BackupItemAction.ts"
import * as Item from "../velero/Item.ts"
import type { Patch } from "../velero/Json.ts"
import * as Json from "../velero/Json.ts"
import * as Archive from "./Archive.ts"
import { identifier } from "./Belongings.ts"
import { Cluster, describe } from "./Cluster.ts"
import { annotation, barmanCloudPlugin, recordedAnnotations, resources } from "./Names.ts"
import type { Operation } from "./OnDemandBackup.ts"
import * as OnDemandBackup from "./OnDemandBackup.ts"
import * as OnDemandBackups from "./OnDemandBackups.ts"
import { candidate } from "./RecordedBackup.ts"
import type { Recorded } from "./Recoveries.ts"
import { Recoveries } from "./Recoveries.ts"
import * as RecoveryWindow from "./RecoveryWindow.ts"

/** The CNPG Backup for this Velero backup. */
export interface OnDemand {
  readonly operation: Operation
  /** Velero stores the Cluster once more, after the operation has ended. */
  readonly isFinalizing: boolean
  /** It is completed: what is `recorded` is it, and ends here. `undefined` while it is under way, or where it has failed. */
  readonly fresh: { readonly endLsn: string | undefined; readonly endWal: string | undefined } | undefined
}

export interface Facts {
  readonly archive: Archive.Archive
  readonly recorded: Recorded
  /** `undefined`: none is asked for; `Impossible`: there is no archive for one. */
  readonly onDemand?: OnDemand | "Impossible" | undefined
  readonly now: DateTime.Utc
  readonly window: RecoveryWindow.RecoveryWindow
}

export interface Decision {
  readonly patches: ReadonlyArray<Patch>
  /** The backup that is to be made. */
  readonly operation: Operation | undefined
  readonly notes: ReadonlyArray<Note>
}

const annotationPath = (key: string): Json.Path => ["metadata", "annotations", key]

/** Of a Cluster that was restored once and has lost its archive since: a restore would trust what is left. */
const unrecorded: ReadonlyArray<Patch> = recordedAnnotations.map((key) => Json.remove(annotationPath(key)))

/** Records these, and nothing of an earlier life. */
const recordedPatches = (values: Readonly<Record<string, string | undefined>>): ReadonlyArray<Patch> =>
  recordedAnnotations.map((key) => {
    const value = values[key]
    return value === undefined ? Json.remove(annotationPath(key)) : Json.set(annotationPath(key), value)
  })

const time = (millis: number): string => DateTime.formatIso(DateTime.makeUnsafe(millis)).replace(".000Z", "Z")

const recordedNote = (
  cluster: string,
  serverName: string,
  recorded: Recorded,
  onDemand: OnDemand | undefined
): Note => {
  switch (recorded._tag) {
    case "Found": {
      const { at, backupId, name } = recorded.backup
      const made = onDemand?.fresh === undefined ? "" : ", made for this Velero backup"
      return info(
        `${cluster}: recorded server name ${serverName} and backup ${backupId} (CNPG Backup ${name}${made}, ended ${time(at)})`
      )
    }
    case "NoneCompleted":
      if (onDemand?.isFinalizing === false) {
        return info(
          `${cluster}: recorded server name ${serverName}; its first Barman backup is being made for this Velero backup`
        )
      }
      return warn(
        `${cluster}: recorded server name ${serverName}, but there is no completed Barman backup of this Cluster; a restore will look for one in the archive. Make one: create a CNPG Backup or a ScheduledBackup for it`
      )
    case "Unknown":
      return warn(`${cluster}: recorded server name ${serverName}, but no backup id: ${recorded.reason}`)
  }
}

/** What to record of a Cluster. */
export const transform = (cluster: Cluster, { archive, now, onDemand: asked, recorded, window }: Facts): Decision => {
  const name = describe(cluster)
  const without = (note: Note): Decision => ({
    patches: unrecorded,
    operation: undefined,
    notes: [
      note,
      ...(asked === "Impossible"
        ? [warn(`${name}: no backup is made for this Velero backup, as there is no archive for one`)]
        : [])
    ]
  })
  switch (archive._tag) {
    case "None":
      return without(info(`${name} has no archive; it will be restored as it is, from its volumes if at all`))
    case "Foreign":
      return without(
        warn(
          `${name} archives with the plugin ${archive.plugin}, not with ${barmanCloudPlugin}: it will not be recovered from its archive`
        )
      )
    case "Ambiguous":
      return without(
        warn(
          `${name} has several enabled entries of ${barmanCloudPlugin} and none says isWALArchiver: true: it will not be recovered from its archive. Set isWALArchiver on the one that archives`
        )
      )
    default: {
      const backup = recorded._tag === "Found" ? recorded.backup : undefined
      const onDemand = asked === "Impossible" ? undefined : asked
      const fresh = onDemand?.fresh
      return {
        patches: recordedPatches({
          [annotation.serverName]: archive.serverName,
          [annotation.backupId]: backup?.backupId,
          [annotation.backupEndedAt]: backup?.endedAt,
          [annotation.freshBackupName]: onDemand?.operation.name,
          [annotation.freshBackupId]: fresh === undefined ? undefined : backup?.backupId,
          [annotation.freshBackupEndLsn]: fresh?.endLsn,
          [annotation.freshBackupEndWal]: fresh?.endWal,
          [annotation.storedAt]: DateTime.formatIso(now),
          [annotation.firstRecoverabilityPoint]: window.first
        }),
        // While it finalizes a backup, Velero refuses operations.
        operation: onDemand?.isFinalizing === false ? onDemand.operation : undefined,
        notes: [
          recordedNote(name, archive.serverName, recorded, onDemand),
          ...(window.problem === undefined
            ? []
            : [info(`${name}: how far back its archive reaches is not recorded: ${window.problem.message}`)])
        ]
      }
    }
  }
}

/** The backup for this Velero backup, if it is done and can be recovered from. An error keeps what has been stored before. */
const freshOf = Effect.fnUntraced(function* (cluster: Cluster, archive: Archive.Recoverable, operation: Operation) {
  const object = yield* OnDemandBackups.find(operation)
  return Option.zipWith(
    Option.flatMap(object, (found) => candidate(cluster, archive, found)),
    Option.flatMap(object, OnDemandBackup.decodeMade),
    (backup, { status }) => ({
      recorded: { _tag: "Found", backup } satisfies Recorded,
      fresh: { endLsn: status?.endLSN || undefined, endWal: status?.endWal || undefined }
    })
  )
})

type Needs = Kubernetes | OnDemandBackups.OnDemandBackups | Recoveries

export const action = BackupItemAction.make({
  selector: { includedResources: ["clusters.postgresql.cnpg.io"] },
  ...OnDemandBackup.configuration,
  decode: Cluster,
  fetch: Effect.fnUntraced(function* (cluster, { backup, config }) {
    const archive = Archive.find(cluster)
    const now = yield* DateTime.now
    const isFinalizing = BackupView.isFinalizing(backup)
    const { annotations } = cluster.metadata
    const isAsked = yield* Effect.fromResult(
      OnDemandBackup.isAsked(backup, { name: describe(cluster), annotations }, config)
    )
    if (!Archive.isRecoverable(archive)) {
      return {
        archive,
        now,
        recorded: { _tag: "NoneCompleted" },
        window: RecoveryWindow.unknown,
        onDemand: isAsked ? "Impossible" : undefined
      } satisfies Facts
    }
    const recoveries = yield* Recoveries
    const { recorded, window } = yield* recoveries.ofCluster(BackupView.key(backup), cluster)
    if (!isAsked) return { archive, now, recorded, window } satisfies Facts
    const operation = yield* Effect.fromResult(OnDemandBackup.plan(backup, cluster, archive, config, now))
    const made = isFinalizing ? Option.getOrUndefined(yield* freshOf(cluster, archive, operation)) : undefined
    return {
      archive,
      now,
      window,
      recorded: made?.recorded ?? recorded,
      onDemand: { operation, isFinalizing, fresh: made?.fresh }
    } satisfies Facts
  }),
  transform: (cluster, facts: Facts) => Result.succeed(transform(cluster, facts)),
  encode: (item, { notes, operation, patches }) => ({
    item: Item.patch(item, patches),
    notes,
    ...(operation === undefined
      ? {}
      : {
          operationId: OnDemandBackup.operationId(operation),
          // Of the Cluster alone. What it owns is marked already; volume claims must not go through Velero's own actions again.
          postOperationItems: [identifier(resources.clusters, operation.namespace, operation.cluster)]
        })
  }),
  commit: ({ operation }, { backup }): Effect.Effect<void, never, Needs> =>
    operation === undefined ? Effect.void : OnDemandBackups.beginOrLeave(backup, operation),
  operations: OnDemandBackups.operations
})
