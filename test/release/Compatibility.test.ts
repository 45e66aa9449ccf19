import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import type { Result, Versions } from "../../src/release/Compatibility.ts"
import * as Compatibility from "../../src/release/Compatibility.ts"
import { makers } from "../../src/release/Main.ts"
import * as Components from "../e2e/Components.ts"
import { newest, older } from "../e2e/Scenario.ts"
import { scenarios } from "../e2e/scenarios/All.ts"
import * as Documents from "../example/Document.ts"
import { repository } from "../executable/Executable.ts"

const document = "docs/compatibility.md"
const results = JSON.parse(
  Fs.readFileSync(Path.join(repository, "docs/compatibility.json"), "utf8")
) as ReadonlyArray<Result>

const nameOf = (velero: string, operator: string, scenario: string) => `${velero}, ${operator}: ${scenario}`

describe(document, () => {
  it("is up to date: npm run made", () => {
    assert.strictEqual(Documents.read(document), makers["compatibility"]?.())
  })

  it("links to what exists", () => Documents.assertLinks(document))
})

describe("docs/compatibility.json", () => {
  it("has of each pair that was tried every scenario that it should, and no other", () => {
    const pairs = [newest, ...older].filter(({ operator, velero }) =>
      results.some(({ versions }) => versions.velero === velero && versions.cloudNativePg === operator)
    )
    assert.strictEqual(pairs[0], newest)
    const planned = pairs.flatMap((pair) =>
      scenarios
        .filter(({ core }) => pair === newest || core)
        .map(({ name }) => nameOf(pair.velero, pair.operator, name))
    )
    assert.deepStrictEqual(
      results.map(({ scenario, versions }) => nameOf(versions.velero, versions.cloudNativePg, scenario)).toSorted(),
      planned.toSorted()
    )
  })

  it("is of the stand's servers, and of the scenarios as they are", () => {
    for (const { expected, outcome, scenario, seen, versions } of results) {
      assert.strictEqual(versions.kubernetes, Components.kubernetes.version)
      assert.strictEqual(versions.barmanCloud, Components.barmanCloud.version)
      assert.strictEqual(expected, scenarios.find(({ name }) => name === scenario)?.expected, scenario)
      assert.notStrictEqual(outcome, "failed", `${scenario}: ${seen.join("; ")}`)
    }
  })
})

const versions = (velero: string): Versions => ({
  velero,
  cloudNativePg: "1.30.0",
  barmanCloud: "0.14.0",
  kubernetes: "1.34.4"
})

const result = (velero: string, scenario: string, more: Partial<Result> = {}): Result => ({
  versions: versions(velero),
  scenario,
  expected: `${scenario} is | as it should`,
  seen: ["it is"],
  outcome: "passed",
  ...more
})

describe("results", () => {
  it("take the place of earlier ones of the same versions and scenario", () => {
    const [replaced, ...others] = [result("1.18.3", "a"), result("1.18.3", "b"), result("1.14.1", "a")] as const
    const again = result("1.18.3", "a", { outcome: "failed" })
    assert.deepStrictEqual(Compatibility.merge([replaced, ...others], [again]), [...others, again])
  })

  it("are a page: pairs with their numbers, scenarios with a column for each pair, and what did not pass", () => {
    const page = Compatibility.render([
      result("1.18.3", "a"),
      result("1.18.3", "b", { outcome: "failed", seen: ["not so:\nit", "nor | that"] }),
      result("1.14.1", "a", { outcome: "not applicable", seen: ["too old"] })
    ])
    const lines = page.split("\n").map((line) => line.replaceAll(/ +/g, " "))
    for (const line of [
      "| 1.18.3 | 1.30.0 | 0.14.0 | 1.34.4 | 1 | 1 | 0 |",
      "| 1.14.1 | 1.30.0 | 0.14.0 | 1.34.4 | 0 | 0 | 1 |",
      "| scenario | what is expected | 1.18.3, 1.30.0 | 1.14.1, 1.30.0 |",
      String.raw`| ${"`a`"} | a is \| as it should | yes | – |`,
      String.raw`| ${"`b`"} | b is \| as it should | **no** | |`,
      String.raw`| 1.18.3, 1.30.0 | ${"`b`"} | failed | not so: it; nor \| that |`,
      "| 1.14.1, 1.30.0 | `a` | not applicable | too old |"
    ]) {
      assert.include(lines, line)
    }
  })

  it("that are all passed leave nothing to explain", () => {
    assert.notInclude(Compatibility.render([result("1.18.3", "a")]), "| versions")
  })
})
