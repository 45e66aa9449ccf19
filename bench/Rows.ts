/** What is measured, what counts as good, and what of the host's series makes a row. */

/** One series of one candidate, as the Go host prints it. */
export interface Series {
  readonly measure: string
  readonly candidate: string
  /** `ms`, `MiB`, `s`, `KiB`, `calls/s`, `MiB/s`, or empty for a number. */
  readonly unit: string
  /** How many samples. */
  readonly n: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
}

type Statistic = "p50" | "p99"

/** A row: a statistic of a measure, for each candidate that has it. */
export interface Row {
  readonly label: string
  readonly unit: string
  readonly values: ReadonlyMap<string, number>
  /** Greatest ratio to the Go peer that counts as reached; none for what is only told. */
  readonly target: number | undefined
}

/** The targets, by the beginnings of measures. */
const targets: ReadonlyArray<readonly [measure: RegExp, target: number]> = [
  [/^start to /, 0.8],
  [/^Execute \d+ \S+ (un)?changed$/, 1],
  [/^Cluster Execute beside 10?,?000 Backups$/, 0.5],
  [/^Cluster Execute beside 1000 Backups$/, 0.5],
  [/^CPU of 5,000 items$/, 1],
  [/^resident /, 1]
]

/** Of single calls the slow ones matter too. */
const statisticsOf = (measure: string): ReadonlyArray<Statistic> =>
  /^(Execute .*changed|start to)/.test(measure) ? ["p50", "p99"] : ["p50"]

/** More is better where a rate is measured: its ratio is turned round, so that less is always better. */
export const isRate = (unit: string): boolean => unit.endsWith("/s")

export const rows = (series: ReadonlyArray<Series>): ReadonlyArray<Row> => {
  const measures = [...new Set(series.map(({ measure }) => measure))]
  return measures.flatMap((measure) => {
    const all = series.filter((one) => one.measure === measure)
    const statistics = statisticsOf(measure)
    return statistics.map((statistic) => ({
      label: statistics.length > 1 ? `${measure}, ${statistic}` : measure,
      unit: all[0]?.unit ?? "",
      values: new Map(all.map((one) => [one.candidate, one[statistic]])),
      target: targets.find(([pattern]) => pattern.test(measure))?.[1]
    }))
  })
}

/** A row's ratio of a candidate to another; below 1 is better. */
export const ratio = ({ unit, values }: Row, candidate: string, peer: string): number | undefined => {
  const [ours, theirs] = [values.get(candidate), values.get(peer)]
  if (ours === undefined || theirs === undefined || ours === 0 || theirs === 0) return undefined
  return isRate(unit) ? theirs / ours : ours / theirs
}
