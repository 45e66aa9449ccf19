/** How commands show what they have found. */
import * as Flag from "effect/cli/Flag"

/** `--output text` or `--output json`. */
export const output = Flag.Literals("output", ["text", "json"]).pipe(
  Flag.withAlias("o"),
  Flag.withDefault("text"),
  Flag.withDescription("text for people, json for programs")
)

/** The same, or `--output html`. */
export const outputWithPage = Flag.Literals("output", ["text", "json", "html"]).pipe(
  Flag.withAlias("o"),
  Flag.withDefault("text"),
  Flag.withDescription("text for people, json for programs, html for a page that is whole by itself")
)

/** Whether somebody looks at a terminal that shows them. */
export const hasColours = (): boolean => process.stdout.isTTY === true && !process.env["NO_COLOR"]

/** Rows with their columns aligned, two spaces apart; the last one as long as it is. */
export const table = (rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd()
  )
}
