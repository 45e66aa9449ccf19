/** The table of results, in columns that wrap. */
import * as Terminal from "./Terminal.ts"

export interface Result {
  /** Velero and operator. */
  readonly pair: string
  readonly scenario: string
  readonly expected: string
  /** What was seen, or each failure. */
  readonly seen: ReadonlyArray<string>
  readonly passed: boolean
  readonly millis: number
}

/** A text in lines no longer than a width, broken between words; a word that is longer is broken anywhere. */
const wrap = (text: string, width: number): ReadonlyArray<string> =>
  text
    .split(/\s+/)
    .flatMap((word) => word.match(new RegExp(`.{1,${width}}`, "g")) ?? [])
    .reduce<ReadonlyArray<string>>((lines, word) => {
      const last = lines.at(-1)
      return last !== undefined && `${last} ${word}`.length <= width
        ? [...lines.slice(0, -1), `${last} ${word}`]
        : [...lines, word]
    }, [])

const row = (cells: ReadonlyArray<ReadonlyArray<string>>, widths: ReadonlyArray<number>): string =>
  Array.from({ length: Math.max(...cells.map((lines) => lines.length)) }, (_, line) =>
    cells
      .map((lines, column) => (lines[line] ?? "").padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd()
  ).join("\n")

const headings = ["", "scenario", "expected", "seen", "time"]

/** One row for each result, under a line for each pair of versions. */
export const table = (results: ReadonlyArray<Result>, width: number): string => {
  const names = Math.max(...results.map(({ scenario }) => scenario.length), 8)
  const [marks, times, gaps] = [6, 9, 8]
  const sentence = Math.max(30, Math.floor((width - marks - names - times - gaps) / 2))
  const widths = [marks, names, sentence, sentence, times]
  return [
    row(
      headings.map((heading) => [heading]),
      widths
    ),
    ...results.flatMap((result, index) => [
      ...(result.pair === results[index - 1]?.pair ? [] : [`\n${result.pair}`]),
      row(
        [
          [result.passed ? "ok" : "FAILED"],
          [result.scenario],
          wrap(result.expected, sentence),
          result.seen.flatMap((line) => wrap(line, sentence)),
          [Terminal.duration(result.millis)]
        ],
        widths
      )
    ])
  ].join("\n")
}

/** The one line that CI reads. */
export const summary = (results: ReadonlyArray<Result>): string => {
  const failed = results.filter(({ passed }) => !passed).length
  return `${results.length - failed} passed, ${failed} failed`
}
