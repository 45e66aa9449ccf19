/**
 * `replicated.com/cnpg-backup-plugin`: records on the stored Cluster where its data can be recovered from.
 *
 * Annotations `velero-cnpg/serverName` and `velero-cnpg/current-backup-id`, and the times that tell what a restore can be asked for;
 * nothing else of the item, and nothing of the live Cluster, is touched. What cannot be vouched for is removed rather than kept: a
 * Cluster that was restored once still carries the annotations of its earlier life.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Note } from "../velero/Action.ts"
import { info, warn } from "../velero/Action.ts"
import * as BackupView from "../velero/Backup.ts"
import * as BackupItemAction from "../velero/BackupItemAction.ts"
import * as Item from "../velero/Item.ts"
import type { Patch } from "../velero/Json.ts"
import * as Json from "../velero/Json.ts"
import * as Archive from "./Archive.ts"
import { Cluster, describe } from "./Cluster.ts"
import { annotation, barmanCloudPlugin, recordedAnnotations } from "./Names.ts"
import type { Recorded } from "./Recoveries.ts"
import { Recoveries } from "./Recoveries.ts"
import * as RecoveryWindow from "./RecoveryWindow.ts"

export interface Facts {
  readonly archive: Archive.Archive
  readonly recorded: Recorded
  readonly now: DateTime.Utc
  readonly window: RecoveryWindow.RecoveryWindow
}

export interface Decision {
  readonly patches: ReadonlyArray<Patch>
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

const recordedNote = (cluster: string, serverName: string, recorded: Recorded): Note => {
  switch (recorded._tag) {
    case "Found": {
      const { at, backupId, name } = recorded.backup
      return info(
        `${cluster}: recorded server name ${serverName} and backup ${backupId} (CNPG Backup ${name}, ended ${time(at)})`
      )
    }
    case "NoneCompleted":
      return warn(
        `${cluster}: recorded server name ${serverName}, but there is no completed Barman backup of this Cluster; a restore will look for one in the archive. Make one: create a CNPG Backup or a ScheduledBackup for it`
      )
    case "Unknown":
      return warn(`${cluster}: recorded server name ${serverName}, but no backup id: ${recorded.reason}`)
  }
}

/** What to record of a Cluster. */
export const transform = (cluster: Cluster, { archive, now, recorded, window }: Facts): Decision => {
  const name = describe(cluster)
  switch (archive._tag) {
    case "None":
      return {
        patches: unrecorded,
        notes: [info(`${name} has no archive; it will be restored as it is, from its volumes if at all`)]
      }
    case "Foreign":
      return {
        patches: unrecorded,
        notes: [
          warn(
            `${name} archives with the plugin ${archive.plugin}, not with ${barmanCloudPlugin}: it will not be recovered from its archive`
          )
        ]
      }
    case "Ambiguous":
      return {
        patches: unrecorded,
        notes: [
          warn(
            `${name} has several enabled entries of ${barmanCloudPlugin} and none says isWALArchiver: true: it will not be recovered from its archive. Set isWALArchiver on the one that archives`
          )
        ]
      }
    default: {
      const backup = recorded._tag === "Found" ? recorded.backup : undefined
      return {
        patches: recordedPatches({
          [annotation.serverName]: archive.serverName,
          [annotation.backupId]: backup?.backupId,
          [annotation.backupEndedAt]: backup?.endedAt,
          [annotation.storedAt]: DateTime.formatIso(now),
          [annotation.firstRecoverabilityPoint]: window.first
        }),
        notes: [
          recordedNote(name, archive.serverName, recorded),
          ...(window.problem === undefined
            ? []
            : [info(`${name}: how far back its archive reaches is not recorded: ${window.problem.message}`)])
        ]
      }
    }
  }
}

export const action = BackupItemAction.make({
  selector: { includedResources: ["clusters.postgresql.cnpg.io"] },
  decode: Cluster,
  fetch: Effect.fnUntraced(function* (cluster, { backup }) {
    const archive = Archive.find(cluster)
    const now = yield* DateTime.now
    if (!Archive.isRecoverable(archive)) {
      return { archive, recorded: { _tag: "NoneCompleted" }, now, window: RecoveryWindow.unknown } satisfies Facts
    }
    const recoveries = yield* Recoveries
    const { recorded, window } = yield* recoveries.ofCluster(BackupView.key(backup), cluster)
    return { archive, recorded, now, window } satisfies Facts
  }),
  transform: (cluster, facts: Facts) => Result.succeed(transform(cluster, facts)),
  encode: (item, { notes, patches }) => ({ item: Item.patch(item, patches), notes })
})
