/**
 * What the operator is told of a recovery's end: from the user's target, what the backup recorded, and how far back the archive
 * reaches. Pure.
 *
 * | target | base backup | end |
 * | --- | --- | --- |
 * | latest | the recorded one, else the newest | the end of the archive |
 * | backup | the recorded one | its own end |
 * | velero-backup, backup made for it | that one | its own end |
 * | velero-backup, otherwise | the recorded one, if it ended before | the time at which the Cluster was stored |
 * | a time, an LSN | the newest that ended before, by the operator's choice | there |
 * | a transaction, a restore point | the recorded one; the operator demands one | there |
 *
 * `targetImmediate` ends a recovery where the base backup is consistent: it takes no WAL but the backup's own. A `targetLSN` of the
 * same place takes a record behind it, and without an id the operator would look for a backup that ended *before* it.
 *
 * @see https://github.com/cloudnative-pg/barman-cloud/blob/v0.5.1/pkg/catalog/catalog.go (FindBackupInfo)
 * @see https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/api/v1/cluster_funcs.go (BuildPostgresOptions)
 */
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { annotation } from "./Names.ts"
import type { RecoveryTarget } from "./RecoveryTarget.ts"

/** What the archive cannot give. */
export class UnreachableTarget extends Data.TaggedError("UnreachableTarget")<{
  readonly cluster: string
  readonly target: string
  readonly problem: string
  readonly remedy: string
}> {
  override get message() {
    return `${this.cluster} cannot be recovered to ${this.target}: ${this.problem}. ${this.remedy}`
  }
}

/** What a backup recorded of a Cluster. */
export interface Recorded {
  readonly serverName: string
  readonly backupId: string | undefined
  /** What stands in its place and is no id of Barman's. */
  readonly foreignBackupId?: string | undefined
  /** When that backup ended; times here are RFC 3339. */
  readonly backupEndedAt: string | undefined
  /** The backup that was made for this Velero backup. */
  readonly freshBackupId: string | undefined
  readonly storedAt: string | undefined
  /** The earliest time that the archive can be recovered to, by the newest word on it. */
  readonly firstRecoverabilityPoint: string | undefined
}

/** `RecoveryTarget` of CNPG's API, as far as it is written here. */
export interface RecoveryTargetFields {
  readonly backupID?: string
  readonly targetTLI?: string
  readonly targetImmediate?: true
  readonly targetTime?: string
  readonly targetLSN?: string
  readonly targetXID?: string
  readonly targetName?: string
}

export interface End {
  /** Empty where the operator needs to be told nothing. */
  readonly fields: RecoveryTargetFields
  /** Which backup and up to where, to go behind `recovers from`. */
  readonly source: string
  readonly warnings: ReadonlyArray<string>
}

/**
 * Barman names a base backup by the time of its beginning. The Go plugin records the newest Backup of any kind; that of a volume
 * snapshot is the name of an object, and the operator would look for it in the archive in vain.
 */
const isBarmanId = (id: string): boolean => /^\d{8}T\d{6}$/.test(id)

/** What a backup recorded, read from the annotations of the stored Cluster. */
export const recordedOf = (
  annotations: Readonly<Record<string, string>> | null | undefined,
  serverName: string
): Recorded => {
  const id = annotations?.[annotation.backupId] || undefined
  const isOfArchive = id === undefined || isBarmanId(id)
  return {
    serverName,
    backupId: isOfArchive ? id : undefined,
    ...(isOfArchive ? {} : { foreignBackupId: id }),
    backupEndedAt: annotations?.[annotation.backupEndedAt] || undefined,
    freshBackupId: annotations?.[annotation.freshBackupId] || undefined,
    storedAt: annotations?.[annotation.storedAt] || undefined,
    firstRecoverabilityPoint: annotations?.[annotation.firstRecoverabilityPoint] || undefined
  }
}

const millis = (time: string | undefined): number | undefined =>
  Option.getOrUndefined(Option.map(DateTime.make(time ?? ""), DateTime.toEpochMillis))

/** Kubernetes keeps seconds, so that within one nothing is earlier. */
const isSecondsBefore = (a: number | undefined, b: number | undefined): boolean =>
  a !== undefined && b !== undefined && Math.floor(a / 1000) < Math.floor(b / 1000)

