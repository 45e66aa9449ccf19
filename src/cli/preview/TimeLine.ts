/**
 * The times that a recovery is about, as a picture: base backups, how far the archive reaches, the Velero backup, and what is
 * replayed up to where. An inline SVG, whose colours are the page's.
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import type { BaseBackup, ClusterPreview } from "./Clusters.ts"
import type { Markup } from "./Markup.ts"
import { html } from "./Markup.ts"

const millis = (time: string | null | undefined): number | undefined =>
  Option.getOrUndefined(Option.map(DateTime.make(time ?? ""), DateTime.toEpochMillis))

/** `2026-11-19 02:01:41 UTC`. */
export const timeText = (time: string | null | undefined): string | null => {
  const at = millis(time)
  return at === undefined ? null : `${DateTime.formatIso(DateTime.makeUnsafe(at)).slice(0, 19).replace("T", " ")} UTC`
}

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

const steps = [
  minute,
  5 * minute,
  15 * minute,
  hour,
  3 * hour,
  6 * hour,
  12 * hour,
  day,
  2 * day,
  7 * day,
  14 * day,
  30 * day
]

/** Times to write below the axis: round ones, at most six. */
const ticks = (from: number, to: number): ReadonlyArray<number> => {
  const step = steps.find((each) => (to - from) / each <= 6) ?? Math.ceil((to - from) / 6 / day) * day
  const first = Math.ceil(from / step) * step
  return Array.from({ length: Math.max(0, Math.floor((to - first) / step) + 1) }, (_, index) => first + index * step)
}

const tickText = (at: number, isOfDay: boolean): string => {
  const text = DateTime.formatIso(DateTime.makeUnsafe(at))
  return isOfDay ? text.slice(0, 10) : `${text.slice(5, 10)} ${text.slice(11, 16)}`
}

/** Where a recovery ends, in words, and on the time line where that is known. */
export const endOf = (
  { backups, recorded, recovery }: ClusterPreview,
  archivedUntil: number | undefined
): { readonly text: string; readonly at: number | undefined } => {
  const target = recovery?.target ?? {}
  const say = (key: string): string => String(target[key])
  const id = target["backupID"] ?? recorded.backupId
  const ended = millis(backups.find((backup) => backup.id === id)?.stoppedAt ?? recorded.backupEndedAt)
  if (target["targetTime"] !== undefined) return { text: `at ${say("targetTime")}`, at: millis(say("targetTime")) }
  if (target["targetImmediate"] === true) return { text: "at the end of the base backup", at: ended }
  if (target["targetLSN"] !== undefined) return { text: `at LSN ${say("targetLSN")}`, at: undefined }
  if (target["targetXID"] !== undefined) return { text: `at transaction ${say("targetXID")}`, at: undefined }
  if (target["targetName"] !== undefined) return { text: `at restore point ${say("targetName")}`, at: undefined }
  return { text: "at the end of the archive", at: archivedUntil }
}

const left = 130
const right = 704
const width = 720
const lane = { backups: 36, archive: 76, velero: 116, recovery: 156, axis: 186 } as const

/** Of the Backups that say when they ended. */
const placed = (backups: ReadonlyArray<BaseBackup>) =>
  backups.flatMap((backup) => {
    const at = millis(backup.stoppedAt)
    return at === undefined ? [] : [{ ...backup, at }]
  })

const anchorOf = (x: number): string => (x < left + 90 ? "start" : x > right - 90 ? "end" : "middle")

