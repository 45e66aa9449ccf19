/** The rows as a table for people and as a plot for the docs. */
import type { Row } from "./Rows.ts"
import { ratio } from "./Rows.ts"

/** Three digits that matter. */
const figure = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)

const cell = ({ unit, values }: Row, candidate: string): string => {
  const value = values.get(candidate)
  if (value === undefined) return ""
  // What has no unit is a number of things.
  return unit === "" ? String(value) : `${figure(value)} ${unit}`
}

const verdict = (of: number | undefined, target: number | undefined): string => {
  if (of === undefined || target === undefined) return ""
  return of <= target ? `reached (${target})` : `missed (${target})`
}

/** A Markdown table of cells; the first line has the headings. */
export const markdown = (lines: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = lines[0]?.map((_, column) => Math.max(3, ...lines.map((line) => line[column]?.length ?? 0))) ?? []
  const pad = (text: string, column: number) =>
    column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0)
  const print = (line: ReadonlyArray<string>) => `| ${line.map(pad).join(" | ")} |`
  const rule = widths.map((width, column) => (column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`))
  return [print(lines[0] ?? []), print(rule), ...lines.slice(1).map(print)].join("\n")
}

/** A Markdown table: a column for each candidate, then `candidate`'s ratio to `peer`, and its target. */
export const table = (
  rows: ReadonlyArray<Row>,
  candidates: ReadonlyArray<string>,
  candidate: string,
  peer: string
): string => {
  const compared = rows.filter(({ values }) => values.has(peer))
  return markdown([
    ["", ...candidates, "ratio", "at most"],
    ...compared.map((row) => {
      const of = ratio(row, candidate, peer)
      return [
        row.label,
        ...candidates.map((name) => cell(row, name)),
        of === undefined ? "" : figure(of),
        verdict(of, row.target)
      ]
    })
  ])
}

/** What was measured of `candidate` alone: a row for each number of objects. Empty where nothing was. */
export const scaleTable = (rows: ReadonlyArray<Row>, candidate: string, peer: string): string => {
  const alone = rows.filter(({ values }) => values.has(candidate) && !values.has(peer))
  const labels = [...new Set(alone.map(({ label }) => label.replace(/: .*/, "")))]
  const of = (label: string, what: string) => {
    const row = alone.find((each) => each.label === `${label}${what}`)
    return row === undefined ? "" : cell(row, candidate)
  }
  const columns = ["", ": calls", ": bytes", ": calls refused (429)", ": peak"]
  return labels.length === 0
    ? ""
    : markdown([
        ["", "time", "API calls", "answers", "of them 429", "peak"],
        ...labels.map((label) => [label, ...columns.map((what) => of(label, what))])
      ])
}

const escape = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")

const plotWidth = 960
const labelWidth = 340
const rowHeight = 22
const top = 56

/** Ratios from a tenth to ten times, on a logarithmic axis. */
const position = (of: number): number => {
  const within = Math.min(Math.max(of, 0.1), 10)
  return labelWidth + ((Math.log10(within) + 1) / 2) * (plotWidth - labelWidth - 60)
}

/** A bar for each ratio: to the left of the line it is better than the peer, to the right worse. */
export const plot = (rows: ReadonlyArray<Row>, candidate: string, peer: string): string => {
  const bars = rows.flatMap((row) => {
    const of = ratio(row, candidate, peer)
    // Of calls and bytes more is not worse in itself.
    return of === undefined || row.label.includes(":") ? [] : [{ row, of }]
  })
  const height = top + bars.length * rowHeight + 16
  const middle = position(1)
  const axis = [0.1, 0.2, 0.5, 1, 2, 5, 10].map((tick) => {
    const x = position(tick).toFixed(1)
    return `<path class="${tick === 1 ? "one" : "guide"}" d="M${x} ${top - 10} V${height - 12}" /><text class="soft" x="${x}" y="${top - 16}" text-anchor="middle">${tick}</text>`
  })
  const drawn = bars.map(({ of, row }, index) => {
    const y = top + index * rowHeight
    const end = position(of)
    const target =
      row.target === undefined
        ? ""
        : `<path class="target" d="M${position(row.target).toFixed(1)} ${y} v16"><title>at most ${row.target}</title></path>`
    return `<text class="ink" x="${labelWidth - 12}" y="${y + 13}" text-anchor="end">${escape(row.label)}</text><rect class="${of <= (row.target ?? 1) ? "good" : "bad"}" x="${Math.min(end, middle).toFixed(1)}" y="${y + 2}" width="${Math.max(Math.abs(end - middle), 1).toFixed(1)}" height="12" rx="2" />${target}<text class="soft" x="${plotWidth - 50}" y="${y + 13}">${figure(of)}</text>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${plotWidth} ${height}" role="img" aria-labelledby="title" font-family="system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif" font-size="13">
  <title id="title">Ratio of ${escape(candidate)} to ${escape(peer)}: less than 1 is better</title>
  <style>
    .ink { fill: #1f2328; } .soft { fill: #59636e; }
    .good { fill: #1a7f37; } .bad { fill: #bf8700; }
    .guide { stroke: #d1d9e0; } .one { stroke: #59636e; stroke-width: 1.5; }
    .target { stroke: #0969da; stroke-width: 2.5; fill: none; }
    @media (prefers-color-scheme: dark) {
      .ink { fill: #f0f6fc; } .soft { fill: #9198a1; }
      .good { fill: #3fb950; } .bad { fill: #d29922; }
      .guide { stroke: #3d444d; } .one { stroke: #9198a1; }
      .target { stroke: #4493f8; }
    }
  </style>
  <text class="ink" x="${labelWidth}" y="20">${escape(candidate)} : ${escape(peer)}, less is better; blue: the target</text>
  ${[...axis, ...drawn].join("\n  ")}
</svg>
`
}
