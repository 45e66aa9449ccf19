/** The table of results, in columns that wrap, and the file of them. */
import * as Fs from "node:fs"
import * as Compatibility from "../../src/release/Compatibility.ts"
import * as Terminal from "./Terminal.ts"

export interface Result extends Compatibility.Result {
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

const outcomes: Readonly<Record<Result["outcome"], string>> = {
  passed: "ok",
  failed: "FAILED",
  "not applicable": "n/a"
}

const describe = ({ versions: { cloudNativePg, velero } }: Result): string =>
  `Velero ${velero}, CloudNativePG ${cloudNativePg}`

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
      ...(results[index - 1] !== undefined && describe(result) === describe(results[index - 1] as Result)
        ? []
        : [`\n${describe(result)}`]),
      row(
        [
          [outcomes[result.outcome]],
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

/** How many there are of each; the last line is what CI reads. */
export const summary = (results: ReadonlyArray<Result>): string => {
  const count = (outcome: Result["outcome"]) => results.filter((result) => result.outcome === outcome).length
  const inapplicable = count("not applicable")
  return [
    ...(inapplicable === 0 ? [] : [`${inapplicable} not applicable`]),
    `${count("passed")} passed, ${count("failed")} failed`
  ].join("\n")
}

/** Adds results to a file of them, or makes it; those of the same versions and scenario are replaced. */
export const write = (file: string, results: ReadonlyArray<Result>): void => {
  const earlier = Fs.existsSync(file) ? (JSON.parse(Fs.readFileSync(file, "utf8")) as ReadonlyArray<Result>) : []
  Fs.writeFileSync(file, `${JSON.stringify(Compatibility.merge(earlier, results), undefined, 2)}\n`)
}
