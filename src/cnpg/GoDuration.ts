/** Durations as Go, and so Velero and Kubernetes, writes them; in settings and in the ids of operations. */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

/** Reads `1h30m`, `90s`; without a unit only `0`. None for anything else, fractions and smaller units included. */
export const parse = (text: string): Option.Option<Duration.Duration> => {
  const [whole, hours = "0", minutes = "0", seconds = "0"] = /^(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,6})s)?$/.exec(
    text
  ) ?? [undefined]
  if (text === "0") return Option.some(Duration.zero)
  return whole === undefined || whole === ""
    ? Option.none()
    : Option.some(Duration.seconds(Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)))
}

/** Writes what `parse` reads again, rounded to seconds. */
export const format = (duration: Duration.Duration): string => {
  const seconds = Math.round(Duration.toSeconds(duration))
  const parts = [
    [Math.floor(seconds / 3600), "h"],
    [Math.floor(seconds / 60) % 60, "m"],
    [seconds % 60, "s"]
  ] as const
  return parts.map(([count, unit]) => (count === 0 ? "" : `${count}${unit}`)).join("") || "0"
}

/** What `parse` takes, to go behind `it can be`. */
export const values = "0 or a duration such as 30m, 90s or 1h30m"
