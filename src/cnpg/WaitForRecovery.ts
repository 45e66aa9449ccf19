/**
 * The user's choice of how long a Restore waits for a Cluster on which nothing happens.
 *
 * Not how long a recovery may take: that depends on the size of the database, and Velero's own `--item-operation-timeout` ends it.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { annotation, plugin } from "./Names.ts"
import type * as Setting from "./Setting.ts"

/** As Go writes durations: `1h30m`, `90s`. Without a unit only 0. */
export const parse = (text: string): Option.Option<Duration.Duration> => {
  const [whole, hours = "0", minutes = "0", seconds = "0"] = /^(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,6})s)?$/.exec(
    text
  ) ?? [undefined]
  if (text === "0") return Option.some(Duration.zero)
  return whole === undefined || whole === ""
    ? Option.none()
    : Option.some(Duration.seconds(Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)))
}

/** The same, the other way: what `parse` reads again. */
export const format = (duration: Duration.Duration): string => {
  const seconds = Math.round(Duration.toSeconds(duration))
  const parts = [
    [Math.floor(seconds / 3600), "h"],
    [Math.floor(seconds / 60) % 60, "m"],
    [seconds % 60, "s"]
  ] as const
  return parts.map(([count, unit]) => (count === 0 ? "" : `${count}${unit}`)).join("") || "0"
}

export const setting: Setting.Setting<Duration.Duration> = {
  annotation: annotation.waitForRecovery,
  key: "waitForRecovery",
  plugin: plugin.clusterRestore,
  on: "Restore",
  isOfCluster: true,
  values: "0 or a duration such as 30m, 90s or 1h30m",
  default: "30m",
  description:
    "A Restore waits until a recovered Cluster is up. It is given up, and the Restore is PartiallyFailed, when nothing has happened on the Cluster for so long; while a recovery is at work it may take longer. `0`: the Restore does not wait.",
  parse
}