/** Where the recovery of a Cluster ends. `now` in epoch milliseconds. */
export const resolve = (
  cluster: string,
  { point, timeline }: RecoveryTarget,
  recorded: Recorded,
  now: number
): Result.Result<End, UnreachableTarget> => {
  const { backupEndedAt, backupId, firstRecoverabilityPoint: first, freshBackupId, serverName, storedAt } = recorded
  const suffix = timeline === undefined ? "" : ` on timeline ${timeline}`
  const end = (
    fields: RecoveryTargetFields,
    source: string,
    ...warnings: ReadonlyArray<string>
  ): Result.Result<End, UnreachableTarget> =>
    Result.succeed({
      fields: { ...fields, ...(timeline === undefined ? {} : { targetTLI: timeline }) },
      source: source + suffix,
      warnings:
        recorded.foreignBackupId === undefined
          ? warnings
          : [
              `${cluster}: the recorded backup ${recorded.foreignBackupId} is none of the archive's, as of a volume snapshot; the operator chooses one`,
              ...warnings
            ]
    })
  const unreachable = (target: string, problem: string, remedy: string): Result.Result<never, UnreachableTarget> =>
    Result.fail(new UnreachableTarget({ cluster, target, problem, remedy }))
  const withId = backupId === undefined ? {} : { backupID: backupId }

  /** The recorded backup, for an end that needs it. */
  const fromRecorded = (
    target: string,
    then: (backupId: string) => Result.Result<End, UnreachableTarget>
  ): Result.Result<End, UnreachableTarget> => {
    if (backupId === undefined) {
      return unreachable(
        target,
        "that takes a recorded base backup, and there was none when Velero backed the Cluster up",
        `Set ${annotation.recoveryTarget} to latest, a time or an LSN, for which the operator looks for a base backup in the archive`
      )
    }
    if (isSecondsBefore(millis(backupEndedAt), millis(first))) {
      return unreachable(
        target,
        `its base backup ${backupId} ended at ${backupEndedAt}, and the recovery window of server name ${serverName} begins at ${first}: the archive has it no more`,
        `Set ${annotation.recoveryTarget} to latest, or to a time in the window`
      )
    }
    return then(backupId)
  }

  /** `null`: it lies in the window, as far as that is known. */
  const windowProblem = (target: string, at: number | undefined) =>
    isSecondsBefore(at, millis(first))
      ? unreachable(
          target,
          `the recovery window of server name ${serverName} begins at ${first}, where its oldest base backup ended`,
          `Set ${annotation.recoveryTarget} to a time in the window, or to latest`
        )
      : null

  switch (point._tag) {
    case "Latest":
      return end(withId, backupId === undefined ? "newest backup" : `backup ${backupId}`)
    case "Backup":
      return fromRecorded("the end of its backup", (id) =>
        end({ backupID: id, targetImmediate: true }, `backup ${id} up to its end`)
      )
    case "VeleroBackup": {
      const target = "the time of the Velero backup"
      if (freshBackupId !== undefined && freshBackupId === backupId) {
        return fromRecorded(target, (id) =>
          end({ backupID: id, targetImmediate: true }, `backup ${id}, made for the Velero backup, up to its end`)
        )
      }
      const at = millis(storedAt)
      if (storedAt === undefined || at === undefined) {
        return unreachable(
          target,
          `the stored Cluster has no annotation ${annotation.storedAt}: an older version of this plugin made the backup`,
          `Set ${annotation.recoveryTarget} to that time, to backup or to latest`
        )
      }
      const ended = millis(backupEndedAt)
      const isGone = isSecondsBefore(ended, millis(first))
      const isBefore = backupId !== undefined && ended !== undefined && ended <= at && !isGone
      return (
        windowProblem(target, at) ??
        end(
          { ...(isBefore ? withId : {}), targetTime: storedAt },
          `${isBefore ? `backup ${backupId}` : `the newest backup before ${storedAt}`} up to ${storedAt}`,
          `${cluster} is recovered to ${storedAt}, when Velero backed it up. If the archive has no transaction that was committed later, the recovery fails with "recovery ended before configured recovery target was reached"; latest gives the same rows then`
        )
      )
    }
    case "Time":
      if (point.millis > now) {
        return unreachable(
          point.text,
          "that lies in the future",
          `Set ${annotation.recoveryTarget} to a time that has been, or to latest`
        )
      }
      return (
        windowProblem(point.text, point.millis) ??
        end({ targetTime: point.text }, `the newest backup before ${point.text} up to ${point.text}`)
      )
    case "Lsn":
      return end({ targetLSN: point.lsn }, `the newest backup before LSN ${point.lsn} up to LSN ${point.lsn}`)
    case "Xid":
      return fromRecorded(`transaction ${point.xid}`, (id) =>
        end({ backupID: id, targetXID: point.xid }, `backup ${id} up to transaction ${point.xid}`)
      )
    case "Name":
      return fromRecorded(`restore point ${point.name}`, (id) =>
        end({ backupID: id, targetName: point.name }, `backup ${id} up to restore point ${point.name}`)
      )
  }
}
