import { execFileSync } from "node:child_process"
import { assert, describe, it } from "@effect/vitest"
import { read } from "../example/Document.ts"
import { repository } from "../executable/Executable.ts"
import { publicModules } from "../new-plugin/Folder.ts"
import * as Examples from "./Examples.ts"

const sources = publicModules.map((module) => ({ module, source: read(`src/${module}.ts`) }))
const examples = sources.flatMap(({ module, source }) => Examples.examplesOf(module, source))
Examples.write(examples)

describe("the reading of examples", () => {
  it("finds them, and turns what they say comes out into assertions", () => {
    const source = ["/**", " * @example", " * ```ts", " * const a = [", " *   1", " * ]", " *", " * f(a, [", " *   2"]
    const rest = [" * ]) // => 3", " * g() // => { b: 4 }", " * ```", " */"]
    const [example] = Examples.examplesOf("m", [...source, ...rest].join("\n"))
    assert.strictEqual(example?.name, "m:2")
    assert.strictEqual(
      Examples.asserted(example?.code ?? ""),
      "const a = [\n  1\n]\n\nassert.deepStrictEqual(f(a, [\n  2\n]), 3)\nassert.deepStrictEqual(g(), { b: 4 })"
    )
  })

  it("misses none", () => {
    const marks = sources.reduce((count, { source }) => count + source.split("@example").length - 1, 0)
    assert.strictEqual(examples.length, marks)
    for (const { code, name } of examples) assert.include(code, "// => ", name)
  })
})

describe("public modules", () => {
  it.each(sources)("$module begins with a comment that the API's pages take for its own", ({ source }) => {
    assert.match(source, /^\/\*\*\n(?: \*.*\n)+ \* @module\n \*\/\n/)
  })

  it.each(["Backup", "Restore", "Delete"].map((each) => `${each}ItemAction`))("velero/%s has an example", (kind) => {
    assert.isTrue(examples.some(({ name }) => name.startsWith(`velero/${kind}:`)))
  })
})

describe("examples", () => {
  it("have the right types", () => {
    const tsc = `${repository}/node_modules/.bin/tsc`
    try {
      execFileSync(tsc, ["-p", Examples.directory], { encoding: "utf8" })
    } catch (error) {
      assert.fail((error as { readonly stdout: string }).stdout)
    }
  })

  it.each(examples)("$name comes out as it says", (example) => import(Examples.fileOf(example)))
})
