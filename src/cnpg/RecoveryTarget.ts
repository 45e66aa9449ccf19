/**
 * The user's word for where a recovery ends, as text and as data.
 *
 * One word, and behind it, if wanted, a timeline: `2026-11-19T09:30:00Z timeline:2`. What PostgreSQL or the operator would refuse,
 * or take for something else, is not a target.
 *
 * @see https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/internal/webhook/v1/cluster_webhook.go (validateRecoveryTarget)
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import { annotation, plugin } from "./Names.ts"
import type { Setting } from "./Setting.ts"

/** Where a recovery ends. */
export type Point =
  /** The end of the archive. */
  | { readonly _tag: "Latest" }
  /** The end of the recorded base backup. */
  | { readonly _tag: "Backup" }
  /** The time of the Velero backup. */
  | { readonly _tag: "VeleroBackup" }
  /** `text` is RFC 3339 in UTC, with the fraction as it was given. */
  | { readonly _tag: "Time"; readonly text: string; readonly millis: number }
  | { readonly _tag: "Lsn"; readonly lsn: string }
  | { readonly _tag: "Xid"; readonly xid: string }
  /** Of `pg_create_restore_point`. */
  | { readonly _tag: "Name"; readonly name: string }

export interface RecoveryTarget {
  readonly point: Point
  /** A number, or `latest`; `undefined` leaves it to the operator, which means the latest. */
  readonly timeline: string | undefined
}

const timePattern =
  /^([12]\d{3})-(\d\d)-(\d\d)T([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:\.(\d{1,6}))?(?:Z|[-+](?:0\d|1[0-4]):[0-5]\d)$/

/**
 * A time with a zone, and up to microseconds. The calendar is checked: `Date` takes February 30th for March 2nd.
 *
 * @see https://github.com/cloudnative-pg/machinery/blob/v0.5.0/pkg/types/time.go (ParseTargetTime)
 */
const parseTime = (text: string): Option.Option<Point> => {
  const [, year, month, day, , , , fraction] = timePattern.exec(text) ?? []
  if (year === undefined || month === undefined || day === undefined) return Option.none()
  const isDay = Option.exists(
    DateTime.make(`${year}-${month}-${day}T00:00:00Z`),
    (date) => DateTime.formatIsoDateUtc(date) === `${year}-${month}-${day}`
  )
  return isDay
    ? Option.map(DateTime.make(text), (time): Point => ({
        _tag: "Time",
        text: `${DateTime.formatIso(time).slice(0, 19)}${fraction === undefined ? "" : `.${fraction}`}Z`,
        millis: DateTime.toEpochMillis(time)
      }))
    : Option.none()
}

const maxUint32 = 2 ** 32 - 1

/** Without leading zeros, which would make PostgreSQL read an octal number. */
const isUint32 = (digits: string): boolean => /^[1-9]\d{0,9}$/.test(digits) && Number(digits) <= maxUint32

/** PostgreSQL's limit is 63 bytes; the operator refuses control characters. */
const isRestorePoint = (name: string): boolean =>
  name !== "" &&
  name.isWellFormed() &&
  new TextEncoder().encode(name).length < 64 &&
  // oxlint-disable-next-line no-control-regex
  !/[\u0000-\u001f\u007f]/.test(name)

const parsePoint = (text: string): Option.Option<Point> => {
  const [, kind, value = ""] = /^(lsn|xid|name):(.*)$/s.exec(text) ?? []
  const only = (isRight: boolean, point: Point) => (isRight ? Option.some(point) : Option.none())
  switch (kind ?? text) {
    case "latest":
      return Option.some({ _tag: "Latest" })
    case "backup":
      return Option.some({ _tag: "Backup" })
    case "velero-backup":
      return Option.some({ _tag: "VeleroBackup" })
    case "lsn":
      return only(/^[0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8}$/.test(value), { _tag: "Lsn", lsn: value })
    case "xid":
      return only(isUint32(value), { _tag: "Xid", xid: value })
    case "name":
      return only(isRestorePoint(value), { _tag: "Name", name: value })
    default:
      return parseTime(text)
  }
}

/** Reads a target. A timeline alone goes to the end of it. */
export const parse = (text: string): Option.Option<RecoveryTarget> => {
  const [, before = text, timeline] = /^(?:(.*?) +)?timeline:(\S+)$/s.exec(text) ?? []
  if (timeline === undefined) return Option.map(parsePoint(text), (point) => ({ point, timeline: undefined }))
  if (timeline !== "latest" && !isUint32(timeline)) return Option.none()
  return Option.map(parsePoint(before === text ? "latest" : before), (point) => ({ point, timeline }))
}

export const setting: Setting<RecoveryTarget> = {
  annotation: annotation.recoveryTarget,
  key: "recoveryTarget",
  plugin: plugin.clusterRestore,
  on: "Restore",
  isOfCluster: true,
  values:
    "latest, backup, velero-backup, a time with its zone such as 2026-11-19T09:30:00Z, lsn:0/3000060, xid:1234, or name:before-migration (a restore point); timeline:2 or timeline:latest may follow, after a space",
  default: "latest",
  description:
    "Where a recovery ends. `latest`: at the end of the archive, so that as little as possible is lost. `backup`: at the end of the recorded base backup. `velero-backup`: at the time of the Velero backup. The others are PostgreSQL's.",
  parse
}