/** The picture; none where not two times are known. */
export const timeLine = (cluster: ClusterPreview): Markup | undefined => {
  const { recorded, recovery } = cluster
  const backups = placed(cluster.backups)
  const stored = millis(recorded.storedAt)
  const window = millis(recorded.firstRecoverabilityPoint)
  const usable = backups.filter(({ at, isUsable }) => isUsable && (window === undefined || at >= window))
  const first = window ?? usable[0]?.at
  const backedUp =
    millis(recorded.backupEndedAt) ?? backups.find(({ id }) => id !== null && id === recorded.backupId)?.at
  const known = [first, stored, backedUp, ...backups.map(({ at }) => at)].filter((at) => at !== undefined)
  const archived = known.length === 0 ? undefined : Math.max(...known)
  const end = endOf(cluster, archived)
  const all = [...known, ...(recovery !== null && end.at !== undefined ? [end.at] : [])]
  const earliest = Math.min(...all)
  const latest = Math.max(...all)
  if (all.length < 2 || !(latest > earliest)) return undefined

  const margin = (latest - earliest) * 0.04
  const [from, to] = [earliest - margin, latest + margin]
  const x = (at: number): number => Math.round((left + ((at - from) / (to - from)) * (right - left)) * 10) / 10
  const marks = ticks(from, to)
  const areDays = marks.every((at) => at % day === 0)
  const isTime = recovery?.target["targetTime"] !== undefined
  // For a time the operator takes the newest base backup that ended before.
  const start = isTime ? usable.findLast(({ at }) => end.at !== undefined && at <= end.at)?.at : (backedUp ?? first)
  const title = `Time line of Cluster ${cluster.namespace}/${cluster.name}`

  return html`<div class="timeline" tabindex="0" role="group" aria-label="${title}">
      <svg
        viewBox="0 0 ${width} 212"
        role="img"
        aria-label="${title}: ${backups.length} backups, recovery ends ${end.text}"
      >
        ${marks.map((at) => html`<line class="grid" x1="${x(at)}" x2="${x(at)}" y1="18" y2="${lane.axis}" /><text class="tick" x="${x(at)}" y="${lane.axis + 16}" text-anchor="${x(at) > right - 40 ? "end" : "middle"}">${tickText(at, areDays)}</text>`)}
        <line class="axis" x1="${left}" x2="${right}" y1="${lane.axis}" y2="${lane.axis}" />
        <text class="lane" x="0" y="${lane.backups + 4}">Base backups</text>
        ${backups.map((backup) => {
          const isRecorded = backup.id !== null && backup.id === recorded.backupId
          const kind = isRecorded ? "recorded" : usable.includes(backup) ? "usable" : "useless"
          return html`<circle class="${kind}" cx="${x(backup.at)}" cy="${lane.backups}" r="${isRecorded ? 6 : 4.5}"
            ><title>
              ${backup.name}: ${backup.phase ?? "no phase"}, ${backup.method ?? "barmanObjectStore"},
              ${timeText(backup.stoppedAt) ?? ""}
            </title></circle
          >`
        })}
        ${backedUp !== undefined && recorded.backupId !== null && !backups.some(({ id }) => id === recorded.backupId) && html`<circle class="recorded" cx="${x(backedUp)}" cy="${lane.backups}" r="6" />`}
        ${backedUp !== undefined && recorded.backupId !== null && html`<text class="label" x="${x(backedUp)}" y="${lane.backups - 14}" text-anchor="${anchorOf(x(backedUp))}">${recorded.backupId}</text>`}
        ${backups.length === 0 && backedUp === undefined && html`<text class="unknown" x="${left}" y="${lane.backups + 4}">none known here</text>`}
        <text class="lane" x="0" y="${lane.archive + 4}">Archive</text>
        ${first === undefined && html`<text class="unknown" x="${left}" y="${lane.archive + 4}">how far it reaches is not known here</text>`}
        ${first !== undefined && archived !== undefined && html`<rect class="archive" x="${x(first)}" y="${lane.archive - 5}" width="${Math.max(2, x(archived) - x(first))}" height="10" rx="2"><title>recoverable from ${timeText(DateTime.formatIso(DateTime.makeUnsafe(first))) ?? ""} on</title></rect><path class="archive" d="M${x(archived) + 3} ${lane.archive - 6} l7 6 l-7 6 z" />`}
        <text class="lane" x="0" y="${lane.velero + 4}">Velero backup</text>
        ${stored !== undefined && html`<path class="velero" d="M${x(stored)} ${lane.velero - 6} l6 6 l-6 6 l-6 -6 z"><title>stored at ${timeText(recorded.storedAt) ?? ""}</title></path>`}
        <text class="lane" x="0" y="${lane.recovery + 4}">Recovery</text>
        ${recovery !== null && end.at !== undefined && html`${start !== undefined && html`<line class="replay" x1="${x(start)}" x2="${x(end.at)}" y1="${lane.recovery}" y2="${lane.recovery}" />`}<line class="end" x1="${x(end.at)}" x2="${x(end.at)}" y1="${lane.recovery - 9}" y2="${lane.recovery + 9}" /><text class="label" x="${x(end.at)}" y="${lane.recovery - 13}" text-anchor="${anchorOf(x(end.at))}">ends ${end.text}</text>`}
        ${recovery !== null && end.at === undefined && html`<text class="unknown" x="${left}" y="${lane.recovery + 4}">ends ${end.text}, whose time is not known here</text>`}
        ${recovery === null && html`<text class="unknown" x="${left}" y="${lane.recovery + 4}">none from the archive</text>`}
      </svg>
    </div>
    <p class="legend">
      Base backups: <i class="dot recorded"></i> recorded, <i class="dot usable"></i> another to recover from,
      <i class="dot useless"></i> failed, unfinished, or not in this archive. Times are UTC.
    </p>`
}
