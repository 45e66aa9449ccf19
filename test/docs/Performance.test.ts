/** The tables of docs/performance.md and its plot are those of the record beside it. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Guard from "../../bench/Guard.ts"
import * as Report from "../../bench/Report.ts"
import type { Row, Series } from "../../bench/Rows.ts"
import { ratio, rows } from "../../bench/Rows.ts"

const docs = Path.resolve(import.meta.dirname, "../../docs")
const read = (name: string) => Fs.readFileSync(Path.join(docs, name), "utf8")
const { machine, series } = JSON.parse(read("performance.json")) as {
  readonly machine: string
  readonly series: ReadonlyArray<Series>
}
const [ours, peer] = ["velero-plugin-cnpg", "go-peer"] as const
const all = rows(series)

describe("docs/performance.md", () => {
  it("has the machine and the tables of its record", () => {
    const page = read("performance.md")
    assert.include(page, `Measured on ${machine}`)
    assert.include(page, Report.table(all, [ours, peer, "velero"], ours, peer))
    assert.include(page, Report.scaleTable(all, ours, peer))
  })

  it("has the plot of its record", () => {
    assert.strictEqual(read("performance.svg"), Report.plot(all, ours, peer))
  })
})

const row = (unit: string, values: Readonly<Record<string, number>>, target?: number): Row => ({
  label: "a",
  unit,
  values: new Map(Object.entries(values)),
  target
})

describe("a ratio", () => {
  it("is below 1 for what is better, be it less time or a higher rate", () => {
    assert.strictEqual(ratio(row("ms", { x: 1, y: 2 }), "x", "y"), 0.5)
    assert.strictEqual(ratio(row("MiB/s", { x: 1, y: 2 }), "x", "y"), 2)
    assert.isUndefined(ratio(row("ms", { x: 1 }), "x", "y"))
    assert.isUndefined(ratio(row("ms", { x: 1, y: 0 }), "x", "y"))
  })
})

describe("the guard", () => {
  const failed = (given: ReadonlyArray<Row>) =>
    Guard.verdicts(given, ours, peer).flatMap(({ label, passed }) => (passed ? [] : [label]))
  const labels = Object.keys(Guard.limits)
  const rowsOf = (of: (label: string) => number) =>
    labels.map((label): Row => ({ ...row("ms", { [ours]: of(label), [peer]: 1 }), label }))

  it("passes what is within its limits, and all of the record", () => {
    assert.deepStrictEqual(failed(rowsOf((label) => Guard.limits[label] ?? 0)), [])
    assert.deepStrictEqual(failed(all), [])
  })

  it.each(labels)("fails %s beyond its limit, or not measured", (slow) => {
    const beyond = rowsOf((label) => (Guard.limits[label] ?? 0) * (label === slow ? 1.01 : 1))
    assert.deepStrictEqual(failed(beyond), [slow])
    assert.deepStrictEqual(failed(beyond.filter(({ label }) => label !== slow)), [slow])
  })
})

describe("a table", () => {
  it("says whether a target was reached", () => {
    const lines = (value: number) => Report.table([row("ms", { x: value, y: 2 }, 0.5)], ["x", "y"], "x", "y")
    assert.include(lines(1), "reached (0.5)")
    assert.include(lines(1.02), "missed (0.5)")
  })

  it("of scale has what was measured of one alone, a row for each number of objects", () => {
    const of = (label: string, unit: string, value: number): Row => ({ ...row(unit, { x: value }), label })
    const table = Report.scaleTable(
      [
        of("5 things", "s", 1),
        of("5 things: calls", "", 7),
        of("5 things: peak", "MiB", 90),
        row("ms", { x: 1, y: 2 })
      ],
      "x",
      "y"
    )
    assert.match(table, /^\| 5 things \| +1\.00 s \| +7 \| +\| +\| +90\.0 MiB \|$/m)
    assert.strictEqual(table.split("\n").length, 3)
  })
})
